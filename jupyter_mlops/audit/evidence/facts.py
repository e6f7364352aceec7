"""What can be shown of a model, one fact each: what was found, in words; empty where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .document import Evidence

__all__ = ["FACTS", "Fact"]


@dataclass(frozen=True)
class Fact:
    """Something that can be shown.

    Parameters
    ----------
    file
        Where it stands in the pack, when it is there.
    look
        Says what was found; empty for nothing.
    """

    file: str
    look: Callable[[Evidence], str]


def _own(name: str) -> Callable[[Evidence], str]:
    def look(evidence: Evidence) -> str:
        return "the owner's words in the card" if evidence.own.get(name) else ""

    return look


def _part(name: str, words: str) -> Callable[[Evidence], str]:
    def look(evidence: Evidence) -> str:
        held = evidence.dossier.with_part(name)
        return f"{words} on {held.data or 'a table'}, {held.rows:,} rows" if held is not None else ""

    return look


def _done(action: str, words: str) -> Callable[[Evidence], str]:
    """Audit entries of an action, or of every action of a noun."""

    def look(evidence: Evidence) -> str:
        found = [e for e in evidence.entries if e.action == action or e.action.startswith(f"{action}.")]
        return f"{len(found)} {words}" if found else ""

    return look


def _metrics(e: Evidence) -> str:
    held = e.dossier.evaluation
    if held is None:
        return ""
    with_interval = sum(m.low is not None for m in held.metrics)
    return f"{len(held.metrics)} metrics, {with_interval} with intervals, on {held.rows:,} rows"


def _gates(e: Evidence) -> str:
    told = [
        f"{sum(r.passed for r in report)} of {len(report)} gates of {report.alias} hold" for report in e.dossier.gates
    ]
    return "; ".join(told)


def _approvals(e: Evidence) -> str:
    return ", ".join(f"{a.by} as {a.role}" for a in e.dossier.approvals if not a.withdrawn)


def _moves(e: Evidence) -> str:
    moves = e.dossier.moves
    forced = sum(m.forced for m in moves)
    return f"{len(moves)} moves, {forced} forced" if moves else ""


def _data(e: Evidence) -> str:
    return ", ".join(f"{f.version.ref} ({f.version.rows:,} rows)" for f in e.dossier.data)


def _checks(e: Evidence) -> str:
    made = [f for f in e.dossier.data if f.checks is not None]
    return ", ".join(f"{f.version.ref}: {(f.checks or {}).get('errors', 0)} errors" for f in made)


def _sources(e: Evidence) -> str:
    return ", ".join(
        f"{f.version.ref} from {', '.join(f.version.sources)}" for f in e.dossier.data if f.version.sources
    )


def _run(e: Evidence) -> str:
    run = e.dossier.run
    return f"run {run.id[:8]}" + (f" of {run.notebook}" if run.notebook else "") if run is not None else ""


def _code(e: Evidence) -> str:
    run = e.dossier.run
    return "the cell's code" + (f", commit {run.commit[:12]}" if run.commit else "") if run and run.source else ""


def _trust(e: Evidence) -> str:
    run = e.dossier.run
    return run.trust if run is not None and run.trust in ("reproducible", "consistent") else ""


def _pipeline(e: Evidence) -> str:
    told = e.dossier.pipeline
    return "an exported pipeline gave its results in a fresh process" if told and told.get("verified") is True else ""


def _environment(e: Evidence) -> str:
    count = len(e.dossier.packages) or len(e.dossier.requirements)
    return f"{count} pinned distributions" if count else ""


def _energy(e: Evidence) -> str:
    told = e.dossier.energy()
    return "" if told is None else f"{told[0]:.4g} Wh in training"


def _audit(e: Evidence) -> str:
    return f"{len(e.entries)} entries" if e.entries else ""


def _whole(e: Evidence) -> str:
    check = e.check
    return (
        f"{check.entries:,} entries of {len(check.receipts)} writers are whole"
        if check is not None and check.ok
        else ""
    )


def _digest(e: Evidence) -> str:
    return f"SHA-256 {e.dossier.digest[:12]}" if e.dossier.digest else ""


def _no_pickle(e: Evidence) -> str:
    return f"stored as {e.dossier.model.format}" if e.dossier.model.format not in ("", "pickle", "cloudpickle") else ""


def _membership(e: Evidence) -> str:
    return _robust(e, "membership", "membership inference AUC")


def _attack(e: Evidence) -> str:
    return _robust(e, "attack", "adversarial search: share of rows changed")


def _robust(e: Evidence, name: str, words: str) -> str:
    held = e.dossier.with_part("robustness")
    check: Any = held.robustness.check(name) if held is not None and held.robustness is not None else None
    if held is not None and held.robustness is not None and check is None:
        check = next((c for c in held.robustness.checks if c.name == name), None)
    return f"{words} {check.value:.3f}" if check is not None and check.value is not None else ""


FACTS: dict[str, Fact] = {
    "intended use": Fact("card.html", _own("intended-use")),
    "known limits": Fact("card.html", _own("limitations")),
    "ethical considerations": Fact("card.html", _own("ethics")),
    "contact": Fact("card.html", _own("contact")),
    "owners": Fact("card.html", lambda e: ", ".join(e.dossier.owners)),
    "metrics": Fact("evaluations.json", _metrics),
    "slices": Fact("evaluations.json", _part("slices", "slices")),
    "fairness": Fact("evaluations.json", _part("fairness", "groups compared")),
    "calibration": Fact("evaluations.json", _part("calibration", "calibration tested")),
    "explanation": Fact("evaluations.json", _part("explanation", "drivers measured")),
    "robustness": Fact("evaluations.json", _part("robustness", "disturbances tried")),
    "adversarial search": Fact("evaluations.json", _attack),
    "membership inference": Fact("evaluations.json", _membership),
    "gates": Fact("gates.html", _gates),
    "approvals": Fact("gates.html", _approvals),
    "alias history": Fact("gates.html", _moves),
    "data versions": Fact("provenance.prov.json", _data),
    "data checks": Fact("card.html", _checks),
    "data sources": Fact("provenance.prov.json", _sources),
    "run": Fact("provenance.prov.json", _run),
    "code": Fact("training_cell.py", _code),
    "trust label": Fact("card.html", _trust),
    "verified pipeline": Fact("bom.cdx.json", _pipeline),
    "environment": Fact("bom.cdx.json", _environment),
    "energy": Fact("bom.cdx.json", _energy),
    "model digest": Fact("bom.cdx.json", _digest),
    "safe format": Fact("bom.cdx.json", _no_pickle),
    "audit entries": Fact("audit.jsonl", _audit),
    "whole record": Fact("audit_check.json", _whole),
    "deployments": Fact("audit.jsonl", _done("deployment.deploy", "deployments")),
    "rollbacks": Fact("audit.jsonl", _done("deployment.rollback", "rollbacks")),
    "drift reports": Fact("audit.jsonl", _done("drift", "drift reports")),
    "labels": Fact("audit.jsonl", _done("deployment.label", "uploads of true outcomes")),
    "erasures": Fact("audit.jsonl", _done("data.forget", "erasures from data")),
}
