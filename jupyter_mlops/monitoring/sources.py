"""Sources: where the columns of a side come from, read one at a time so that never more than one is held sorted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from ..datasets.profile import ColumnProfile, Profile
from ..errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SAMPLED", "FrameSource", "ProfileSource", "Source", "source_of"]


SAMPLED = 10_000


class Source(Protocol):
    """One side of a comparison."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in order; one that stands twice is listed twice."""

    def read(self, place: int, like: ColumnProfile | None) -> ColumnProfile:
        """One column's profile, as the kind of `like` where that is possible; may raise whatever an odd column raises."""

    def sampled(self) -> pd.DataFrame:
        """Rows drawn at random, seeded, for what looks at several columns at once."""


class ProfileSource:
    """A profile that is kept."""

    def __init__(self, profile: Profile) -> None:
        self._columns = profile.columns
        self.rows = profile.rows
        self.names = profile.names

    def read(self, place: int, like: ColumnProfile | None) -> ColumnProfile:
        """The column as it is kept."""
        return self._columns[place]

    def sampled(self) -> pd.DataFrame:
        """There are no rows."""
        raise InvalidArgument(
            "what looks at several columns at once needs rows, and of this table there are only profiles.",
            hint="Give a DataFrame or Parquet files.",
        )


class FrameSource:
    """A DataFrame, compared exactly: every number counts."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._columns = [column for _, column in frame.items()]
        self.rows = len(frame)
        self.names = tuple(str(name) for name in frame.columns)

    def read(self, place: int, like: ColumnProfile | None) -> ColumnProfile:
        """The profile of one column, with every distinct number."""
        column = self._columns[place]
        kind = None if like is None else like.kind
        return ColumnProfile.of(column, self.names[place], kind=kind, most=sys.maxsize)

    def sampled(self) -> pd.DataFrame:
        """At most 10,000 rows."""
        return self._frame if self.rows <= SAMPLED else self._frame.sample(SAMPLED, random_state=0)


def source_of(given: Profile | Source) -> Source:
    """A profile as a source; a source as it is."""
    return ProfileSource(given) if isinstance(given, Profile) else given
