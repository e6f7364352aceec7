"""Kept texts: metrics and parameters of runs once read from an SQLite store, of which only what was added is read again.

MLflow only ever adds rows to ``metrics`` and ``params``; what it deletes it deletes with the run. So a run of which no row
came since has the values it had. Everything else of a run (its status, its tags) may change in place and is never kept.

They are kept in a file too, for the next process, which goes by the same rule: what the file holds of a run counts where the
store's row that was the newest then is still what it was, and no row of that run came after it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

__all__ = ["NONE", "KeptTexts", "Texts"]

Texts = dict[str, tuple[str | None, str | None]]
"""By run: names, and values in their order, each as one text."""

NONE = (None, None)
MOST_KEPT = 50_000
"""Runs whose texts are kept, about 1 kB each for 20 metrics and 10 parameters."""

WORTH = 500
"""New runs, from which on the file is written again, and they are read before somebody asks for them."""

FORMAT = 1

log = logging.getLogger(__name__)

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
    """The texts of one SQLite store's runs; may be used from several threads.

    Parameters
    ----------
    file
        Where they are kept for the next process; None keeps them for this one alone.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._unwritten = 0
        self._newest_run = 0
        self._writing: threading.Thread | None = None
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
            if self._file is not None and not any(self._last.values()):
                self._read(self._file)
            found = [self._side(connection, side, runs, queries[side]) for side in SIDES]
            if (
                self._file is not None
                and self._unwritten >= WORTH
                and (self._writing is None or not self._writing.is_alive())
            ):
                self._writing = threading.Thread(target=self.write, name="mlops-kept-texts", daemon=True)
                self._writing.start()
            return found

    def behind(self, connection: Any) -> bool:
        """Whether many runs were made since this was last so: enough to read them before somebody asks."""
        from sqlalchemy import text

        newest = connection.execute(text("SELECT max(rowid) FROM runs")).scalar() or 0
        if abs(newest - self._newest_run) < WORTH:
            return False
        self._newest_run = newest
        return True

    def write(self) -> None:
        """Write the file, whole or not at all; whoever asked has been answered by then."""
        if self._file is None:
            return
        with self._lock:
            told = {side: _told(self._kept[side]) for side in SIDES}
            last = {side: None if row is None else list(row) for side, row in self._last.items()}
            self._unwritten = 0
        arriving = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            arriving.write_bytes(orjson.dumps({"format": FORMAT, "last": last, **told}))
            arriving.replace(self._file)
        except OSError as error:  # a full disk: the next process reads the store
            log.warning("texts of runs are not kept in %s: %s", self._file, error)
            arriving.unlink(missing_ok=True)

    def _read(self, file: Path) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):  # none, or another version's
            told = orjson.loads(file.read_bytes())
            if told["format"] != FORMAT:
                return
            kept = {side: _kept(told[side]) for side in SIDES}
            self._last = {side: None if told["last"][side] is None else tuple(told["last"][side]) for side in SIDES}
            self._kept = kept

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
            self._unwritten += len(missing)
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
        self._last[side] = None if newest is None else tuple(newest)  # what is added from here on is seen the next time


def _told(kept: Texts) -> dict[str, Any]:
    """Texts as JSON; of many runs' names each set once."""
    names: dict[str | None, int] = {}
    numbers = [names.setdefault(keys, len(names)) for keys, _ in kept.values()]
    return {"names": [*names], "runs": [*kept], "of": numbers, "values": [values for _, values in kept.values()]}


def _kept(told: dict[str, Any]) -> Texts:
    names = told["names"]
    keys = [names[number] for number in told["of"]]
    return dict(zip(told["runs"], zip(keys, told["values"], strict=True), strict=True))
