"""The commands that judge tables: checks, contracts, and the masking of personal data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet, Context
from ..domain.contract import Contract
from ..domain.data_check import DataCheck
from ..domain.data_version import DataVersion
from ..errors import NotFound
from .tables import as_table, load_version, table_name

__all__ = ["AUTO", "CheckCommands", "check_saved", "contract_of", "known_column", "masked", "read_rules"]

AUTO = "auto"


class CheckCommands(CommandSet):
    """Checks, contracts and masking: commands of the group ``data``."""

    @command("data check", stage="datasets", changes=True)
    def check(
        self,
        table: Annotated[Any, Arg(value="table", complete="data", metavar="DF")],
        *,
        target: Annotated[str, Arg(metavar="COLUMN")] = "",
        time: Annotated[str, Arg(metavar="COLUMN")] = "",
        group: Annotated[str, Arg(metavar="COLUMN")] = "",
        test: Annotated[Any, Arg(value="table", complete="data", metavar="DF")] = None,
        by: Annotated[str, Arg(metavar="COLUMN")] = "",
        contract: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")] = "",
    ) -> DataCheck:
        """Look for what is wrong with a table: each finding with how bad it is, what shows it, and code that mends it.

        Missing, constant and repeated things, outliers and mixed types always; with a target also imbalance, label errors
        and features that give it away; with a test table also rows and groups in both. Personal data is found and not
        quoted. The report of a data version is kept with it: gates read it, and deployments of models that were trained
        on it hash the personal columns in their log.

        Parameters
        ----------
        table
            A DataFrame, a CSV or Parquet file, or a data version.
        target
            The column to be predicted.
        time
            When a row was known: nothing in it may be later, and no test row earlier than a training row.
        group
            What rows belong to (a customer, say): no group may be in both tables.
        test
            The table that is kept apart for testing.
        by
            The column whose groups must be represented, in this table and as in the test table.
        contract
            A data version whose contract the table must keep, or the JSON file of one.

        Examples
        --------
        %mlops data check df --target income
        %mlops data check train --target y --test test --group customer --time day
        %mlops data check new --contract adult@v3
        """
        ref = _ref(self.context, table)
        with self.context.looking("check"):
            frame = as_table(self.context, table)
            held = None if test is None else as_table(self.context, test)
        rules = read_rules(self.context, contract) if contract else None
        options = {"target": target, "time": time, "group": group, "by": by}
        return check_saved(self.context, frame, ref, name=_name(self.context, table), test=held, rules=rules, **options)

    @command("data contract", stage="datasets", changes=True)
    def contract(
        self,
        ref: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")],
        *,
        pandera: bool = False,
        output: Annotated[str, Arg(value="path", metavar="FILE")] = "",
    ) -> Contract | str:
        """Show what tables have to keep to, learnt once from a data version and kept with it.

        Parameters
        ----------
        ref
            A name for its latest version, or a version: `adult@v3`.
        pandera
            Give it as Python for pandera.
        output
            A file to write: JSON, which `data check --contract FILE` takes after you changed it, or Python with --pandera.

        Examples
        --------
        %mlops data contract adult@v3
        %mlops data contract adult@v3 --pandera --output adult_schema.py
        """
        from .contract import pandera_code
        from .files import check_target

        found = contract_of(self.context, ref)
        code = pandera_code(found) if pandera else ""
        if not output:
            return code or found
        import json

        target = check_target(output)
        _write(target, code or json.dumps(found.to_dict(), indent=1))
        return f"the contract of {found.source} stands in {target}: {len(found.columns)} columns"

    @command("data mask", stage="datasets", changes=False)
    def mask(
        self,
        table: Annotated[Any, Arg(value="table", complete="data", metavar="DF")],
        *,
        columns: Annotated[list[str] | None, Arg(metavar="COLUMN")] = None,
    ) -> Any:
        """Give a copy of a table with its personal data hashed under the workspace's key.

        Equal values stay equal, so they can be counted and joined; dates of birth become their year; addresses within
        longer texts are replaced there. Without columns, those are masked in which personal data is found.

        Parameters
        ----------
        table
            A DataFrame, a CSV or Parquet file, or a data version.
        columns
            Which to mask.

        Examples
        --------
        %mlops data mask df -o masked
        %mlops data mask df --columns email -o masked
        """
        frame, found = masked(self.context, as_table(self.context, table), columns)
        told = ", ".join(f"{name} ({kind.replace('_', ' ')})" for name, kind in found.items())
        self.context.progress(f"masked {told}" if found else "no personal data found")
        return frame


def masked(context: Context, frame: Any, columns: Sequence[str] | None) -> tuple[Any, dict[str, str]]:
    """A masked copy of a table, and what was masked as what kind; ``auto`` among the columns finds the rest."""
    from .personal import mask_key, mask_table

    wanted = [AUTO] if columns is None else list(columns)
    named = [column for column in wanted if column != AUTO]
    key = mask_key(context.workspace.home)
    found: dict[str, str] = {}
    if named:
        frame, found = mask_table(frame, named, key)
    if AUTO in wanted:
        frame, more = mask_table(frame, None, key, skip=tuple(named))
        found |= more
    return frame, found


def check_saved(
    context: Context,
    frame: Any,
    ref: str,
    *,
    name: str,
    test: Any = None,
    rules: Contract | None = None,
    **options: str,
) -> DataCheck:
    """Check a table, and keep the report with the data version that it is known as, if it still has its content.

    Parameters
    ----------
    options
        The columns that `check.Subject` wants to know of.
    """
    from .check import Subject, check_table
    from .checks import CHECKS

    subject = Subject(
        frame,
        options.get("target", ""),
        options.get("time", ""),
        options.get("group", ""),
        options.get("by", ""),
        test,
        rules,
        name,
    )
    report = check_table(subject, CHECKS.values(), progress=context.progress)
    if not ref:
        return report
    found = DataVersion.from_dict(context.call("data.locate", ref=ref)["version"])
    if found.digest != context.hooks["digest"](frame):
        return replace(
            report, note=f"not kept with {found.ref}: the table has been changed since it was saved or loaded."
        )
    kept = replace(report, version=found.ref)
    context.personal.update(report.personal)
    context.call("data.keep_check", ref=found.ref, report=kept.to_dict())
    return kept


def contract_of(context: Context, ref: str, frame: Any = None) -> Contract:
    """The contract of a data version; learnt and kept now if it has none yet.

    Parameters
    ----------
    frame
        What the version holds, where that is at hand.
    """
    from .contract import learn

    told = context.call("data.contract", ref=ref)
    if told is None:
        if frame is None:
            frame, version = load_version(context, ref)
            ref = version.ref
        told = context.call("data.keep_contract", ref=ref, contract=learn(frame, ref).to_dict())
    return Contract.from_dict(told)


def known_column(frame: Any, name: str) -> None:
    """Turn down a column that a table does not have.

    Raises
    ------
    NotFound
        It has none of that name.
    """
    known = [str(column) for column in frame.columns]
    if name not in known:
        raise NotFound.among("column", name, known)


def read_rules(context: Context, given: str) -> Contract:
    """The contract of a data version, or the one in a JSON file."""
    from .contract import read_contract

    path = Path(given).expanduser()
    return read_contract(path) if path.suffix == ".json" else contract_of(context, given)


def _ref(context: Context, table: Any) -> str:
    """The data version that a table holds, or has held before it was changed; empty for none."""
    if isinstance(table, (str, Path)):
        return "" if Path(table).expanduser().is_file() else str(table)
    known = context.known_tables.origin(table)
    return known[0] if known else ""


def _name(context: Context, table: Any) -> str:
    """What lines of code call the table: its variable, ``df`` for what has none."""
    name = table_name(context, table, "df")
    return name if name.isidentifier() else "df"


def _write(target: Path, text: str) -> None:
    arriving = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        arriving.write_text(text)
        arriving.replace(target)
    finally:
        arriving.unlink(missing_ok=True)
