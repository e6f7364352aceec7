"""Provenance: W3C PROV-JSON of how the model came about: data, training run, evaluations, gates, moves, and people."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .document import Document, Evidence, iso, json_bytes

__all__ = ["DOCUMENT"]

FILE = "provenance.prov.json"
NAMESPACE = "https://jupyter-mlops.invalid/prov#"
DAY = "xsd:dateTime"


class _Graph:
    """PROV-JSON as it grows."""

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {"prefix": {"mlops": NAMESPACE}, "entity": {}, "activity": {}, "agent": {}}

    def add(self, kind: str, name: str, /, **about: Any) -> str:
        own = f"mlops:{quote(name, safe='-_.~/')}"
        written = {f"mlops:{key}": value for key, value in about.items() if value not in (None, "")}
        self.parts[kind][own] = {"prov:label": name, **written}
        return own

    def time(self, activity: str, start_ms: int, end_ms: int | None) -> None:
        if start_ms:
            self.parts["activity"][activity]["prov:startTime"] = iso(start_ms)
        if end_ms:
            self.parts["activity"][activity]["prov:endTime"] = iso(end_ms)

    def person(self, name: str) -> str:
        own = self.add("agent", f"user/{name}")
        self.parts["agent"][own]["prov:type"] = {"$": "prov:Person", "type": "prov:QUALIFIED_NAME"}
        return own

    def link(self, kind: str, **ends: str) -> None:
        held = self.parts.setdefault(kind, {})
        held[f"_:{kind}{len(held) + 1}"] = {f"prov:{end}": name for end, name in ends.items()}


def _write(evidence: Evidence) -> dict[str, bytes]:
    graph = _Graph()
    dossier, model = evidence.dossier, evidence.dossier.model
    own = graph.add(
        "entity", f"model/{model.ref}", estimator=model.estimator, sha256=dossier.digest, format=model.format
    )
    software = graph.add("agent", "software/jupyter-mlops", version=evidence.version)
    graph.parts["agent"][software]["prov:type"] = {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"}
    data = {f.version.ref: _data(graph, f.version) for f in dossier.data}
    run = _run(graph, evidence, own, data)
    if not run:
        for entity in data.values():
            graph.link("wasDerivedFrom", generatedEntity=own, usedEntity=entity)
    if model.created_by:
        graph.link("wasAttributedTo", entity=own, agent=graph.person(model.created_by))
    for evaluation in dossier.evaluations:
        worth = {m.name: repr(m.value) for m in evaluation.headline}
        result = graph.add("entity", f"evaluation/{evaluation.id}", rows=evaluation.rows, data=evaluation.data, **worth)
        activity = graph.add("activity", f"evaluate/{evaluation.id}")
        graph.time(activity, evaluation.created_ms, evaluation.created_ms)
        graph.link("used", activity=activity, entity=own)
        if evaluation.data:
            table = data.get(evaluation.data) or graph.add(
                "entity", f"data/{evaluation.data}", digest=evaluation.data_digest
            )
            data[evaluation.data] = table
            graph.link("used", activity=activity, entity=table)
        graph.link("wasGeneratedBy", entity=result, activity=activity)
        if evaluation.created_by:
            graph.link("wasAssociatedWith", activity=activity, agent=graph.person(evaluation.created_by))
    for report in dossier.gates:
        bad = sum(not result.passed for result in report)
        name = f"gates/{model.ref}/{report.alias}"
        gates = graph.add("entity", name, passed=str(report.passed).lower(), failing=bad)
        graph.link("wasDerivedFrom", generatedEntity=gates, usedEntity=own)
    for number, move in enumerate(reversed(dossier.moves), 1):
        told = {
            "before": move.before,
            "version": move.version,
            "reason": move.reason,
            "forced": str(move.forced).lower(),
        }
        activity = graph.add("activity", f"promote/{model.name}/{move.alias}/{number}", **told)
        graph.time(activity, move.at_ms, move.at_ms)
        graph.link("used", activity=activity, entity=own)
        if move.by:
            graph.link("wasAssociatedWith", activity=activity, agent=graph.person(move.by))
    for approval in dossier.approvals:
        word = graph.add("entity", f"approval/{model.ref}/{approval.role}", withdrawn=str(approval.withdrawn).lower())
        graph.link("wasDerivedFrom", generatedEntity=word, usedEntity=own)
        graph.link("wasAttributedTo", entity=word, agent=graph.person(approval.by))
    return {FILE: json_bytes({key: part for key, part in graph.parts.items() if part})}


def _data(graph: _Graph, version: Any) -> str:
    entity = graph.add("entity", f"data/{version.ref}", digest=version.digest, rows=version.rows)
    for source in version.sources:
        graph.link("wasDerivedFrom", generatedEntity=entity, usedEntity=graph.add("entity", f"data/{source}"))
    if version.created_by:
        graph.link("wasAttributedTo", entity=entity, agent=graph.person(version.created_by))
    return entity


def _run(graph: _Graph, evidence: Evidence, own: str, data: dict[str, str]) -> str:
    run = evidence.dossier.run
    if run is None:
        return ""
    activity = graph.add("activity", f"run/{run.id}", name=run.name, status=run.status, trust=run.trust)
    graph.time(activity, run.started_ms, run.ended_ms)
    graph.link("wasGeneratedBy", entity=own, activity=activity)
    for ref in dict.fromkeys([*run.data, *evidence.dossier.model.data]):
        data[ref] = data.get(ref) or graph.add("entity", f"data/{ref}")
        graph.link("used", activity=activity, entity=data[ref])
    if run.notebook or run.source:
        plan = graph.add("entity", f"notebook/{run.notebook or 'cell'}", commit=run.commit)
        graph.link("used", activity=activity, entity=plan)
    if run.user:
        graph.link("wasAssociatedWith", activity=activity, agent=graph.person(run.user))
    return activity


DOCUMENT = Document(
    "how the model came about: data, run, evaluations, gates, approvals, moves, and who did them",
    "W3C PROV-JSON",
    "prov.model.ProvDocument.deserialize",
    _write,
)
