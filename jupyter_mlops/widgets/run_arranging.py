"""Runs arranged: which of thousands of runs a live table shows, sorted and filtered where all of them are: in the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..domain.display import Displayed
from ..domain.run import RunTable
from ..domain.run_columns import RunColumns

__all__ = ["PLAIN", "ArrangedRuns", "arranged"]

PLAIN = ("name", "id", "status", "started", "took", "trust")
"""The columns that every table of runs has, as `runs.run_rows` draws them; then come ``metrics.x`` and ``params.y``."""


class _Columns:
    """The values of all runs, a column at a time."""

    def __init__(self, runs: RunColumns) -> None:
        self.runs = runs

    def values(self, key: str) -> Sequence[Any]:
        """What to sort by."""
        plain = self.runs.plain
        if key == "took":
            pairs = zip(plain["started_ms"], plain["ended_ms"], strict=True)
            return [None if ended is None else ended - started for started, ended in pairs]
        if key == "trust":
            pairs = zip(plain["trust"], plain["superseded_by"], strict=True)
            return ["superseded" if by else label for label, by in pairs]
        if key in PLAIN:
            found: list[Any] = plain["started_ms" if key == "started" else key]
            return found if key != "name" else [str(name).lower() for name in found]
        kind, _, name = key.partition(".")
        return self.metrics.get(name, ()) if kind == "metrics" else _numbers(self.params.get(name, ()))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return self.runs.metric_columns()

    @cached_property
    def params(self) -> dict[str, list[str | None]]:
        return self.runs.param_columns()

    @cached_property
    def words(self) -> list[str]:
        """What each run is found by: its name, id, status, trust label and parameters."""
        told = [self.runs.plain["name"], self.runs.plain["id"], self.runs.plain["status"], self.values("trust")]
        lines = [" ".join(map(str, line)) for line in zip(*told, strict=True)]
        for name, values in self.params.items():
            for i, value in enumerate(values):
                if value is not None:
                    lines[i] += f" {name}={value}"
        return [line.lower() for line in lines]


def _numbers(values: Sequence[str | None]) -> Sequence[Any]:
    """Texts as numbers where all are, so that 10 comes after 9."""
    try:
        return [None if value is None else float(value) for value in values]
    except ValueError:
        return values


@dataclass(frozen=True)
class ArrangedRuns(Displayed):
    """A table of runs as somebody has arranged it.

    Parameters
    ----------
    whole
        The table as the command gave it.
    found
        The same, or what a filter in MLflow's words left of the store's runs.
    sort, direction
        The column it is sorted by, empty for the order it came in; 1 upwards, -1 downwards. What has no value stands last.
    words
        A piece of text that the shown runs have in them.
    shown
        Columns to show, of ``metrics.x`` and ``params.y``; None for the most common metrics.
    """

    whole: RunTable
    found: RunTable
    sort: str = ""
    direction: int = 1
    words: str = ""
    shown: tuple[str, ...] | None = None
    columns: _Columns = field(default_factory=lambda: _Columns(RunColumns.of(())), repr=False, compare=False)

    def text(self) -> str:
        """The table as the command gave it."""
        return self.whole.text()

    @cached_property
    def places(self) -> list[int]:
        """The runs that match, in their order, by their place in what was found."""
        wanted = self.words.lower().strip()
        places = [*range(len(self.found.runs))]
        if wanted:
            lines = self.columns.words
            places = [i for i in places if wanted in lines[i]]
        values = self.columns.values(self.sort) if self.sort else ()
        if not len(values):
            return places
        known = [i for i in places if values[i] is not None and values[i] == values[i]]
        there = {*known}
        known.sort(key=values.__getitem__, reverse=self.direction < 0)
        return [*known, *(i for i in places if i not in there)]

    def first(self, count: int) -> RunTable:
        """The first so many of them."""
        return replace(self.found, runs=tuple(self.found.runs[i] for i in self.places[:count]))

    def names(self) -> dict[str, list[str]]:
        """What there is to show: the names of metrics, the most common first, and of parameters that differ."""
        params = self.columns.params
        differ = [name for name, values in params.items() if len({*values}) > 1]
        return {"metrics": self.found.metric_names(), "params": [*differ, *sorted({*params} - {*differ})]}

    def asked(self, asked: Mapping[str, Any], found: RunTable) -> ArrangedRuns:
        """These runs as `asked` wants them arranged."""
        shown = asked.get("shown")
        return replace(
            self,
            sort=str(asked.get("sort") or ""),
            direction=-1 if asked.get("direction") == -1 else 1,
            words=str(asked.get("words") or ""),
            shown=self.shown if shown is None else tuple(map(str, shown)),
            found=found,
            columns=self.columns if found is self.found else _Columns(RunColumns.of(found.runs)),
        )


def arranged(table: RunTable | ArrangedRuns) -> ArrangedRuns:
    """A table of runs, arranged as it came."""
    if isinstance(table, ArrangedRuns):
        return table
    return ArrangedRuns(table, table, columns=_Columns(RunColumns.of(table.runs)))
