"""Contract: learnt from a table, enforced on another, and written as pandera's schema code.

`enforce` is what a pipeline calls: it needs this module, pandas and nothing of Jupyter or MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.contract import SCHEMA, Breach, ColumnRule, Contract, ValueKind, absent, breach, unexpected
from ..errors import IntegrityFailure, InvalidArgument, NotFound

if TYPE_CHECKING:
    import pandas as pd

    from .check import Column

__all__ = ["breaches", "enforce", "learn", "pandera_code", "read_contract"]

CATEGORIES = 50
REPEATED = 10
"""Texts are categories when there are at most 50 of them, and each stands for at least ten rows on average."""


def learn(frame: pd.DataFrame, source: str) -> Contract:
    """The contract that a table keeps to.

    A column may be missing cells if one is missing; numbers and moments lie between the smallest and the largest; texts are
    categories when there are at most 50 and each stands for ten rows on average; a column is unique when it has at least 20
    rows, no two alike, and holds whole numbers or texts.

    Parameters
    ----------
    source
        What it is learnt from: a data version.

    Examples
    --------
    >>> import pandas as pd
    >>> contract = learn(pd.DataFrame({"age": [17, 90], "job": ["clerk", None]}), "adult@v1")
    >>> contract.columns[0].range(), contract.columns[1].nullable
    ('17 to 90', True)
    """
    from .check import Subject

    return Contract(source, tuple(_rule(column) for column in Subject(frame).columns))


def breaches(contract: Contract, frame: pd.DataFrame) -> list[Breach]:
    """How a table breaks a contract, column by column."""
    from .check import Subject

    columns: dict[str, Column] = {}
    for column in Subject(frame).columns:
        columns.setdefault(column.name, column)
    found: list[Breach] = []
    for rule in contract.columns:
        if rule.name not in columns:
            found += [absent(rule)] if rule.required else []
            continue
        held = columns[rule.name]
        found += [b for kind, places in _places(rule, held) if (b := breach(rule, kind, places, held.cells.array))]
    known = {rule.name for rule in contract.columns}
    return found if contract.extra else [*found, *(unexpected(name) for name in columns if name not in known)]


def enforce(
    frame: pd.DataFrame, contract: Contract | str | Path, *, allow: tuple[str, ...] = ("warning",)
) -> pd.DataFrame:
    """The table, if it keeps to a contract: for a pipeline's step.

    Parameters
    ----------
    contract
        One, or the JSON file of one.
    allow
        Severities of breaches that are let through; a number outside the learnt range is a warning.

    Raises
    ------
    InvalidArgument
        It does not; the message names every breach.
    """
    held = contract if isinstance(contract, Contract) else read_contract(Path(contract))
    found = [b for b in breaches(held, frame) if b.severity not in allow]
    if found:
        told = "; ".join(f"{b.column}: {b.message}" for b in found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise InvalidArgument(
            f"the table breaks the contract of {held.source}: {told}{more}.",
            hint=f"Mend the table, or learn a new contract; the first is mended by: {found[0].fix.format(table='df')}",
        )
    return frame


def read_contract(path: Path) -> Contract:
    """A contract from its JSON file.

    Raises
    ------
    NotFound
        There is no such file.
    IntegrityFailure
        The file holds none.
    """
    if not path.is_file():
        raise NotFound(
            f"no contract at {path}.", hint="Write one with `%mlops data contract NAME@vN --output FILE.json`."
        )
    try:
        data = json.loads(path.read_bytes())
        contract = Contract.from_dict(data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityFailure(f"{path} holds no contract: {error}.") from error
    if contract.schema > SCHEMA:
        raise IntegrityFailure(f"{path} is of schema {contract.schema}; this version reads up to {SCHEMA}.")
    return contract


def pandera_code(contract: Contract) -> str:
    """A Python module with the contract as pandera's ``DataFrameSchema``, called ``schema``."""
    lines = []
    for rule in contract.columns:
        checks = []
        if rule.categories is not None:
            checks.append(f"pa.Check.isin({list(rule.categories)!r})")
        if rule.kind == "integer":
            checks.append("pa.Check(lambda s: s == s.round(), error='whole numbers')")
        for bound, name in ((rule.minimum, "ge"), (rule.maximum, "le")):
            if bound is not None:
                value = f"pd.Timestamp({bound!r}, unit='s')" if rule.kind == "moment" else repr(bound)
                checks.append(f"pa.Check.{name}({value})")
        if rule.kind == "text":
            checks.insert(0, "pa.Check(lambda s: s.map(lambda v: isinstance(v, str)), error='texts')")
        if rule.kind in _PANDAS:
            checks.insert(0, f"pa.Check({_PANDAS[rule.kind]}, error='{rule.kind}')")
        lines.append(
            f"        {rule.name!r}: pa.Column(checks=[{', '.join(checks)}], nullable={rule.nullable}, "
            f"unique={rule.unique}, required={rule.required}),"
        )
    return (
        f'"""The contract of {contract.source}, for pandera: ``schema.validate(df)``."""\n\n'
        "import pandas as pd\nimport pandera.pandas as pa\n\n"
        "schema = pa.DataFrameSchema(\n    {\n" + "\n".join(lines) + "\n    },\n"
        f"    strict={not contract.extra},\n)\n"
    )


_PANDAS = {
    "integer": "pd.api.types.is_numeric_dtype",
    "number": "pd.api.types.is_numeric_dtype",
    "truth": "pd.api.types.is_bool_dtype",
    "moment": "pd.api.types.is_datetime64_any_dtype",
}


def _rule(column: Column) -> ColumnRule:
    import numpy as np

    from .personal import found_in

    kind = _kind(column)
    present = int(column.counts.sum())
    personal = found_in(column) is not None  # then no value of it is written down
    minimum = maximum = None
    categories = None
    if personal:
        pass
    elif kind in ("integer", "number", "moment"):
        finite = column.numbers[np.isfinite(column.numbers)]
        if len(finite):
            minimum, maximum = float(finite.min()), float(finite.max())
    elif kind == "text" and len(column.uniques) <= CATEGORIES and present >= REPEATED * len(column.uniques):
        categories = tuple(sorted(str(u) for u in column.uniques)) or None
    return ColumnRule(
        name=column.name,
        kind=kind,
        type=str(column.cells.dtype),
        nullable=present < len(column.codes),
        unique=present >= 20 and len(column.uniques) == present and kind in ("integer", "text"),
        minimum=minimum,
        maximum=maximum,
        categories=categories,
    )


def _kind(column: Column) -> ValueKind:
    import numpy as np

    if column.kind == "number":
        there = column.numbers[~np.isnan(column.numbers)]
        return (
            "integer"
            if column.cells.dtype.kind in "iu"
            or (
                len(there)
                and np.all(there == np.round(there))
                and np.all(np.isfinite(there))
                and column.cells.dtype.kind != "f"
            )
            else "number"
        )
    if column.kind == "category":
        return "text" if all(isinstance(u, str) for u in column.uniques) else "other"
    return column.kind if column.kind in ("truth", "moment", "text") else "other"


def _places(rule: ColumnRule, column: Column) -> Iterator[tuple[str, Any]]:
    """For each kind of breach the rows; numbers all at once, other values by their different ones."""
    import numpy as np

    yield "missing", np.flatnonzero(column.codes < 0)
    there = column.codes >= 0
    faults = np.array([""] * len(column.uniques), dtype=object)
    if column.kind in ("number", "moment") and rule.kind in ("integer", "number", "moment"):
        values = column.numbers
        fits = (column.kind == "moment") == (rule.kind == "moment")
        whole = np.isfinite(values) & (values == np.round(values))
        wrong = there & (~whole if rule.kind == "integer" else ~np.full(len(values), True)) if fits else there
        low = values < (rule.minimum if rule.minimum is not None else -np.inf)
        high = values > (rule.maximum if rule.maximum is not None else np.inf)
        yield "type", np.flatnonzero(wrong)
        yield "range", np.flatnonzero(there & ~wrong & (low | high))
    else:
        different = column.uniques.tolist() if hasattr(column.uniques, "tolist") else list(column.uniques)
        faults[:] = [rule.faults(value) for value in different]
        by_row = np.where(there, faults[np.maximum(column.codes, 0)] if len(faults) else "", "")
        for kind in ("type", "range", "category"):
            yield kind, np.flatnonzero(by_row == kind)
    if rule.unique:
        first = np.full(len(column.uniques), len(column.codes))
        np.minimum.at(first, column.codes[there], np.flatnonzero(there))
        rows = np.arange(len(column.codes))
        yield "unique", np.flatnonzero(there & (first[np.maximum(column.codes, 0)] < rows)) if len(first) else rows[:0]
