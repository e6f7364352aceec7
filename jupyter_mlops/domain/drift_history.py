"""Drift history: the columns of a deployment over time, window by window, and since when each one drifts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .display import Displayed, clock, cut, several, table
from .drift_report import DriftReport
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "DriftHistory", "DriftWindow", "State", "window_of"]

State = Literal["ok", "drift", "strong", "unjudged"]
NAMED = 3  # columns in the one line that is read first; each row of the map has its own since
MARKS = {"ok": "·", "drift": "▒", "strong": "█", "unjudged": "?"}


@dataclass(frozen=True)
class Cell(Record):
    """One column in one window: the verdict, and the score that stands farthest past its threshold.

    Parameters
    ----------
    detector, value
        The score; empty and None where nothing was measured.
    """

    state: State
    detector: str = ""
    value: float | None = None


@dataclass(frozen=True)
class DriftWindow(Record):
    """One window: its times in milliseconds since 1970, its rows, a cell for each column, and findings in words."""

    start_ms: int
    end_ms: int
    rows: int
    cells: tuple[Cell, ...]
    findings: tuple[str, ...] = ()

    def cell(self, place: int) -> Cell:
        """The cell of a column by its place; not judged where the window has none."""
        return self.cells[place] if place < len(self.cells) else Cell("unjudged")

    @property
    def drifted(self) -> int:
        """How many columns drifted."""
        return sum(cell.state in ("drift", "strong") for cell in self.cells)


@dataclass(frozen=True)
class DriftHistory(Displayed, Record):
    """The drift of a deployment over time.

    Parameters
    ----------
    against
        What every window is compared with, in words.
    columns
        The names of the columns, in the order of the windows' cells.
    """

    deployment: str
    model: str
    against: str
    every: str
    columns: tuple[str, ...]
    windows: tuple[DriftWindow, ...]
    convention: str = ""

    def __iter__(self) -> Iterator[DriftWindow]:
        return iter(self.windows)

    def __len__(self) -> int:
        return len(self.windows)

    def since(self, column: str) -> int | None:
        """Since when a column drifts without a break up to the last judged window; None if it does not."""
        place, begun = self.columns.index(column), None
        for window in reversed(self.windows):
            state = window.cell(place).state
            if state == "unjudged":
                continue
            if state == "ok":
                break
            begun = window.start_ms
        return begun

    @property
    def verdict(self) -> str:
        """One line: what drifts now, and since when."""
        if not self.windows:
            return "no windows yet"
        now = [(since, name) for name in self.columns if (since := self.since(name)) is not None]
        if not now:
            return f"no column drifts in the latest of {len(self.windows)} windows"
        times = [clock(since)[:16] for since, _ in now]
        began = f"since {min(times)}" if len(set(times)) == 1 else f"the first since {min(times)}"
        names = [cut(name, 24) for _, name in sorted(now)]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f"{len(now)} of {several(len(self.columns), 'column')} drift, {began}: {', '.join(names[:NAMED])}{more}"

    def ordered(self) -> list[int]:
        """The places of the columns, those that drift most first."""
        rank = {"strong": 3, "drift": 2, "unjudged": 0, "ok": 0}
        weight = [sum(rank[w.cell(i).state] for w in self.windows) for i in range(len(self.columns))]
        return sorted(range(len(self.columns)), key=lambda i: (-weight[i], i))

    def to_pandas(self) -> pd.DataFrame:
        """One row a window and column."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "start": pd.Timestamp(w.start_ms, unit="ms", tz="UTC"),
                    "end": pd.Timestamp(w.end_ms, unit="ms", tz="UTC"),
                    "rows": w.rows,
                    "column": name,
                    **cell.to_dict(),
                }
                for w in self.windows
                for name, cell in zip(self.columns, w.cells, strict=False)
            ]
        )

    def text(self) -> str:
        rows = []
        for i in self.ordered():
            since = self.since(self.columns[i])
            marks = "".join(MARKS[window.cell(i).state] for window in self.windows)
            rows.append([self.columns[i], marks, "-" if since is None else clock(since)[:16]])
        head = f"{self.verdict}\n{self.deployment} ({self.model}) every {self.every} against {self.against}"
        if not self.windows:
            return head
        reach = f"{clock(self.windows[0].start_ms)[:16]} to {clock(self.windows[-1].end_ms)[:16]}"
        key = "  ".join(f"{mark} {state}" for state, mark in MARKS.items())
        return f"{head}, {reach}\n{table(['column', 'windows', 'drifts since'], rows)}\n{key}"


def window_of(report: DriftReport, columns: tuple[str, ...], start_ms: int, end_ms: int) -> DriftWindow:
    """A report in short: a cell for each of these columns."""
    by_name = {column.name: column for column in report.columns}
    cells = []
    for name in columns:
        column = by_name.get(name)
        if column is None or column.drifted is None:
            cells.append(Cell("unjudged"))
            continue
        ranked = sorted(
            (s for s in column.scores if s.threshold), key=lambda s: (not s.alarm, -s.value / (s.threshold or 1.0))
        )
        state: State = "strong" if column.strong else "drift" if column.drifted else "ok"
        best = ranked[0] if ranked else None
        cells.append(Cell(state, best.detector if best else "", round(best.value, 4) if best else None))
    told = tuple(f.message for f in report.findings if f.severity != "info")
    return DriftWindow(start_ms, end_ms, report.current_rows, tuple(cells), told[:5])
