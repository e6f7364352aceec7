"""The environment in which the model was trained, as pip reads it; and the code of the cell."""

from __future__ import annotations

from .document import Document, Evidence

__all__ = ["DOCUMENT"]


def _write(evidence: Evidence) -> dict[str, bytes]:
    dossier = evidence.dossier
    lock = dossier.environment or "".join(f"{line}\n" for line in dossier.requirements)
    found = {"requirements.txt": lock.encode()} if lock else {}
    if dossier.run is not None and dossier.run.source:
        found["training_cell.py"] = dossier.run.source.encode()
    return found


DOCUMENT = Document(
    "the pinned environment and the code that trained the model",
    "pip requirements, Python",
    "pip install --dry-run -r requirements.txt",
    _write,
)
