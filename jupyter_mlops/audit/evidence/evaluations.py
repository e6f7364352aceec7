"""Every evaluation of the version, whole: metrics with intervals and conventions, slices, groups, curves."""

from __future__ import annotations

from .document import Document, Evidence, json_bytes

__all__ = ["DOCUMENT"]


def _write(evidence: Evidence) -> dict[str, bytes]:
    held = evidence.dossier.evaluations
    return {"evaluations.json": json_bytes([evaluation.to_dict() for evaluation in held])} if held else {}


DOCUMENT = Document(
    "every evaluation, whole, with the convention of each number",
    "JSON of ours",
    "jupyter_mlops.domain.evaluation.Evaluation",
    _write,
)
