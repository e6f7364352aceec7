"""Data garbage: what a collection would remove or has removed, what it keeps and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .display import Displayed, several, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DataGarbage", "KeptVersion"]


@dataclass(frozen=True)
class KeptVersion(Record):
    """A version that stays although it is not among the newest, and what needs it."""

    ref: str
    why: str


@dataclass(frozen=True)
class DataGarbage(Displayed, Record):
    """What `data gc` found.

    Parameters
    ----------
    applied
        Whether it was removed; False for a dry run.
    removed
        Versions that nothing uses, or that are past their time.
    users
        For those of them that runs used: a run that can be reproduced no more, by reference.
    kept
        Versions that would have gone, but something uses them.
    packs
        How many packs nothing refers to at all.
    bytes
        Bytes in the store that nothing refers to once the versions are gone: whole packs, and stretches of others.
    waiting
        Why chunks were left for the next time, empty if they were not.
    """

    applied: bool
    removed: tuple[str, ...] = ()
    kept: tuple[KeptVersion, ...] = ()
    packs: int = 0
    bytes: int = 0
    waiting: str = ""
    users: dict[str, str] = field(default_factory=dict)

    def to_pandas(self) -> pd.DataFrame:
        """One row a version that is removed or kept."""
        import pandas as pd

        what = "removed" if self.applied else "to be removed"
        rows = [(ref, what, self.users.get(ref, "")) for ref in self.removed]
        rows += [(each.ref, "kept", each.why) for each in self.kept]
        return pd.DataFrame(rows, columns=["version", "what", "why"])

    def text(self) -> str:
        did, freed = ("removed", "freed") if self.applied else ("would remove", "free")
        whole = f", {several(self.packs, 'whole pack')} among them" if self.packs else ""
        size = f"{self.bytes / 1e6:,.2f} MB{whole}"
        what = f"{several(len(self.removed), 'version')} and {freed} {size}"
        lines = [f"{did} {what}" if self.removed or self.bytes else "nothing to remove"]
        lost = {ref: f", used by {user}, which then nobody can reproduce" for ref, user in self.users.items()}
        lines += [f"  {did}: {ref}{lost.get(ref, '')}" for ref in self.removed]
        if self.kept:
            lines.append(table(["kept", "because of"], [[each.ref, each.why] for each in self.kept]))
        if self.waiting:
            lines.append(self.waiting)
        if not self.applied and (self.removed or self.bytes):
            lines.append("Nothing was changed; the same with --apply does it.")
        return "\n".join(lines)
