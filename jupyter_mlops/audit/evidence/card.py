"""The model card, as Markdown with Hugging Face's metadata and as a page."""

from __future__ import annotations

from ...registry.card import markdown, written
from .document import Document, Evidence

__all__ = ["DOCUMENT"]


def _write(evidence: Evidence) -> dict[str, bytes]:
    text = markdown(evidence.dossier, evidence.own, evidence.metadata)
    return {"card.html": written(evidence.dossier, evidence.own).html().encode(), "card.md": text.encode()}


DOCUMENT = Document(
    "the model card: what the model is, is worth and is for",
    "Hugging Face model card",
    "huggingface_hub.ModelCard",
    _write,
)
