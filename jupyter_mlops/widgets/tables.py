"""Data versions; predictions."""

from __future__ import annotations

from ..domain.data_version import DataVersion, DataVersionTable
from ..domain.deployment import Predictions
from ..domain.display import byte_size, several
from .markup import Markup, Number, code, facts, grid, join, more, note, page, pill, short, tag, when

__all__ = ["data_version", "data_version_table", "predictions"]

SHOWN = 10


def data_version(version: DataVersion) -> Markup:
    """One version: its identity, its size, its columns."""
    columns = grid(
        ["column", "type", "missing"], [[short(c.name), c.type, Number(c.missing, ",")] for c in version.columns]
    )
    return page(
        tag("div", version.ref, " ", pill("saved" if version.new else "unchanged", "good" if version.new else ""), class_="mlops-title"),
        facts(
            [
                ("content", "" if version.new else "this content was already saved; nothing was stored"),
                ("but", "" if version.new else version.instead),
                ("files" if version.kind == "folder" else "rows", f"{version.rows:,}"),
                ("columns", "" if version.kind == "folder" else f"{len(version.columns)}"),
                ("added", f"{byte_size(version.bytes)} to the store" if version.bytes else ""),
                ("digest", code(version.digest[:16])),
                ("saved", when(version.created_ms) if version.created_ms else ""),
                ("by", version.created_by),
                ("notebook", version.notebook),
                ("personal data", join((code(name) for name in version.personal), ", ")),
                ("checks", _checks(version)),
                ("seal", version.seal),
                ("used by", join((code(run[:8]) for run in version.used_by), ", ")),
            ]
        ),
        more("columns", columns) if version.columns else "",
    )  # fmt: skip


def _checks(version: DataVersion) -> Markup | str:
    """What the newest checks found, and the command that shows it."""
    if version.errors is None:
        return ""
    found = [
        pill(several(count, word), kind) for count, word, kind in
        ((version.errors, "error", "bad"), (version.warnings or 0, "warning", "warn")) if count
    ] or [pill("passed", "good")]  # fmt: skip
    return join([*found, code(f"%mlops data check {version.ref}")], " ")


def data_version_table(table: DataVersionTable) -> Markup:
    """One row a version."""
    if not table.versions:
        return page("No data versions yet. Save one with ", code("%mlops data save DF --name NAME"), ".")
    called = any(v.called for v in table.versions)
    rows = [
        [
            tag("b", v.ref, title=v.seal or None),
            *([v.called] if called else []),
            Number(v.rows, ","),
            Number(len(v.columns), ","),
            tag("span", byte_size(v.bytes)),
            when(v.created_ms),
            v.created_by,
            code(v.digest[:12]),
            *([Number(len(v.used_by), ",")] if table.name else []),  # not looked up for the latest of every name
        ]
        for v in table.versions
    ]
    heads = [
        "version",
        *(["called"] if called else []),
        "rows",
        "columns",
        "size",
        "saved",
        "by",
        "digest",
        *(["runs"] if table.name else []),
    ]
    return page(grid(heads, rows))


def _short_id(name: str) -> str:
    """A prediction's id by what tells it from those beside it: the request's first letters, and the row."""
    request, _, row = name.rpartition("-")
    return f"{request[:8]}…-{row}" if len(request) > 8 else name


def predictions(answered: Predictions) -> Markup:
    """The first answers and who gave them."""
    number = isinstance(next(iter(answered.values), None), float)
    ids = answered.ids or ("",) * len(answered)
    rows = [
        [code(_short_id(i)) if i else "–", Number(value) if number else short(str(value), 80)]
        for i, value in list(zip(ids, answered.values, strict=False))[:SHOWN]
    ]
    rest = len(answered) - len(rows)
    told = f"{len(answered):,} predictions from {answered.model} in {answered.took_ms:.1f} ms"
    return page(grid(["id", "prediction"], rows), note(told + (f"; {rest:,} more not shown" if rest else "")))
