"""Gates, approvals and the history of aliases."""

from __future__ import annotations

from ..domain.gate import Approval, GateReport, GateResult, ModelHistory
from .markup import Markup, code, grid, join, note, page, pill, tag, when

__all__ = ["approval", "gate_grid", "gate_report", "model_history"]

TONES = {"passed": "good", "failed": "bad", "not judged": "warn"}


def gate_grid(results: tuple[GateResult, ...]) -> Markup:
    """One row a gate: verdict, needed, found; the verdict first, where no width hides it."""
    rows = [
        [tag("b", r.gate), pill(r.verdict, TONES[r.verdict], title=r.hint), _broken(r.needed), _broken(r.found)]
        for r in results
    ]
    return grid(["gate", "verdict", "needed", "found"], rows)


def _broken(words: str) -> Markup:
    """Words in a cell, broken into lines where the page is narrow; a table does not break them by itself."""
    return tag("span", words, style="display:inline-block;white-space:normal;min-width:9em")


def gate_report(report: GateReport) -> Markup:
    """Every gate of an alias for one version, and what to do about those that do not hold."""
    if not report.results:
        return page(report.text())
    if not report.judged:
        title = tag("div", f"{report.alias}: {len(report.results)} gates declared", class_="mlops-title")
        return page(title, gate_grid(report.results), *(note(text) for text in report.notes if text))
    word = pill("every gate holds", "good") if report.passed else pill("not yet", "bad")
    hints = [note(f"{r.gate}: {r.hint}") for r in report.results if r.hint and not r.passed]
    return page(
        tag("div", f"{report.model} as {report.alias} ", word, class_="mlops-title"),
        gate_grid(report.results),
        *hints,
        *(note(text) for text in report.notes if text),
    )


def approval(given: Approval) -> Markup:
    """Who approved what as what."""
    return page(given.text())


def model_history(history: ModelHistory) -> Markup:
    """Where the aliases stand, and every move, newest first."""
    rows = [
        [
            when(m.at_ms),
            pill(m.alias),
            m.before if m.before is not None else "–",
            m.version if m.version is not None else "taken away",
            m.by,
            _broken(join([pill("forced", "bad"), " ", m.reason]) if m.forced else m.reason),
        ]
        for m in history.moves
    ]
    now = [join([pill(alias, "good"), f" {history.name}@{version} "]) for alias, version in sorted(history.now.items())]
    if not rows:
        return page(f"No alias of {history.name} has been moved yet. Move one with ", code("%mlops promote"), ".")
    return page(tag("div", *now), grid(["when", "alias", "from", "to", "who", "why"], rows))
