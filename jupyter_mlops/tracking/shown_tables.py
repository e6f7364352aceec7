"""Shown tables: what a cell shows of a DataFrame during a run is stored with it as a page of HTML, personal data masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tracker import Tracker

__all__ = ["ShownTables"]

PLACE = "mlops/tables"
MOST = 20
ROWS = 50
COLUMNS = 50


class ShownTables:
    """Stores the tables that are shown while a run is recorded; where there are no cells nothing is shown."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._forget: Callable[[], None] | None = None
        self._count = 0

    def begin(self) -> None:
        """Store every table shown from now on."""
        listen = self._tracker.context.hooks.get("listen_to_displays")
        self._count = 0
        self._forget = listen(self._shown) if listen is not None else None

    def end(self) -> None:
        """Store no more."""
        if self._forget is not None:
            self._forget()
        self._forget = None

    def _shown(self, thing: Any) -> None:
        recording = self._tracker.current
        kind = type(thing)
        if recording is None or kind.__module__.partition(".")[0] != "pandas" or kind.__name__ != "DataFrame":
            return
        self._count += 1
        if self._count > MOST:
            recording.note(f"more than {MOST} tables were shown: the later ones are not stored.")
            return
        try:
            text = self._page(thing)
            staged = recording.stage(f"{self._count:02d}-table.html")
            staged.write_text(text, encoding="utf-8")
            recording.staged(staged, PLACE)
        except Exception as error:  # a table is never worth the user's cell
            recording.note(f"a table that was shown is not stored: {type(error).__name__}: {error}")

    def _page(self, table: Any) -> str:
        """The first rows and columns as HTML; an index of texts counts as a column, which may hold personal data."""
        rows = table.iloc[:ROWS, :COLUMNS]
        if rows.index.dtype.kind not in "iuf":
            rows = rows.reset_index()
        look_in = self._tracker.context.hooks.get("personal")
        personal = look_in(rows) if look_in is not None else None
        rows = personal.masked(rows) if personal is not None else rows
        left = f"<p>{len(table):,} rows, {table.shape[1]:,} columns</p>\n"
        return f'<!doctype html><meta charset="utf-8">\n{left}{rows.to_html(max_rows=None, max_cols=None)}\n'
