"""The documents of an evidence pack, one a file, in the order in which the index lists them."""

from __future__ import annotations

from . import bom, card, coverage, croissant, environment, evaluations, excerpt, gates, openlineage, provenance
from .document import Document

__all__ = ["DOCUMENTS"]

DOCUMENTS: dict[str, Document] = {
    "card": card.DOCUMENT,
    "gates": gates.DOCUMENT,
    "coverage": coverage.DOCUMENT,
    "evaluations": evaluations.DOCUMENT,
    "bom": bom.DOCUMENT,
    "provenance": provenance.DOCUMENT,
    "openlineage": openlineage.DOCUMENT,
    "croissant": croissant.DOCUMENT,
    "environment": environment.DOCUMENT,
    "excerpt": excerpt.DOCUMENT,
}
