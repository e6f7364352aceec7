"""The commands of the datasets stage."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.data_version import DataDiff, DataVersion, DataVersionTable
from ..domain.folder_diff import FolderDiff
from ..domain.reference import NAME, Reference, check_alias, check_name
from ..errors import InvalidArgument, NotFound
from .check_commands import CheckCommands, check_saved, contract_of, known_column, masked
from .erasing_commands import ErasingCommands
from .feature_commands import FeatureCommands
from .keeping_commands import KeepingCommands
from .opened import Opened, open_version
from .sealing_commands import SealingCommands
from .selection_commands import SelectionCommands
from .tables import as_table as table_of
from .tables import load_version, note_use, table_name

__all__ = ["DataCommands"]


class DataCommands(
    KeepingCommands, SealingCommands, ErasingCommands, CheckCommands, FeatureCommands, SelectionCommands
):
    """Tables with versions: the commands of the group ``data``."""

    @command("data save", stage="datasets", changes=True)
    def save(
        self,
        table: Annotated[Any, Arg(value="table", metavar="DF")],
        *,
        name: Annotated[str, Arg(metavar="NAME")],
        branch: str = "",
        from_: Annotated[list[str] | None, Arg(complete="data", metavar="NAME@vN")] = None,
        mask: Annotated[list[str] | None, Arg(metavar="auto|COLUMN")] = None,
        check: bool = False,
        target: Annotated[str, Arg(metavar="COLUMN")] = "",
        as_table: bool = False,
    ) -> DataVersion:
        """Save a table as the next version of a name.

        The version's identity is a digest over the full content: column names, types, values, missing values, row
        order, and an index that means something. Content that the name already has is not stored again, and of other
        content only the chunks that changed. In a run, the run is told that it uses the version.

        Parameters
        ----------
        table
            A DataFrame, or a CSV or Parquet file; a folder of files of any kind, kept as they are; or an Arrow reader or
            dataset. Large Parquet files, readers and datasets are taken in pieces and may be larger than memory: their
            values then lie in the workspace's folder, decompressed, while they are saved.
        name
            What to call it: letters, digits, dot, dash and underscore.
        branch
            A line of versions of its own; `name@branch` is then the newest of it, and `name` still that of the main line.
            Numbers go on over all branches.
        from_
            Data versions it was made from; by default those that the run, or the cell's code, has read.
        mask
            Columns whose personal data is hashed before anything is stored, see `data mask`; `auto` finds them.
        check
            Check the table too, see `data check`, and keep the report and a contract with the version.
        target
            The column to be predicted, for the check.
        as_table
            Take a folder of Parquet files as one table, not as files.

        Examples
        --------
        %mlops data save df --name adult
        %mlops data save df --name customers --mask auto --check
        %mlops data save cleaned --name adult-clean --from adult@v3
        %mlops data save images/ --name pictures
        %mlops data save events/ --name events --as-table
        """
        from .saving import save_folder, save_table
        from .spilling import is_stream, streamed

        check_name(name, "data version")
        if branch:
            check_alias(check_name(branch, "branch"))
        folder = isinstance(table, (str, Path)) and Path(table).expanduser().is_dir()
        if as_table and not folder:
            raise InvalidArgument("--as-table is for a folder of Parquet files.")
        if as_table or is_stream(table):
            with streamed(self.context, table) as spilled:
                return self.save(spilled, name=name, branch=branch, from_=from_, mask=mask, check=check, target=target)
        if folder:
            if mask is not None or check:
                raise InvalidArgument(
                    f"{table} is a folder; only tables are masked or checked.", hint="Leave out --mask and --check."
                )
            return save_folder(self.context, Path(table).expanduser(), name, branch=branch, sources=from_)
        frame = table_of(self.context, table)
        personal: dict[str, str] = {}
        if mask is not None:
            frame, personal = masked(self.context, frame, mask)
        if check and target:  # before anything is stored: a misspelt column
            known_column(frame, target)
        version = save_table(self.context, frame, name, branch=branch, sources=from_, personal=tuple(personal))
        if not check:
            return version
        report = check_saved(self.context, frame, version.ref, name="df", target=target)
        contract_of(self.context, version.ref, frame)
        return replace(version, errors=report.errors, warnings=report.warnings)

    @command("data load", stage="datasets", changes=False)
    def load(
        self,
        ref: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")],
        *,
        to: Annotated[str, Arg(value="path", metavar="DIR")] = "",
    ) -> Any:
        """Load a data version as a DataFrame, equal to the one that was saved; or write a folder's files out.

        The table is checked against the version's digest. In a run, the run is told that it uses the version.

        Parameters
        ----------
        ref
            A name for its latest version, or a version: ``adult@v3``.
        to
            For the version of a folder: where to write its files. The folder must be empty or not there yet; what is
            given back is its path.

        Examples
        --------
        %mlops data load adult@v3 -o df
        %mlops data load pictures@v2 --to pictures
        """
        if not to:
            return load_version(self.context, ref)[0]
        with open_version(self.context, ref) as opened:
            if opened.version.kind != "folder":
                raise InvalidArgument(
                    f"{opened.version.ref} is a table.",
                    hint=f"Write it as Parquet: data export {opened.version.ref} --output FILE.parquet.",
                )
            target = Path(to).expanduser()
            opened.extract(target)
            note_use(self.context, None, opened.version)
            return target

    @command("data export", stage="datasets", changes=False)
    def export(
        self,
        ref: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")],
        *,
        output: Annotated[str, Arg(value="path", metavar="FILE.parquet")],
    ) -> str:
        """Write a data version as one Parquet file, for whoever works without us.

        Parameters
        ----------
        ref
            A name for its latest version, or a version: ``adult@v3``.
        output
            The file to write; one that is there is replaced once the new one is whole.

        Examples
        --------
        %mlops data export adult@v3 --output adult.parquet
        """
        from .files import check_target, write_table

        target = check_target(output)
        with self.context.looking("export"):
            frame, version = load_version(self.context, ref)
        arriving = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            write_table(frame, arriving)
            arriving.replace(target)
        finally:
            arriving.unlink(missing_ok=True)
        return f"{version.ref} stands in {target}: {len(frame):,} rows"

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
    ) -> DataDiff | FolderDiff:
        """Show what changed between two tables: columns, rows, cells of rows in both; or between two folders of files.

        Parameters
        ----------
        before, after
            A data version, a DataFrame, or a CSV or Parquet file; or a data version of a folder, or a folder.
        key
            Columns that together name a row in both tables; without them rows are matched by position, or by content
            where rows have come, gone or moved.

        Examples
        --------
        %mlops data diff adult@v1 adult@v2
        %mlops data diff adult@v1 df --key id
        %mlops data diff pictures@v1 pictures/
        """
        with self.context.looking("diff"):
            return self._diff(before, after, key)

    def _diff(self, before: Any, after: Any, key: list[str] | None) -> DataDiff | FolderDiff:
        names = (table_name(self.context, before, "before"), table_name(self.context, after, "after"))
        keys = key or []
        with contextlib.ExitStack() as stack:
            one, other = (self._side(given, stack) for given in (before, after))
            folders = [
                isinstance(side, Path) or (side is not None and side.version.kind == "folder") for side in (one, other)
            ]
            if any(folders):
                return self._of_folders((one, other), names, keys)
            if not keys and isinstance(one, Opened) and isinstance(other, Opened):
                from .stored_difference import stored_difference

                found = stored_difference(one, other)
                if found is not None:
                    note_use(self.context, None, one.version)
                    note_use(self.context, None, other.version)
                    return replace(found, before=names[0], after=names[1])
            from .difference import difference

            return difference(self._frame(before, one), self._frame(after, other), key=keys, names=names)

    def _side(self, given: Any, stack: contextlib.ExitStack) -> Opened | Path | None:
        """A saved version, opened once, or a folder; None for any other table."""
        if not isinstance(given, (str, Path)):
            return None
        path = Path(given).expanduser()
        if path.exists():
            return path if path.is_dir() else None
        name, at, _ = str(given).partition("@")
        if isinstance(given, Path) or NAME.fullmatch(name) is None:
            return None
        try:
            return stack.enter_context(open_version(self.context, given))
        except NotFound:
            if at:
                raise
            return None  # whoever reads it as a table says what else it could have meant

    def _frame(self, given: Any, side: Opened | Path | None) -> Any:
        if not isinstance(side, Opened) or side.version.kind != "table":
            return table_of(self.context, given)
        frame = side.read()
        note_use(self.context, frame, side.version)
        return frame

    def _of_folders(self, sides: tuple[Any, Any], names: tuple[str, str], keys: list[str]) -> FolderDiff:
        from .folder_difference import files_of, folder_difference

        if keys:
            raise InvalidArgument("--key is for tables; the files of folders are matched by their paths.")
        for side, name in zip(sides, names, strict=True):
            if not isinstance(side, Path) and (side is None or side.version.kind != "folder"):
                raise InvalidArgument(f"{name} is a table, the other is a folder of files.", hint="Give two of a kind.")
        one, other = (files_of(side) for side in sides)
        for side in sides:
            if isinstance(side, Opened):
                note_use(self.context, None, side.version)
        return folder_difference(one, other, names)
