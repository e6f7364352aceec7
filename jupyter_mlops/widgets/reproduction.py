"""Reproduction: a run's code, and what a fresh execution of it gave."""

from __future__ import annotations

from ..domain.display import seconds
from ..domain.reproduction import Reproduction, RunCode
from .markup import Markup, code, grid, join, more, note, page, pill, short, tag

__all__ = ["reproduction", "run_code"]

TONES = {"same": "good", "differs": "bad", "differs each time": "bad", "missing": "bad"}


def run_code(told: RunCode) -> Markup:
    """The code, and which cells it comes from."""
    cells = ", ".join(f"[{count}]" for count in told.cells)
    left = f"; {told.left_out} others have nothing to do with it" if told.left_out else ""
    return page(
        tag("div", "run ", tag("b", told.name), " ", code(told.run[:8]), tag("span", f" · {cells}{left}", class_="mlops-dim")),
        *map(note, told.notes),
        tag("pre", told.source),
    )  # fmt: skip


def reproduction(told: Reproduction) -> Markup:
    """The verdict, what differs, and the rest folded."""
    bad = told.differences()
    same = sum(one.verdict == "same" for one in told.outcomes)
    if told.error:
        verdict = told.error
    elif told.ok:
        verdict = f"{same} result{'s' if same != 1 else ''} the same in a fresh process"
    else:
        verdict = f"{len(bad)} of {same + len(bad)} results differ" if bad else "there is nothing to compare"
    word, tone = ("reproduced", "good") if told.ok else ("not reproduced", "bad")
    rows = [
        [one.kind, code(one.name), short(one.was, 32), short(one.now, 32), pill(one.verdict, TONES.get(one.verdict, ""))]
        for one in (*bad, *(one for one in told.outcomes if one.ok))
    ]  # fmt: skip
    heads = ["", "result", "run", "again", ""]
    why = [note(join([cell, " ", text])) for cell, text in told.reasons.items()]
    versions = more(f"{len(told.environment)} other versions", tag("pre", "\n".join(told.environment)))
    return page(
        tag("div", pill(word, tone), " ", tag("b", told.name), " ", code(told.run[:8]), f" · {verdict} ({seconds(told.took_ms)})"),
        grid(heads, rows[: len(bad)]) if bad else "",
        more("all results", grid(heads, rows)) if rows else "",
        tag("div", "trust ", pill(told.trust, "good" if told.trust in ("reproducible", "consistent") else "warn")),
        *why,
        versions if told.environment else "",
        *map(note, told.notes),
    )  # fmt: skip
