"""Evidence pack: a folder that says of one model version what is known, in the forms that others read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .display import Displayed, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Covered", "EvidenceFile", "EvidencePack"]


@dataclass(frozen=True)
class EvidenceFile(Record):
    """One file of a pack: the standard it follows, and with what it can be checked."""

    name: str
    title: str
    standard: str
    check: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Covered(Record):
    """How much of one framework a pack shows: points with everything we can show, with part of it, with nothing."""

    framework: str
    shown: int
    partly: int
    nothing: int


@dataclass(frozen=True)
class EvidencePack(Displayed, Record):
    """A pack that was written.

    Parameters
    ----------
    digest
        SHA-256 of its list of digests, as the audit trail has it.
    gaps
        What is not known of the model, and what to run so that it is.
    """

    model: str
    directory: str
    files: tuple[EvidenceFile, ...]
    covered: tuple[Covered, ...] = ()
    digest: str = ""
    gaps: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[EvidenceFile]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def to_pandas(self) -> pd.DataFrame:
        """One row a file."""
        import pandas as pd

        return pd.DataFrame([file.to_dict() for file in self.files])

    def text(self) -> str:
        rows = [[f.name, f.title, f.standard, f.check] for f in self.files]
        lines = [f"evidence of {self.model} in {self.directory}: {len(self.files)} files, read index.html first"]
        lines.append(table(["file", "what", "standard", "checked with"], rows))
        lines += [
            f"{c.framework}: {c.shown} points shown, {c.partly} in part, {c.nothing} not; see coverage.html"
            for c in self.covered
        ]
        return "\n".join([*lines, *(f"note: {gap}" for gap in self.gaps)])
