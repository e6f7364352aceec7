"""A data check: the verdict at a glance, one line a finding, and what shows it and mends it to unfold; contracts."""

from __future__ import annotations

from ..domain.contract import Contract
from ..domain.data_check import SEVERITIES, DataCheck, Finding
from .markup import Markup, Number, code, facts, grid, join, more, note, page, pill, short, tag

__all__ = ["contract", "data_check"]

TONES = {"error": "bad", "warning": "warn", "info": "busy"}
OPEN = 20  # findings before the rest is folded away
COLUMNS = 3


def data_check(check: DataCheck) -> Markup:
    """The worst first; a finding unfolds to its evidence and its line of code."""
    counts = [
        pill(f"{n} {s if n == 1 or s == 'info' else s + 's'}", TONES[s]) for s in SEVERITIES if (n := check.count(s))
    ]
    name = check.table if check.version in ("", check.table) else f"{check.table} · {check.version}"
    about = f" {check.rows:,} rows x {check.columns} columns" + (f", target {check.target}" if check.target else "")
    head = tag(
        "div", name, " ", join(counts, " ") if counts else pill("nothing found", "good"),
        tag("span", about, class_="mlops-dim", style="font-weight:400"), class_="mlops-title",
    )  # fmt: skip
    worst = [f for f in check.findings if f.severity != "info"][:OPEN]
    rest = [f for f in check.findings if f not in worst]
    parts = [_table(worst) if worst else ""]
    if rest:
        word = "finding" if len(rest) == 1 else "findings"
        parts.append(more(f"{len(rest)} more {word}, good to know", _table(rest)) if worst else _table(rest))
    if check.skipped:
        rows = [[s.check, s.column, short(s.reason, 90)] for s in check.skipped]
        parts.append(more(f"{len(rows)} not checked", grid(["check", "column", "why"], rows)))
    parts.append(
        note(f"{len(check.checks)} checks in {check.seconds:.1f} s: {', '.join(_words(c) for c in check.checks)}")
    )
    return page(head, *parts, note(check.note) if check.note else "")


def contract(found: Contract) -> Markup:
    """One row a column."""
    rows = [
        [
            tag("b", c.name),
            c.kind,
            pill("may be missing") if c.nullable else "",
            pill("unique") if c.unique else "",
            short(c.range(), 70),
        ]
        for c in found.columns
    ]
    return page(
        tag("div", "contract of ", found.source, class_="mlops-title"),
        grid(["column", "kind", "", "", "allowed"], rows),
        note(join(["Hold a table to it with ", code(f"%mlops data check DF --contract {found.source}"), "."])),
    )


def _table(findings: list[Finding]) -> Markup:
    return grid(["", "check", "column", "what was found"], [_row(f) for f in findings])


def _row(found: Finding) -> list[object]:
    names = [code(short(name, 22)) for name in found.columns[:COLUMNS]]
    if len(found.columns) > COLUMNS:
        names.append(Markup(f"+{len(found.columns) - COLUMNS}"))
    what = tag("div", found.message, style="white-space:normal;max-width:62ch")
    return [
        pill(found.severity, TONES[found.severity]),
        _words(found.check),
        join(names, " "),
        join([what, _detail(found)]),
    ]


def _detail(found: Finding) -> Markup:
    numbers = [join([f"{name} ", Number(value)]) for name, value in found.numbers.items()]
    rows = [str(row) for row in found.rows] + (["…"] if found.count > len(found.rows) and found.rows else [])
    return more(
        "evidence and code",
        facts(
            [
                ("rows", f"{found.count:,} of {found.of:,}" if found.of else ""),
                ("positions", ", ".join(rows)),
                ("for example", join([code(example) for example in found.examples], " ")),
                ("numbers", join(numbers, " · ")),
                ("how", tag("div", found.convention, style="max-width:70ch") if found.convention else ""),
            ]
        ),
        tag("pre", found.fix) if found.fix else "",
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
