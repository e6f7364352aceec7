"""The commands of the datasets stage."""

from __future__ import annotations

import os
import shutil
import uuid
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.data_version import Column, DataDiff, DataVersion, DataVersionTable
from ..domain.reference import Reference, check_name
from .tables import as_table, load_version, note_use, table_name

__all__ = ["DataCommands"]


class DataCommands(CommandSet):
    """Tables with versions: the commands of the group ``data``."""

    @command("data save", stage="datasets", changes=True)
    def save(
        self, table: Annotated[Any, Arg(value="table", metavar="DF")], *, name: Annotated[str, Arg(metavar="NAME")]
    ) -> DataVersion:
        """Save a table as the next version of a name.

        The version's identity is a digest over the full content: column names, types, values, missing values, row
        order, and an index that means something. Content that the name already has is not stored again. In a run,
        the run is told that it uses the version.

        Parameters
        ----------
        table
            A DataFrame, or a CSV or Parquet file.
        name
            What to call it: letters, digits, dot, dash and underscore.

        Examples
        --------
        %mlops data save df --name adult
        """
        from .files import write_version
        from .identity import identify

        check_name(name, "data version")
        frame = as_table(self.context, table)
        identity = identify(frame)
        found = self.context.call("data.find", name=name, digest=identity.digest)
        if found is not None:
            version = DataVersion.from_dict({**found, "new": False})
            note_use(self.context, frame, version)
            return version
        self.context.progress(f"writing {len(frame):,} rows")
        folder = self.context.workspace.home / "staging" / f"data-{os.getpid()}-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            write_version(frame, folder, identity)
            saved = self.context.call(
                "data.save",
                name=name,
                digest=identity.digest,
                rows=identity.rows,
                columns=[Column(str(c.name), c.type, c.missing).to_dict() for c in identity.columns],
                folder=str(folder),
                notebook=self.context.notebook.path,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        version = DataVersion.from_dict(saved)
        note_use(self.context, frame, version)
        return version

    @command("data load", stage="datasets", changes=False)
    def load(self, ref: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")]) -> Any:
        """Load a data version as a DataFrame, equal to the one that was saved.

        The table is checked against the version's digest. In a run, the run is told that it uses the version.

        Parameters
        ----------
        ref
            A name for its latest version, or a version: ``adult@v3``.

        Examples
        --------
        %mlops data load adult@v3 -o df
        """
        return load_version(self.context, ref)[0]

    @command("data log", stage="datasets", changes=False)
    def log(self, name: Annotated[str, Arg(complete="data", metavar="NAME")] = "") -> DataVersionTable:
        """List the versions of one name and the runs that used them, or the latest version of every name.

        Parameters
        ----------
        name
            A name; empty lists the latest of each.

        Examples
        --------
        %mlops data log
        %mlops data log adult
        """
        wanted = Reference.parse(name, "data version").name if name else ""
        return DataVersionTable.from_dict(self.context.call("data.log", name=wanted))

    @command("data diff", stage="datasets", changes=False)
    def diff(
        self,
        before: Annotated[Any, Arg(value="table", complete="data", metavar="BEFORE")],
        after: Annotated[Any, Arg(value="table", complete="data", metavar="AFTER")],
        *,
        key: Annotated[list[str] | None, Arg(metavar="COLUMN")] = None,
    ) -> DataDiff:
        """Show what changed between two tables: columns, rows, and cells of rows in both.

        Parameters
        ----------
        before, after
            A data version, a DataFrame, or a CSV or Parquet file.
        key
            Columns that together name a row in both tables; without them rows are matched by position.

        Examples
        --------
        %mlops data diff adult@v1 adult@v2
        %mlops data diff adult@v1 df --key id
        """
        from .difference import difference

        names = (table_name(self.context, before, "before"), table_name(self.context, after, "after"))
        keys = [key] if isinstance(key, str) else key or []
        return difference(as_table(self.context, before), as_table(self.context, after), key=keys, names=names)
