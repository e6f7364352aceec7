"""Coverage: for each point of each framework, what the pack shows, where, and what it does not cover."""

from __future__ import annotations

from typing import Any

from ...domain.evidence_pack import Covered
from ...domain.written import Grid, Link, Pill, Section, Written
from .document import Document, Evidence, json_bytes
from .facts import FACTS
from .points import FRAMEWORKS, Point

__all__ = ["DOCUMENT", "counted"]


def _write(evidence: Evidence) -> dict[str, bytes]:
    told = {name: [_judged(evidence, point) for point in points] for name, points in FRAMEWORKS.items()}
    return {"coverage.html": _page(evidence, told).html().encode(), "coverage.json": json_bytes(told)}


def counted(evidence: Evidence) -> tuple[Covered, ...]:
    """How much of each framework is shown."""
    found = []
    for name, points in FRAMEWORKS.items():
        words = [_judged(evidence, point)["shown"] for point in points]
        found.append(Covered(name, words.count("shown"), words.count("in part"), words.count("not shown")))
    return tuple(found)


def _judged(evidence: Evidence, point: Point) -> dict[str, Any]:
    there = {name: told for name in point.facts if (told := FACTS[name].look(evidence))}
    missing = [name for name in point.facts if name not in there]
    word = "not shown" if not there else "in part" if missing else "shown"
    return {
        "point": point.number,
        "topic": point.topic,
        "shown": word,
        "evidence": there,
        "files": sorted({FACTS[name].file for name in there}),
        "missing": missing,
        "not covered": point.lacking,
    }


def _page(evidence: Evidence, told: dict[str, list[dict[str, Any]]]) -> Written:
    tones: Any = {"shown": "good", "in part": "warn", "not shown": "bad"}
    sections = []
    for name, points in told.items():
        rows = [
            (
                p["point"],
                p["topic"],
                Pill(p["shown"], tones[p["shown"]]),
                tuple(Link(f"{fact}: {words}", FACTS[fact].file) for fact, words in p["evidence"].items()),
                ", ".join(p["missing"]),
                p["not covered"],
            )
            for p in points
        ]
        heads = ("point", "topic", "", "what is shown, and where", "missing here", "never covered")
        sections.append(Section(name, [Grid(heads, rows)]))
    lead = (
        "What this pack says on points of three frameworks. “Shown” means that what we can show is there; "
        "it does not mean that a duty is met, which people have to judge."
    )
    return Written(f"What the evidence of {evidence.dossier.model.ref} covers", lead, sections)


DOCUMENT = Document(
    "which points of NIST AI RMF, ISO/IEC 42001 and GDPR are shown, where, and what is not covered",
    "JSON of ours, and a page",
    "read it",
    _write,
)
