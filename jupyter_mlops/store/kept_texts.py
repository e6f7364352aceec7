"""Kept texts: metrics and parameters of runs once read from an SQLite store, of which only what was added is read again.

MLflow only ever adds rows to ``metrics`` and ``params``; what it deletes it deletes with the run. So a run of which no row
came since has the values it had. Everything else of a run (its status, its tags) may change in place and is never kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

__all__ = ["NONE", "KeptTexts", "Texts"]

Texts = dict[str, tuple[str | None, str | None]]
"""By run: names, and values in their order, each as one text."""

NONE = (None, None)
MOST_KEPT = 50_000
"""Runs whose texts are kept, about 1 kB each for 20 metrics and 10 parameters."""

SIDES = ("metrics", "params")
"""The tables that grow."""

ROW = {
    "metrics": "SELECT rowid, run_uuid, key, timestamp, step FROM metrics",
    "params": "SELECT rowid, run_uuid, key FROM params",
}
ADDED = {
    "metrics": "SELECT DISTINCT run_uuid FROM metrics WHERE rowid > :since AND rowid <= :newest",
    "params": "SELECT DISTINCT run_uuid FROM params WHERE rowid > :since AND rowid <= :newest",
}


class KeptTexts:
    """The texts of one SQLite store's runs, for one process; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Texts] = {side: {} for side in SIDES}
        self._last: dict[str, tuple[Any, ...] | None] = dict.fromkeys(SIDES)

    def of(self, connection: Any, runs: Sequence[str], queries: dict[str, Any]) -> list[Texts]:
        """The texts of `runs`, side by side as `SIDES` names them.

        Parameters
        ----------
        connection
            To the store.
        queries
            For each side what makes, of a query for ids, the one that gives a run's id, names and values.
        """
        with self._lock:
            return [self._side(connection, side, runs, queries[side]) for side in SIDES]

    def _side(self, connection: Any, side: str, runs: Sequence[str], query: Any) -> Texts:
        from sqlalchemy import func, select

        kept = self._kept[side]
        self._let_go_of_changed(connection, side, kept)
        missing = [run for run in runs if run not in kept]
        if missing:
            ids = select(func.json_each(json.dumps(missing)).table_valued("value").c.value)
            names: dict[str | None, str | None] = {}  # many runs have the same names
            for run, keys, values in connection.execute(query(ids)).all():
                kept[run] = names.setdefault(keys, keys), values
            for run in missing:
                kept.setdefault(run, NONE)
        found = {run: kept[run] for run in runs}
        if len(kept) > MOST_KEPT:
            kept.clear()
        return found

    def _let_go_of_changed(self, connection: Any, side: str, kept: Texts) -> None:
        """Forget the runs to which rows were added since, or all where rows were numbered anew.

        A new row's number is one more than the greatest. It is an old one only where the row with the greatest number was
        deleted, or the file was vacuumed; then the row last seen is not where it was.
        """
        from sqlalchemy import text

        last, newest = self._last[side], connection.execute(text(f"{ROW[side]} ORDER BY rowid DESC LIMIT 1")).first()
        if last is not None and kept:
            if connection.execute(text(f"{ROW[side]} WHERE rowid = :at"), {"at": last[0]}).first() != last:
                kept.clear()
            else:
                for (run,) in connection.execute(text(ADDED[side]), {"since": last[0], "newest": newest[0]}):
                    kept.pop(run, None)
        else:
            kept.clear()
        self._last[side] = newest  # what is added from here on is seen the next time
