"""Contract: what a table has to keep to, learnt once from a data version and enforced wherever rows come in.

The rules and `breaches_of` need nothing but the standard library, so that a server can hold requests to them; tables are
held to them by `datasets.contract`, with the same answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from .data_check import Severity
from .display import Displayed, table
from .record import Record

__all__ = ["Breach", "ColumnRule", "Contract", "ValueKind", "breaches_of"]

ValueKind = Literal["integer", "number", "truth", "moment", "text", "other"]
SHOWN = 5
SCHEMA = 1


@dataclass(frozen=True)
class ColumnRule(Record):
    """What one column has to keep to.

    Parameters
    ----------
    kind
        What its values are. Whole numbers pass as numbers; numbers that are whole pass as ``integer``; categories are texts.
    nullable
        Whether cells may be missing.
    unique
        Whether every value may be there only once.
    minimum, maximum
        Of numbers, and of moments as seconds since 1970 in UTC; None for no bound.
    categories
        The only values allowed; None for any.
    required
        Whether the column must be there.
    """

    name: str
    kind: ValueKind
    type: str = ""
    nullable: bool = False
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None
    required: bool = True

    def faults(self, value: Any) -> str:
        """Why a value that is not missing breaks the rule: ``type``, ``range`` or ``category``; empty if it does not.

        Examples
        --------
        >>> rule = ColumnRule("age", "integer", minimum=17, maximum=90)
        >>> rule.faults(30), rule.faults(30.0), rule.faults(30.5), rule.faults(999), rule.faults("30")
        ('', '', 'type', 'range', 'type')
        """
        number = self._number(value)
        if number is None and self.kind in ("integer", "number", "moment"):
            return "type"
        if (self.kind == "truth" and not isinstance(value, bool)) or (
            self.kind == "text" and not isinstance(value, str)
        ):
            return "type"
        if number is not None:
            low = self.minimum is not None and number < self.minimum
            return "range" if low or (self.maximum is not None and number > self.maximum) else ""
        return "category" if self.categories is not None and str(value) not in self.categories else ""

    def _number(self, value: Any) -> float | None:
        if self.kind == "moment":
            return seconds_of(value)
        if self.kind not in ("integer", "number") or isinstance(value, (bool, str)):
            return None
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        whole = math.isfinite(number) and number == round(number)
        return number if whole or self.kind == "number" else None

    def range(self) -> str:
        """What is allowed, for people."""
        if self.categories is not None:
            more = len(self.categories) - 6
            return ", ".join(self.categories[:6]) + (f" and {more} more" if more > 0 else "")
        if self.minimum is None and self.maximum is None:
            return ""
        low, high = (
            _moment(v) if self.kind == "moment" else f"{v:,.0f}" if self.kind == "integer" else f"{v:g}"
            for v in (self.minimum or 0.0, self.maximum or 0.0)
        )
        return f"{low if self.minimum is not None else '…'} to {high if self.maximum is not None else '…'}"


@dataclass(frozen=True)
class Contract(Displayed, Record):
    """What a table has to keep to.

    Parameters
    ----------
    source
        The data version it was learnt from, or the file it was read from.
    extra
        Whether other columns may be there too.
    """

    source: str
    columns: tuple[ColumnRule, ...]
    extra: bool = True
    schema: int = SCHEMA

    def text(self) -> str:
        rows = [
            [c.name, c.kind, "yes" if c.nullable else "no", "yes" if c.unique else "", c.range()] for c in self.columns
        ]
        return f"contract of {self.source}\n" + table(["column", "kind", "may be missing", "unique", "allowed"], rows)


@dataclass(frozen=True)
class Breach(Record):
    """One way in which a table, or rows on their way to a model, break a contract.

    Parameters
    ----------
    kind
        ``column``, ``type``, ``missing``, ``unique``, ``range``, ``category`` or ``extra``.
    fix
        A line of code with ``{table}`` for the table's name.
    """

    column: str
    kind: str
    severity: Severity
    message: str
    count: int = 0
    rows: tuple[int, ...] = ()
    examples: tuple[str, ...] = ()
    rule: str = ""
    fix: str = ""


def seconds_of(value: Any) -> float | None:
    """A moment as seconds since 1970, in UTC where it has no zone; None for what is none.

    Examples
    --------
    >>> seconds_of("1970-01-02"), seconds_of("1970-01-01T01:00:00+01:00"), seconds_of("soon"), seconds_of(5)
    (86400.0, 0.0, None, None)
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()


def breaches_of(contract: Contract, columns: Mapping[str, Sequence[Any]]) -> list[Breach]:
    """How rows, given column by column, break a contract; None and NaN are missing.

    Examples
    --------
    >>> contract = Contract("adult@v1", (ColumnRule("age", "integer", minimum=17, maximum=90),))
    >>> [(b.kind, b.count) for b in breaches_of(contract, {"age": [30, 999, None]})]
    [('missing', 1), ('range', 1)]
    """
    found: list[Breach] = []
    for rule in contract.columns:
        if rule.name not in columns:
            found += [absent(rule)] if rule.required else []
            continue
        places: dict[str, list[int]] = {"missing": [], "type": [], "range": [], "category": [], "unique": []}
        seen: set[Any] = set()
        values = columns[rule.name]
        for place, value in enumerate(values):
            if value is None or (isinstance(value, float) and math.isnan(value)):
                places["missing"].append(place)
                continue
            fault = rule.faults(value)
            if fault:
                places[fault].append(place)
            if rule.unique:
                if value in seen:
                    places["unique"].append(place)
                seen.add(value)
        found += [b for kind in places if (b := breach(rule, kind, places[kind], values))]
    known = {rule.name for rule in contract.columns}
    return found if contract.extra else [*found, *(unexpected(name) for name in columns if name not in known)]


def absent(rule: ColumnRule) -> Breach:
    """A column that must be there is not."""
    fix = f"{{table}}[{_braced(repr(rule.name))}] = ...  # {rule.kind}{': ' + rule.range() if rule.range() else ''}"
    return Breach(rule.name, "column", "error", f"there is no column {rule.name!r}", fix=fix)


def unexpected(name: str) -> Breach:
    """A column is there that the contract does not know."""
    fix = f"{{table}} = {{table}}.drop(columns=[{_braced(repr(name))}])"
    return Breach(name, "extra", "error", f"the contract knows no column {name!r}", fix=fix)


def breach(rule: ColumnRule, kind: str, places: Sequence[int], values: Any) -> Breach | None:
    """The breach of one kind at some places, None for none.

    Parameters
    ----------
    values
        The column, by place.
    """
    if not len(places) or (kind == "missing" and rule.nullable):
        return None
    column, n = f"{{table}}[{_braced(repr(rule.name))}]", len(places)
    cells = "cell" if n == 1 else "cells"
    examples = () if kind == "missing" else tuple(dict.fromkeys(str(values[int(p)])[:60] for p in places[:20]))[:SHOWN]
    bad = sorted({str(values[int(p)]) for p in places[:200]}) if kind == "category" else []
    message, fix = {
        "missing": (f"{n:,} {cells} missing, where none may be", f"{{table}} = {{table}}.dropna(subset=[{_braced(repr(rule.name))}])"),
        "type": (f"{n:,} {cells} hold no {_WORDS[rule.kind]}", _conversion(rule, column)),
        "range": (f"{n:,} {cells} outside {rule.range()}", f"{column} = {column}.clip({rule.minimum!r}, {rule.maximum!r})"),
        "category": (f"{n:,} {cells} hold other values than {rule.range()}", f"{{table}}[{column}.isin({_braced(repr(bad[:20]))})]"),
        "unique": (f"{n:,} {cells} repeat an earlier one, where all must differ",
                   f"{{table}} = {{table}}.drop_duplicates(subset=[{_braced(repr(rule.name))}])"),
    }[kind]  # fmt: skip
    severity: Severity = "warning" if kind == "range" else "error"
    return Breach(
        rule.name, kind, severity, message, n, tuple(int(p) for p in places[:SHOWN]), examples, f"contract: {kind}", fix
    )


def _braced(text: str) -> str:
    """Text whose braces survive ``format``."""
    return text.replace("{", "{{").replace("}", "}}")


_WORDS = {
    "integer": "whole number", "number": "number", "truth": "truth value", "moment": "time", "text": "text", "other": "such value",
}  # fmt: skip


def _conversion(rule: ColumnRule, column: str) -> str:
    if rule.kind in ("integer", "number"):
        return f"{column} = pd.to_numeric({column}, errors='coerce')" + (".round()" if rule.kind == "integer" else "")
    if rule.kind == "moment":
        return f"{column} = pd.to_datetime({column}, errors='coerce')"
    return f"{column} = {column}.astype({'bool' if rule.kind == 'truth' else 'str'!r})"


def _moment(seconds: float) -> str:
    """A time in seconds since 1970; beyond the calendar as the number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")[:19]
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"
