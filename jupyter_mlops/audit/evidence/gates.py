"""Who said it may go live, and on what ground: gate results, approvals, and every move of its aliases."""

from __future__ import annotations

from ...domain.display import clock
from ...domain.written import Grid, Pill, Section, Tone, Written
from .document import Document, Evidence, json_bytes

__all__ = ["DOCUMENT"]

TONES: dict[str, Tone] = {"passed": "good", "failed": "bad", "not judged": "warn"}


def _write(evidence: Evidence) -> dict[str, bytes]:
    dossier = evidence.dossier
    told = {
        "model": dossier.model.ref,
        "gates": [report.to_dict() for report in dossier.gates],
        "approvals": [approval.to_dict() for approval in dossier.approvals],
        "roles": dossier.roles,
        "moves": [move.to_dict() for move in dossier.moves],
    }
    return {"gates.html": _page(evidence).html().encode(), "gates.json": json_bytes(told)}


def _page(evidence: Evidence) -> Written:
    dossier = evidence.dossier
    sections = []
    for report in dossier.gates:
        rows = [(r.gate, r.needed, r.found, Pill(r.verdict, TONES[r.verdict])) for r in report]
        word = "every gate holds" if report.passed else "not every gate holds"
        title = f"Gates of {report.alias}, {clock(report.judged_ms)}: {word}"
        sections.append(Section(title, [Grid(("gate", "needed", "found", "verdict"), rows)]))
    if not dossier.gates:
        sections.append(Section("Gates", ["No gate has judged this version: none was declared when it was promoted."]))
    given = [
        (a.role, a.by, clock(a.at_ms), Pill("withdrawn", "bad") if a.withdrawn else Pill("given", "good"), a.note)
        for a in dossier.approvals
    ]
    sections.append(Section("Approvals", [Grid(("as", "by", "when", "", "note"), given) if given else "Nobody has approved it."]))  # fmt: skip
    moves = [
        (
            clock(m.at_ms),
            m.alias,
            "" if m.before is None else str(m.before),
            "taken away" if m.version is None else str(m.version),
            m.by,
            Pill("forced", "bad") if m.forced else "",
            m.reason,
        )
        for m in dossier.moves
    ]
    heads = ("when", "alias", "from", "to", "who", "", "why")
    sections.append(
        Section("Moves of its aliases", [Grid(heads, moves) if moves else "No alias has moved to it or from it."])
    )
    return Written(f"Gates of {dossier.model.ref}", "What had to hold, what was found, and who decided.", sections)


DOCUMENT = Document(
    "gate results, approvals, and every move of its aliases with reasons",
    "JSON of ours, and a page",
    "read it",
    _write,
)
