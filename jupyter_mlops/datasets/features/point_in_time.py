"""Point in time: for each label the newest row of its entity that was known at the label's time, and none that came later.

The rows of a view are brought into one order, by entity and then by time; entity and time together become one whole
number, so that all labels are looked up by one search in a sorted array. The order is made once and serves every view on
the same rows. Times are compared exactly, as whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Found", "Ordered", "Times", "times_of"]

UNITS = ("s", "ms", "us", "ns")
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
UNKNOWN, EARLY, EXPIRED, KEYLESS = -1, -2, -3, -4


@dataclass(frozen=True)
class Times:
    """A time column as numbers.

    Parameters
    ----------
    numbers
        Whole numbers since 1970 in UTC, or the column's own numbers.
    missing
        Where there is none.
    unit
        ``s``, ``ms``, ``us``, ``ns``; empty for a column of numbers.
    naive
        Whether they bore no zone, and so were taken as UTC.
    """

    numbers: np.ndarray[Any, Any]
    missing: np.ndarray[Any, Any]
    unit: str = ""
    naive: bool = False

    def per_second(self) -> int:
        """How many of the unit make a second; 1 for numbers."""
        return PER_SECOND.get(self.unit, 1)

    def finer(self, unit: str) -> Times:
        """The same in a finer unit.

        Raises
        ------
        InvalidArgument
            A time is too far from now for that unit.
        """
        if unit == self.unit:
            return self
        factor = PER_SECOND[unit] // PER_SECOND[self.unit]
        there = self.numbers[~self.missing]
        most = np.iinfo(np.int64).max // factor
        if len(there) and (there.max() > most or there.min() < -most):
            raise InvalidArgument(
                f"some times are too far from today to be compared in {unit}.", hint="Give both tables the same unit."
            )
        values = np.where(self.missing, 0, self.numbers) * factor
        return Times(values, self.missing, unit, self.naive)


def times_of(values: pd.Series, column: str) -> Times:
    """A column of moments, days or numbers as numbers that can be compared.

    Raises
    ------
    InvalidArgument
        It holds something else.

    Examples
    --------
    >>> times_of(pd.Series(pd.to_datetime(["2026-01-01T01:00+01:00"])), "at").numbers // 10**6 % 86_400
    array([0])
    """
    kind = values.dtype
    if isinstance(kind, pd.ArrowDtype):
        from pyarrow import types

        if types.is_date(kind.pyarrow_dtype) or types.is_timestamp(kind.pyarrow_dtype):
            values = pd.Series(pd.to_datetime(values.array.to_numpy(dtype=object, na_value=None), utc=False))
    elif pd.api.types.is_object_dtype(kind) and pd.api.types.infer_dtype(values, skipna=True) in ("date", "datetime"):
        zoned = any(getattr(value, "tzinfo", None) is not None for value in values)
        values = pd.Series(pd.to_datetime(values, utc=zoned))
    if isinstance(values.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(values.dtype):
        naive = not isinstance(values.dtype, pd.DatetimeTZDtype)
        plain = values if naive else values.dt.tz_convert("UTC").dt.tz_localize(None)
        held = plain.to_numpy()
        unit = np.datetime_data(held.dtype)[0]
        if unit not in UNITS:
            held, unit = held.astype("datetime64[s]"), "s"
        missing = np.isnat(held)
        return Times(held.astype(np.int64), missing, unit, naive)
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
        held_kind = "text" if pd.api.types.is_string_dtype(values.dtype) else str(values.dtype)
        raise InvalidArgument(
            f"the time column {column!r} holds {held_kind}, neither times nor numbers.",
            hint=f"Turn it into times first: df[{column!r}] = pd.to_datetime(df[{column!r}]).",
        )
    missing = values.isna().to_numpy(dtype=bool)
    if pd.api.types.is_integer_dtype(values.dtype):
        return Times(values.fillna(0).to_numpy(dtype=np.int64), missing)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return Times(np.where(missing, 0.0, numbers), missing)


@dataclass(frozen=True)
class Found:
    """Where each label finds its features.

    Parameters
    ----------
    rows
        The row of the view, or a negative number that says why there is none: `UNKNOWN` entity, too `EARLY`,
        `EXPIRED`, `KEYLESS`.
    ages
        How long before its label each found row came to be true, in seconds or the column's own unit; NaN elsewhere
        and where the view has no time.
    """

    rows: np.ndarray[Any, Any]
    ages: np.ndarray[Any, Any]

    def count(self, why: int) -> int:
        """How many labels have no features for this reason."""
        return int((self.rows == why).sum())


class Ordered:
    """The rows of a view in the order in which they are looked up.

    Parameters
    ----------
    keys
        The entity columns.
    times
        When each row came to be true; None where all have always been known.
    created
        When each row was written: of rows with the same time the last written counts, else the last in the table.

    Examples
    --------
    >>> day = lambda *days: times_of(pd.Series(days), "day")
    >>> rows = Ordered([pd.Series(["a", "b", "a"])], day(1, 1, 5))
    >>> rows.find([pd.Series(["a", "a", "b", "c"])], day(4, 5, 0, 9)).rows
    array([ 0,  2, -2, -1])
    """

    def __init__(self, keys: Sequence[pd.Series], times: Times | None, created: Times | None = None) -> None:
        self._levels: list[pd.Index] = []
        count = len(keys[0])
        usable = np.ones(count, dtype=bool) if times is None else ~times.missing
        codes = np.zeros(count, dtype=np.int64)
        for key in keys:
            found, level = pd.factorize(plain_key(key), use_na_sentinel=True)
            usable &= found >= 0
            self._levels.append(pd.Index(level))
            codes = codes * max(len(level), 1) + found
        self._check_width()
        self.unusable = int(count - usable.sum())
        place = np.flatnonzero(usable)
        codes = codes[place]
        self._pairs: pd.Index | None = None
        if len(keys) > 1:  # which combinations there really are
            codes, pairs = pd.factorize(codes)
            self._pairs = pd.Index(pairs)
        groups = len(self._levels[0]) if self._pairs is None else len(self._pairs)
        self._there = np.bincount(codes, minlength=groups) > 0
        self._times = times
        values = np.zeros(len(place), dtype=np.int64) if times is None else times.numbers[place]
        self._scale = Scale.of(values, groups)
        combined = codes * self._scale.width + self._scale.places(values)
        if created is None:
            order = np.argsort(combined, kind="stable")
        else:
            written = np.where(created.missing, _least(created.numbers.dtype), created.numbers)[place]
            order = np.lexsort((written, combined))
        self._combined, self._rows = combined[order], place[order]
        self._codes, self._values = codes[order], values[order]
        self.ties = int((self._combined[1:] == self._combined[:-1]).sum())

    def _check_width(self) -> None:
        product = 1
        for level in self._levels:
            product *= max(len(level), 1)
        if product > np.iinfo(np.int64).max:
            raise InvalidArgument("there are too many entity columns with too many values.", hint="Name fewer.")

    def find(self, keys: Sequence[pd.Series], times: Times | None, ttl: float | None = None) -> Found:
        """The row that each label may see.

        Parameters
        ----------
        keys
            The labels' entity columns, in the view's order.
        times
            When each label was given; None looks up the last row of each entity.
        ttl
            In seconds, or in the time column's own unit; a row of just this age is found.
        """
        count = len(keys[0])
        usable = np.ones(count, dtype=bool)
        known = np.ones(count, dtype=bool)
        codes = np.zeros(count, dtype=np.int64)
        for key, level in zip(keys, self._levels, strict=True):
            plain = plain_key(key)
            usable &= ~pd.isna(plain)
            found = level.get_indexer(pd.Index(plain))
            known &= found >= 0
            codes = codes * max(len(level), 1) + found
        if self._pairs is not None:
            codes = self._pairs.get_indexer(pd.Index(np.where(known, codes, -1)))
        known &= codes >= 0
        codes = np.where(known, codes, 0)
        known &= self._there[codes] if len(self._there) else False
        if times is None or self._times is None:
            at_most = np.full(count, self._scale.width - 1, dtype=np.int64)
        else:
            usable &= ~times.missing
            at_most = self._scale.upto(in_unit_of(times, self._times))
        wanted = codes * self._scale.width + at_most
        # Sorted, the searches go through the array once from one end to the other.
        order = np.argsort(wanted)
        at = np.empty(count, dtype=np.int64)
        at[order] = np.searchsorted(self._combined, wanted[order], side="right") - 1
        inside = np.maximum(at, 0)
        if len(self._codes):
            there = (at >= 0) & (self._codes[inside] == codes) & known
            rows = np.where(there, self._rows[inside], np.where(known, EARLY, UNKNOWN))
        else:
            there = np.zeros(count, dtype=bool)
            rows = np.full(count, UNKNOWN)
        ages = np.full(count, np.nan)
        if times is not None and self._times is not None and there.any():
            place = np.flatnonzero(there & usable)
            gaps, per_second = difference(times, place, self._times, self._values[inside[place]])
            ages[place] = gaps / per_second
            if ttl is not None:
                limit = round(ttl * per_second) if gaps.dtype.kind == "i" else ttl * per_second
                rows[place[gaps > limit]] = EXPIRED
        rows[~usable] = KEYLESS
        ages[rows < 0] = np.nan
        return Found(rows, ages)


@dataclass(frozen=True)
class Scale:
    """How times become places from 1 on, so that entity and place together fit into one whole number.

    Parameters
    ----------
    width
        One more than the last place; place 0 is before all.
    least
        The time at place 1, where a place is as long as a unit.
    moments
        The different times, where it is not: fractions, or times too far apart for 64 bits.
    """

    width: int
    least: int = 0
    moments: np.ndarray[Any, Any] | None = None

    @classmethod
    def of(cls, values: np.ndarray[Any, Any], groups: int) -> Scale:
        """The scale of a view's times."""
        if not len(values):
            return cls(2)
        if values.dtype.kind == "i":
            least, most = int(values.min()), int(values.max())
            if (most - least + 2) * max(groups, 1) < 2**63:
                return cls(most - least + 2, least)
        moments = np.sort(values)
        moments = moments[np.concatenate([[True], moments[1:] != moments[:-1]])]
        return cls(len(moments) + 1, 0, moments)

    def places(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The places of the view's own times."""
        if self.moments is None:
            return values - self.least + 1
        found: np.ndarray[Any, Any] = np.searchsorted(self.moments, values) + 1
        return found

    def upto(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """For other times the last place that is not after each."""
        if self.moments is None and values.dtype.kind == "f":
            values = np.clip(np.floor(values), self.least - 1, self.least + self.width - 2).astype(np.int64)
        if self.moments is None:
            near: np.ndarray[Any, Any] = np.clip(values, self.least - 1, self.least + self.width - 2)
            return near - self.least + 1
        found: np.ndarray[Any, Any] = np.searchsorted(self.moments, values, side="right")
        return found


def in_unit_of(mine: Times, theirs: Times) -> np.ndarray[Any, Any]:
    """Times in another's unit, rounded down: what is not after them there is not after them here.

    Raises
    ------
    InvalidArgument
        One holds moments and the other numbers.
    """
    if bool(mine.unit) != bool(theirs.unit):
        what = ("times", "numbers") if mine.unit else ("numbers", "times")
        raise InvalidArgument(
            f"the labels' time column holds {what[0]}, the view's {what[1]}.", hint="Both must hold the same."
        )
    if not mine.unit or mine.unit == theirs.unit:
        return mine.numbers
    if UNITS.index(mine.unit) < UNITS.index(theirs.unit):
        return mine.finer(theirs.unit).numbers
    found: np.ndarray[Any, Any] = mine.numbers // (PER_SECOND[mine.unit] // PER_SECOND[theirs.unit])
    return found


def difference(
    mine: Times, place: np.ndarray[Any, Any], theirs: Times, values: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], int]:
    """How much later the labels at `place` are than the rows they found, and how many of that unit make a second."""
    own = Times(mine.numbers[place], np.zeros(len(place), dtype=bool), mine.unit)
    found = Times(values, np.zeros(len(values), dtype=bool), theirs.unit)
    if not mine.unit:
        return own.numbers - found.numbers, 1
    unit = max(mine.unit, theirs.unit, key=UNITS.index)
    gaps = own.finer(unit).numbers - found.finer(unit).numbers
    # No row found is later than its label: what is negative went beyond 64 bits.
    return np.where(gaps < 0, np.iinfo(np.int64).max, gaps), PER_SECOND[unit]


def plain_key(values: pd.Series) -> Any:
    """A key column so that equal keys of different storage are equal: categories as their values, numbers as numbers."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    kind = values.dtype
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_string_dtype(kind):
        return values.astype(object).where(values.notna(), None).to_numpy(dtype=object)
    if pd.api.types.is_integer_dtype(kind):
        return values.to_numpy(dtype=np.int64) if not values.isna().any() else _whole(values)
    if pd.api.types.is_float_dtype(kind):
        return _whole(values)
    if isinstance(kind, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    return values.to_numpy(dtype=object) if not pd.api.types.is_datetime64_dtype(kind) else values.to_numpy()


def _whole(values: pd.Series) -> Any:
    """Numbers with missing ones among them: exact integers where all are whole, else floats."""
    there = values.notna()
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype(object).where(there, None).to_numpy(dtype=object)
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def kind_of_key(values: pd.Series) -> str:
    """What sort of thing a key column holds, as far as keys can be equal: ``text``, ``number``, ``time`` or its dtype."""
    kind = values.dtype.categories.dtype if isinstance(values.dtype, pd.CategoricalDtype) else values.dtype
    if pd.api.types.is_bool_dtype(kind):
        return "boolean"
    if pd.api.types.is_numeric_dtype(kind):
        return "number"
    if pd.api.types.is_datetime64_any_dtype(kind):
        return "time"
    if pd.api.types.is_object_dtype(kind):
        found = pd.api.types.infer_dtype(values, skipna=True)
        return {"string": "text", "integer": "number", "floating": "number", "empty": "anything"}.get(found, found)
    return "text" if pd.api.types.is_string_dtype(kind) else str(kind)


def _least(kind: np.dtype[Any]) -> Any:
    return -np.inf if kind.kind == "f" else np.iinfo(kind).min
