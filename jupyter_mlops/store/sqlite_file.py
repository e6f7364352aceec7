"""SQLite file: how MLflow's connections to a store in one file are set, and when what they wrote is safely on the disk.

MLflow writes a run in some twenty transactions and has SQLite wait for the disk after each, 4 ms every time; and it sets
each session anew that it opens. Here a connection is set once, when it is made, and commits into the write-ahead log
without waiting: that outlives the process, however it ends, but not a power cut. `SqliteFile.sync` waits for the disk
once for all of them, before anything is acknowledged that stands on them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from ..errors import StoreUnavailable

__all__ = ["SqliteFile"]

SETTINGS = (
    "foreign_keys = ON",  # these three as MLflow sets them
    "busy_timeout = 20000",
    "case_sensitive_like = true",
    "synchronous = NORMAL",
)


class SqliteFile:
    """The file of a SQLite store; one that is not there is made.

    Raises
    ------
    StoreUnavailable
        It cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self._log = path.with_name(f"{path.name}-wal")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with sqlite3.connect(path, timeout=20) as connection:
                # it stays with the file: readers then never block the writer
                (self.mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(
                f"the SQLite store {path} cannot be opened: {error}.", hint="Check the folder's rights and free space."
            ) from error

    def tune(self, *stores: Any) -> None:
        """Set the connections of MLflow's store objects, the tracking's and the registry's; others are left as they are."""
        if self.mode != "wal":  # a file system that cannot: then every commit has to wait
            return
        from mlflow.store.db import utils
        from sqlalchemy import event
        from sqlalchemy.orm import sessionmaker

        for store in stores:
            if not hasattr(store, "ManagedSessionMaker") or not hasattr(utils, "_get_managed_session_maker"):
                continue
            event.listen(store.engine, "connect", _set)
            store.engine.dispose()  # what is open already was not set
            any_database = ""  # of no kind for which MLflow sets each session
            store.ManagedSessionMaker = utils._get_managed_session_maker(sessionmaker(bind=store.engine), any_database)  # noqa: SLF001 guarded above

    def sync(self) -> None:
        """Wait until every transaction that has ended is on the disk."""
        with contextlib.suppress(
            FileNotFoundError
        ):  # all of it stands in the main file, where a checkpoint put it safely
            descriptor = os.open(self._log, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _set(connection: Any, _record: Any) -> None:
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")
