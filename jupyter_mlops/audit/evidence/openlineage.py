"""Lineage events: OpenLineage 2-0-2, a START and an end for the run that trained the model and for each evaluation."""

from __future__ import annotations

import json
import platform
import uuid
from typing import Any
from urllib.parse import quote

from ...domain.evaluation import Evaluation
from .document import PRODUCER, Document, Evidence, iso, stable_uuid

__all__ = ["DOCUMENT", "FACETS"]

FILE = "lineage.openlineage.jsonl"
EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
BASE = "https://openlineage.io/spec/facets"
FACETS = {
    "schema": ("SchemaDatasetFacet", "1-2-0"),
    "version": ("DatasetVersionDatasetFacet", "1-0-1"),
    "dataQualityAssertions": ("DataQualityAssertionsDatasetFacet", "1-1-0"),
    "sourceCodeLocation": ("SourceCodeLocationJobFacet", "1-1-0"),
    "sourceCode": ("SourceCodeJobFacet", "1-0-1"),
    "jobType": ("JobTypeJobFacet", "2-0-4"),
    "documentation": ("DocumentationJobFacet", "1-1-0"),
    "parent": ("ParentRunFacet", "1-2-0"),
    "processing_engine": ("ProcessingEngineRunFacet", "1-1-1"),
    "errorMessage": ("ErrorMessageRunFacet", "1-0-1"),
}
"""Each facet's schema and its version, by the name under which it stands in an event."""

ENDS = {"FINISHED": "COMPLETE", "FAILED": "FAIL", "KILLED": "ABORT"}


def _write(evidence: Evidence) -> dict[str, bytes]:
    events = [*_training(evidence)]
    for evaluation in reversed(evidence.dossier.evaluations):
        events += _evaluation(evidence, evaluation)
    lines = [json.dumps(event, ensure_ascii=False, allow_nan=False) for event in events]
    return {FILE: ("\n".join(lines) + "\n").encode()} if lines else {}


def _facet(name: str, /, **about: Any) -> dict[str, Any]:
    schema, version = FACETS[name]
    url = f"{BASE}/{version}/{schema}.json#/$defs/{schema}"
    return {"_producer": PRODUCER, "_schemaURL": url, **about}


def _namespace(evidence: Evidence) -> str:
    return evidence.repository or f"jupyter-mlops/{evidence.dossier.project}"


def _event(
    kind: str, at_ms: int, run: dict[str, Any], job: dict[str, Any], inputs: Any, outputs: Any
) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": iso(at_ms),
        "run": run,
        "job": job,
        "inputs": inputs,
        "outputs": outputs,
        "producer": PRODUCER,
        "schemaURL": EVENT,
    }


def _training(evidence: Evidence) -> list[dict[str, Any]]:
    run = evidence.dossier.run
    if run is None:
        return []
    facets: dict[str, Any] = {"parent": _parent(evidence), "processing_engine": _engine(evidence)}
    if run.reason:
        facets["errorMessage"] = _facet("errorMessage", message=run.reason, programmingLanguage="python")
    job_facets: dict[str, Any] = {
        "jobType": _facet("jobType", processingType="BATCH", integration="JUPYTER", jobType="CELL"),
        "sourceCodeLocation": _location(evidence),
    }
    if run.source:
        job_facets["sourceCode"] = _facet("sourceCode", language="python", sourceCode=run.source)
    job = {"namespace": _namespace(evidence), "name": _job_name(evidence), "facets": job_facets}
    inputs = [_input(evidence, ref) for ref in dict.fromkeys([*evidence.dossier.model.data, *run.data])]
    told = {"runId": _run_id(run.id), "facets": facets}
    events = [_event("START", run.started_ms, {**told, "facets": _without(facets, "errorMessage")}, job, inputs, [])]
    end = ENDS.get(run.status)
    if end and run.ended_ms:
        events.append(_event(end, run.ended_ms, told, job, inputs, [_model(evidence)]))
    return events


def _evaluation(evidence: Evidence, evaluation: Evaluation) -> list[dict[str, Any]]:
    """An evaluation knows when it was made, not when it began: it begins so long before as predicting took."""
    run_id = stable_uuid("evaluation", evaluation.id)
    told = " · ".join(f"{m.name} {m}" for m in evaluation.headline)
    facets: dict[str, Any] = {"processing_engine": _engine(evidence)}
    if evaluation.run_id:
        name = _job_name(evidence)
        facets["parent"] = _facet(
            "parent",
            run={"runId": _run_id(evaluation.run_id)},
            job={"namespace": _namespace(evidence), "name": name},
        )
    job = {
        "namespace": _namespace(evidence),
        "name": f"evaluate.{evidence.dossier.model.name}",
        "facets": {
            "jobType": _facet("jobType", processingType="BATCH", integration="JUPYTER", jobType="EVALUATION"),
            "documentation": _facet("documentation", description=told or "no metric is defined"),
        },
    }
    inputs = [_model(evidence), *([_input(evidence, evaluation.data)] if evaluation.data else [])]
    output = {
        "namespace": _namespace(evidence),
        "name": f"evaluation.{evidence.dossier.model.name}",
        "facets": {
            "version": _facet("version", datasetVersion=evaluation.id),
            "schema": _facet("schema", fields=[{"name": m.name, "type": "double"} for m in evaluation.metrics]),
        },
    }
    run = {"runId": run_id, "facets": facets}
    began = evaluation.created_ms - int(1000 * (evaluation.predict_seconds or 0.0))
    return [
        _event("START", began, run, job, inputs, []),
        _event("COMPLETE", evaluation.created_ms, run, job, inputs, [output]),
    ]


def _job_name(evidence: Evidence) -> str:
    run = evidence.dossier.run
    return f"{_notebook(evidence)}.{run.name}" if run is not None else _notebook(evidence)


def _notebook(evidence: Evidence) -> str:
    run = evidence.dossier.run
    return (run.notebook if run is not None else "") or evidence.dossier.project or "notebook"


def _parent(evidence: Evidence) -> dict[str, Any]:
    """The run that the run belongs to, where there is one; else the notebook at this commit."""
    run = evidence.dossier.run
    own = _run_id(run.parent) if run is not None and run.parent else stable_uuid("notebook", _notebook(evidence), run.commit if run else "")  # fmt: skip
    return _facet("parent", run={"runId": own}, job={"namespace": _namespace(evidence), "name": _notebook(evidence)})


def _location(evidence: Evidence) -> dict[str, Any]:
    run = evidence.dossier.run
    path = quote(run.notebook if run is not None else "")
    place = evidence.repository or f"urn:notebook:{path or 'unknown'}"
    about: dict[str, Any] = {"type": "git" if evidence.repository or (run and run.commit) else "notebook", "url": place}
    if evidence.repository:
        about["repoUrl"] = evidence.repository
    if run is not None and run.notebook:
        about["path"] = run.notebook
    if run is not None and run.commit:
        about["version"] = run.commit
    return _facet("sourceCodeLocation", **about)


def _engine(evidence: Evidence) -> dict[str, Any]:
    return _facet(
        "processing_engine",
        version=platform.python_version(),
        name="python",
        openlineageAdapterVersion=evidence.version or "0",
    )


def _model(evidence: Evidence) -> dict[str, Any]:
    model = evidence.dossier.model
    fields = [{"name": c.name or "output", "type": c.type} for c in (*model.inputs, *model.outputs)]
    return {
        "namespace": _namespace(evidence),
        "name": f"model.{model.name}",
        "facets": {
            "version": _facet("version", datasetVersion=str(model.version)),
            "schema": _facet("schema", fields=fields),
        },
    }


def _input(evidence: Evidence, ref: str) -> dict[str, Any]:
    held = next((f for f in evidence.dossier.data if f.version.ref == ref), None)
    name, _, version = ref.partition("@") if "@" in ref else ref.partition("#")
    facets: dict[str, Any] = {}
    found: dict[str, Any] = {"namespace": _namespace(evidence), "name": f"data.{name}", "facets": facets}
    if version:
        facets["version"] = _facet("version", datasetVersion=held.version.digest if held else version)
    if held is not None:
        fields = [{"name": c.name, "type": c.type} for c in held.version.columns]
        facets["schema"] = _facet("schema", fields=fields)
        if held.checks is not None:
            errors = int(held.checks.get("errors", 0))
            rule = {
                "assertion": "no check of the data says error",
                "success": errors == 0,
                "actual": str(errors),
                "expected": "0",
            }
            found["inputFacets"] = {"dataQualityAssertions": _facet("dataQualityAssertions", assertions=[rule])}
    return found


def _run_id(run_id: str) -> str:
    """MLflow's run id as the UUID that it is."""
    try:
        return str(uuid.UUID(run_id))
    except ValueError:
        return stable_uuid("run", run_id)


def _without(facets: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: facet for key, facet in facets.items() if key != name}


DOCUMENT = Document(
    "lineage events of training and of each evaluation, for a lineage server",
    "OpenLineage 2-0-2",
    "openlineage-python, and each facet's schema",
    _write,
)
