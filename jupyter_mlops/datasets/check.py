"""Check: what a data check is, what it is handed, and how all of them are carried out so that no column breaks the report."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ..domain.context import now_ms
from ..domain.data_check import SEVERITIES, DataCheck, Finding, Severity, Skipped
from ..errors import MissingDependency, MLOpsError, NotFound

if TYPE_CHECKING:
    from ..domain.contract import Contract

__all__ = ["SHOWN", "Check", "Column", "Subject", "check_table", "finding", "share"]

SHOWN = 5  # rows and values that a finding names
FEW_CLASSES = 20  # whole numbers with at most so many values are classes
SAMPLE = 50_000  # rows that checks which fit models look at

Codes = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Kind = Literal["number", "truth", "moment", "text", "category", "other"]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of the table, with what several checks want to know of it."""

    place: int
    name: str
    cells: pd.Series[Any]
    label: Any = None
    """The name as the table has it; a number, say."""

    @cached_property
    def kind(self) -> Kind:
        """What it holds, by its type."""
        kinds = pd.api.types
        if isinstance(self.cells.dtype, pd.CategoricalDtype):
            return "category"
        if kinds.is_bool_dtype(self.cells.dtype):
            return "truth"
        if kinds.is_numeric_dtype(self.cells.dtype) and not kinds.is_complex_dtype(self.cells.dtype):
            return "number"
        if kinds.is_datetime64_any_dtype(self.cells.dtype):
            return "moment"
        if kinds.is_string_dtype(self.cells.dtype) or kinds.is_object_dtype(self.cells.dtype):
            first = self.cells.dropna().head(50)
            return "text" if len(first) and all(isinstance(v, str) for v in first) else "other"
        return "other"

    @cached_property
    def _coded(self) -> tuple[Codes, Any]:
        try:
            codes, uniques = pd.factorize(self.cells)
        except TypeError:  # lists and other things without a hash
            codes, uniques = pd.factorize(self.cells.map(repr, na_action="ignore"))
        return np.asarray(codes, dtype=np.int64), uniques

    @property
    def codes(self) -> Codes:
        """Equal cells have equal numbers, counted from 0; -1 is missing."""
        return self._coded[0]

    @property
    def uniques(self) -> Any:
        """The value that each code stands for."""
        return self._coded[1]

    @cached_property
    def counts(self) -> Codes:
        """How often each code occurs."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.uniques)).astype(np.int64)

    @cached_property
    def numbers(self) -> Floats:
        """The cells as floats, NaN where missing; moments as seconds since 1970."""
        if self.kind == "moment":
            naive = self.cells.dt.tz_convert(None) if getattr(self.cells.dt, "tz", None) else self.cells
            whole = naive.to_numpy().astype("datetime64[us]")
            return np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / 1e6)
        return np.asarray(pd.to_numeric(self.cells, errors="coerce").to_numpy(dtype=float, na_value=np.nan))

    @cached_property
    def features(self) -> Floats:
        """As a model can take it: numbers as they are, everything else as codes; NaN where missing."""
        if self.kind in ("number", "moment"):
            return np.where(np.isinf(self.numbers), np.nan, self.numbers)
        return np.where(self.codes < 0, np.nan, self.codes.astype(float))

    @property
    def continuous(self) -> bool:
        """Whether nearness between its values means something."""
        return self.kind in ("number", "moment")


@dataclass(frozen=True, eq=False)
class Subject:
    """What is checked, and what the checks were told of it.

    Parameters
    ----------
    target, time, group
        Names of columns, empty for none.
    by
        The column whose groups must be represented.
    test
        The table that is kept apart for testing.
    contract
        What the table has to keep to.
    name
        What the table is called in lines of code.
    """

    frame: pd.DataFrame
    target: str = ""
    time: str = ""
    group: str = ""
    by: str = ""
    test: pd.DataFrame | None = None
    contract: Contract | None = None
    name: str = "df"
    personal: dict[str, str] = field(default_factory=dict)
    """Filled by the check for personal data, which goes first: what must not be quoted."""

    def __post_init__(self) -> None:
        known = [str(c) for c in self.frame.columns]
        for asked in (self.target, self.time, self.group, self.by):
            if asked and asked not in known:
                raise NotFound.among("column", asked, known)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every column, by place: names may repeat."""
        names = list(self.frame.columns)
        return tuple(Column(i, str(n), self.frame.iloc[:, i], n) for i, n in enumerate(names))

    def column(self, name: str) -> Column:
        """The first column of a name."""
        return next(c for c in self.columns if c.name == name)

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model could learn from: all but target, group and time."""
        return tuple(c for c in self.columns if c.name not in (self.target, self.group, self.time))

    @cached_property
    def classes(self) -> bool:
        """Whether the target names classes, by its type or, of whole numbers, by having at most 20 values."""
        target = self.column(self.target)
        if target.kind != "number":
            return target.kind != "moment"
        whole = target.numbers[np.isfinite(target.numbers)]
        return len(target.uniques) <= FEW_CLASSES and bool(np.all(whole == np.round(whole)))

    @cached_property
    def sample(self) -> Codes:
        """Positions of rows for checks that fit models: those with a target, at most 50,000, drawn with seed 0."""
        there = np.flatnonzero(self.column(self.target).codes >= 0)
        if len(there) > SAMPLE:
            there = np.sort(np.random.default_rng(0).choice(there, SAMPLE, replace=False))
        return there

    def code(self, name: Any) -> str:
        """How a line of code names a column: ``df['age']``."""
        return f"{self.name}[{self._label(name)!r}]"

    def _label(self, name: Any) -> Any:
        found = next((c.label for c in self.columns if c.name == name), name)
        return found.item() if isinstance(found, np.generic) else found

    def labels(self, names: Iterable[str]) -> list[Any]:
        """Columns as the table names them, for a line of code."""
        return [self._label(name) for name in names]

    def examples(self, column: Column, rows: Sequence[int] | Codes, *, most: int = SHOWN) -> tuple[str, ...]:
        """Different values of some rows as text; none of a column with personal data."""
        if column.name in self.personal:
            return ()
        found = [_shown(column.cells.iloc[int(row)]) for row in list(rows)[: most * 4]]
        return tuple(dict.fromkeys(found))[:most]


@dataclass(frozen=True)
class Check:
    """One check.

    Parameters
    ----------
    what
        What it looks for, in a line.
    look
        Gives the findings: of the whole table, or with ``each`` of one column.
    each
        Whether `look` is called once a column.
    when
        Whether there is something to look at: most need a target, a test table or another hint.
    """

    name: str
    what: str
    look: Callable[..., Iterable[Finding]]
    each: bool = False
    when: Callable[[Subject], bool] = lambda _: True


def check_table(
    subject: Subject, checks: Iterable[Check], *, progress: Callable[[str], None] | None = None
) -> DataCheck:
    """Carry out checks on a table.

    A check, or a column in one, that fails is named in the report, and the others go on.
    """
    began = time.perf_counter()
    found: list[Finding] = []
    skipped: list[Skipped] = []
    done: list[str] = []
    for check in checks:
        if not check.when(subject):
            continue
        if progress is not None:
            progress(f"checking {check.name.replace('_', ' ')}")
        done.append(check.name)
        for columns in [(c,) for c in subject.columns] if check.each else [()]:
            try:
                with np.errstate(all="ignore"):
                    found += check.look(subject, *columns)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, MissingDependency) as error:
                reason = error.message if isinstance(error, MLOpsError) else str(error).strip().split("\n", 1)[0]
                skipped.append(Skipped(check.name, ", ".join(c.name for c in columns), reason[:200] or repr(error)))
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    ranked = sorted((_discreet(f, subject.personal) for f in found), key=lambda f: order[f.severity])
    return DataCheck(
        table=subject.name,
        rows=len(subject.frame),
        columns=subject.frame.shape[1],
        findings=tuple(ranked),
        skipped=tuple(skipped),
        checks=tuple(done),
        target=subject.target,
        personal=dict(subject.personal),
        at_ms=now_ms(),
        seconds=time.perf_counter() - began,
    )


def finding(
    check: str,
    severity: Severity,
    columns: str | Iterable[str],
    message: str,
    rows: Iterable[int] | Codes = (),
    **more: Any,
) -> Finding:
    """A finding, with the first few of its rows; ``count`` is how many rows there are unless given."""
    places = np.asarray(list(rows) if not isinstance(rows, np.ndarray) else rows, dtype=np.int64)
    more.setdefault("count", len(places))
    more["numbers"] = {k: float(v) for k, v in more.get("numbers", {}).items()}
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    return Finding(check, severity, names, message, rows=tuple(int(p) for p in places[:SHOWN]), **more)


def share(count: float, of: float) -> str:
    """A part of a whole, readable and never rounded to none or all.

    Examples
    --------
    >>> share(1, 3), share(1, 100_000), share(99_999, 100_000), share(0, 5)
    ('33.3 %', '<0.1 %', '>99.9 %', '0 %')
    """
    if not count or not of:
        return "0 %"
    percent = 100 * count / of
    if percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.3g} %"


def _shown(value: Any) -> str:
    text = str(value) if not isinstance(value, float) else f"{value:.6g}"
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _discreet(found: Finding, personal: dict[str, str]) -> Finding:
    """A finding that quotes no personal data, whichever check it is from."""
    hidden = any(name in personal for name in found.columns) and found.check != "personal_data"
    return replace(found, examples=()) if hidden and found.examples else found
