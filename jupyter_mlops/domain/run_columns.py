"""Run columns: many runs as columns, each made into a `Run` only when somebody looks at it.

A table of ten thousand runs crosses from the service to the kernel and becomes a DataFrame in a fraction of a second
this way; as one object a run it would take several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from .run import Run

__all__ = ["BETWEEN", "RunColumns"]

Side = tuple[list[int | None], list[str]]

BETWEEN = "\x1f"
"""Stands between two names or two texts; floats stand apart by a blank."""


@dataclass(eq=False)
class RunColumns(Sequence["Run"]):
    r"""Runs as columns.

    Metrics and parameters are kept for each run as the number of its set of names, and its values in the order of that.

    Parameters
    ----------
    plain
        Fields of `Run` by name, one value a run.
    sets
        The different sets of names, each joined by `BETWEEN`.
    metrics, params
        For each run the number of its set, or None where it has none, and its values as one text.

    Examples
    --------
    >>> columns = RunColumns({"id": ["a", "b"], "name": ["one", "two"], "status": ["FINISHED"] * 2}, ["auc\x1floss", "C"],
    ...                      metrics=([0, None], ["0.9 0.1", ""]), params=([1, None], ["1.0", ""]))
    >>> columns[0].metrics, columns[-1].params, columns.metric_columns()["loss"]
    ({'auc': 0.9, 'loss': 0.1}, {}, [0.1, nan])
    """

    plain: dict[str, list[Any]]
    sets: list[str]
    metrics: Side
    params: Side
    _made: dict[int, Run] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.plain["id"])

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        if isinstance(index, slice):
            return [self._run(i) for i in range(*index.indices(len(self)))]
        return self._run(range(len(self))[index])

    def __iter__(self) -> Iterator[Run]:
        return map(self._run, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]  # it holds lists

    def _run(self, i: int) -> Run:
        from .run import Run  # the two modules need each other; this one is loaded first

        if i not in self._made:
            own: dict[str, Any] = {name: values[i] for name, values in self.plain.items()}
            own |= {name: tuple(own[name]) for name in ("data", "models") if name in own}
            metrics = dict(zip(self._names(self.metrics, i), map(float, self.metrics[1][i].split(" ")), strict=False))
            params = dict(zip(self._names(self.params, i), self.params[1][i].split(BETWEEN), strict=False))
            self._made[i] = Run(**own, metrics=dict(sorted(metrics.items())), params=dict(sorted(params.items())))
        return self._made[i]

    def _names(self, side: Side, i: int) -> list[str]:
        number = side[0][i]
        return [] if number is None else self.sets[number].split(BETWEEN)

    def running(self) -> list[Run]:
        """The runs that claim to be running."""
        return [self._run(i) for i, status in enumerate(self.plain["status"]) if status == "RUNNING"]

    def metric_columns(
        self, read: Callable[[list[str], int], Any] | None = None, empty: Callable[[], Any] | None = None
    ) -> dict[str, Any]:
        """Every metric as floats, NaN where a run has none.

        Parameters
        ----------
        read
            Turns the texts of runs that have the same so many metrics into as many columns; lists by default.
        empty
            Makes a column of NaN for every run, in which many places are set at once; needed where `read` is given.
        """
        return self._spread(self.metrics, lambda: [nan] * len(self), read or _floats, at_once=empty)

    def param_columns(self) -> dict[str, list[str | None]]:
        """Every parameter as texts, None where a run has none."""
        return self._spread(
            self.params,
            lambda: [None] * len(self),
            lambda texts, _: zip(*(text.split(BETWEEN) for text in texts), strict=True),
        )

    def _spread(
        self,
        side: Side,
        empty: Callable[[], Any],
        read: Callable[[list[str], int], Any],
        at_once: Callable[[], Any] | None = None,
    ) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for names, places, texts in self._by_set(side):
            for name, values in zip(names, read(texts, len(names)), strict=True):
                if len(places) == len(self):  # all runs have it
                    columns[name] = values
                elif at_once is not None:
                    columns.setdefault(name, at_once())[places] = values
                else:
                    column = columns.setdefault(name, empty())
                    for place, value in zip(places, values, strict=True):
                        column[place] = value
        return dict(sorted(columns.items()))

    def name_counts(self) -> dict[str, int]:
        """How many runs have each metric."""
        counts: dict[str, int] = {}
        for names, places, _ in self._by_set(self.metrics):
            for name in names:
                counts[name] = counts.get(name, 0) + len(places)
        return counts

    def _by_set(self, side: Side) -> list[tuple[list[str], list[int], list[str]]]:
        """For each set of names: the names, the runs that have it, and their values' texts."""
        grouped: dict[int, tuple[list[int], list[str]]] = {}
        for i, (number, text) in enumerate(zip(*side, strict=True)):
            if number is not None:
                places, texts = grouped.setdefault(number, ([], []))
                places.append(i)
                texts.append(text)
        return [(self.sets[number].split(BETWEEN), *found) for number, found in grouped.items()]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> RunColumns:
        """Runs as columns; what is columns already stays."""
        if isinstance(runs, cls):
            return runs
        names = (
            "id name status experiment started_ms ended_ms data models notebook commit user kind parent reason trust"
        )
        fields = f"{names} trust_reasons superseded_by".split()
        sets: dict[str, int] = {}
        metrics: Side = ([], [])
        params: Side = ([], [])
        for run in runs:
            for side, held, between in ((metrics, run.metrics, " "), (params, run.params, BETWEEN)):
                key = BETWEEN.join(held)
                side[0].append(sets.setdefault(key, len(sets)) if held else None)
                written = (
                    value.replace(BETWEEN, " ") if isinstance(value, str) else repr(value) for value in held.values()
                )
                side[1].append(between.join(written))
        return cls({name: [getattr(run, name) for run in runs] for name in fields}, list(sets), metrics, params)

    def to_dict(self) -> dict[str, Any]:
        """The columns as JSON-ready data; of a column whose values are all the same, one."""
        alike = [name for name, values in self.plain.items() if values and values.count(values[0]) == len(values)]
        plain = {name: values[:1] if name in alike else values for name, values in self.plain.items()}
        told = {"sets": self.sets, "metrics": self.metrics, "params": self.params}
        return {"plain": plain, "alike": alike, "runs": len(self), **told}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunColumns:
        """Read `to_dict`'s data; a field that this version does not know is passed over."""
        from .run import Run

        alike, runs = frozenset(data.get("alike", ())), data.get("runs", 0)
        known = {
            name: values * runs if name in alike else values
            for name, values in data["plain"].items()
            if name in Run.__dataclass_fields__
        }
        return cls(known, data["sets"], tuple(data["metrics"]), tuple(data["params"]))


def _floats(texts: list[str], names: int) -> Any:
    """As many columns of floats as there are names, out of one text a run."""
    values = [*map(float, " ".join(texts).split(" "))]
    return [values[i::names] for i in range(names)]
