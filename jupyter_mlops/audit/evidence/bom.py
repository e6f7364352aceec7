"""The bill of materials: a CycloneDX 1.6 ML-BOM with the model card in it, the data, and every pinned distribution."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from ...domain.evaluation import Evaluation
from ...domain.evaluation_parts import MetricValue
from .document import Document, Evidence, iso, json_bytes, stable_uuid

__all__ = ["DOCUMENT"]

FILE = "bom.cdx.json"
TASKS = {"binary": "classification", "multiclass": "classification", "regression": "regression"}


def _write(evidence: Evidence) -> dict[str, bytes]:
    dossier = evidence.dossier
    model = dossier.model
    data = [_data_component(evidence, i) for i in range(len(dossier.data))]
    libraries = _libraries(evidence)
    needed = {_normal(re.split(r"[=<>!~;\[ ]", line)[0]) for line in dossier.requirements}
    direct = [lib["bom-ref"] for lib in libraries if _normal(lib["name"]) in needed]
    edges = [{"ref": _ref(evidence), "dependsOn": [*(d["bom-ref"] for d in data), *(direct or [lib["bom-ref"] for lib in libraries])]}]  # fmt: skip
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{stable_uuid('bom', model.ref, dossier.digest, str(dossier.made_ms))}",
        "version": 1,
        "metadata": {
            "timestamp": iso(dossier.made_ms),
            "tools": {"components": [{"type": "application", "name": "jupyter-mlops", "version": evidence.version}]},
            "authors": [{"name": name} for name in dossier.owners],
            "component": _model_component(evidence),
        },
        "components": [*data, *libraries],
        "dependencies": [*edges, *({"ref": part["bom-ref"]} for part in (*data, *libraries))],
    }
    return {FILE: json_bytes(bom)}


def _ref(evidence: Evidence) -> str:
    return f"model:{evidence.dossier.model.ref}"


def _model_component(evidence: Evidence) -> dict[str, Any]:
    dossier, model = evidence.dossier, evidence.dossier.model
    properties = {
        "mlops:estimator": model.estimator,
        "mlops:format": model.format,
        "mlops:aliases": ", ".join(model.aliases),
        "mlops:run": model.run_id,
        "mlops:trust": dossier.run.trust if dossier.run else "",
        "mlops:pipeline": _pipeline(evidence),
    }
    found: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _ref(evidence),
        "name": model.name,
        "version": str(model.version),
        "description": evidence.own.get("intended-use")
        or f"{model.estimator or model.flavor} of the project {dossier.project}",
        "purl": f"pkg:mlflow/{quote(model.name)}@{model.version}",
        "modelCard": _card(evidence),
        "properties": [{"name": name, "value": value} for name, value in properties.items() if value],
    }
    if dossier.digest:
        found["hashes"] = [{"alg": "SHA-256", "content": dossier.digest}]
    licence = evidence.metadata.get("license")
    if isinstance(licence, str) and licence:
        found["licenses"] = [{"license": {"name": licence}}]
    return found


def _pipeline(evidence: Evidence) -> str:
    told = evidence.dossier.pipeline
    return "" if told is None else "verified" if told.get("verified") is True else "not verified"


def _card(evidence: Evidence) -> dict[str, Any]:
    dossier, model = evidence.dossier, evidence.dossier.model
    evaluation = dossier.evaluation
    parameters: dict[str, Any] = {
        "approach": {"type": "supervised"},
        "modelArchitecture": model.estimator or model.flavor or "unknown",
        "datasets": [{"ref": f"data:{f.version.ref}"} for f in dossier.data],
        "inputs": [{"format": f"{c.name}: {c.type}"} for c in model.inputs],
        "outputs": [{"format": f"{c.name}: {c.type}".removeprefix(": ")} for c in model.outputs],
    }
    if evaluation is not None:
        parameters["task"] = TASKS[evaluation.task]
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": _metrics(evidence)},
        "considerations": _considerations(evidence),
    }


def _metrics(evidence: Evidence) -> list[dict[str, Any]]:
    dossier = evidence.dossier
    found = []
    if dossier.evaluation is not None:
        found += [_metric(m, m.name) for m in dossier.evaluation.metrics if m.value is not None]
    looked = dossier.with_part("slices")
    if looked is not None and looked.slices is not None:
        for s in looked.slices.slices:
            if s.value is not None:
                value = MetricValue(looked.slices.metric, s.value, s.low, s.high)
                found.append(_metric(value, looked.slices.metric, s.name))
    for part in _fairness(evidence):
        for group in part.groups:
            rates = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
            own = [(name, getattr(group, name)) for name in rates]
            found += [_metric(m, name, f"{part.attribute} = {group.group}") for name, m in own if m.value is not None]
    if not found:
        found = [
            {"type": f"logged {name}", "value": repr(float(value))} for name, value in dossier.model.metrics.items()
        ]
    return found


def _metric(metric: MetricValue, kind: str, where: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"type": kind, "value": repr(float(metric.value or 0.0))}
    if where:
        found["slice"] = where
    if metric.low is not None and metric.high is not None:
        found["confidenceInterval"] = {"lowerBound": repr(float(metric.low)), "upperBound": repr(float(metric.high))}
    return found


def _fairness(evidence: Evidence) -> Any:
    looked: Evaluation | None = evidence.dossier.with_part("fairness")
    return looked.fairness if looked is not None else ()


def _considerations(evidence: Evidence) -> dict[str, Any]:
    own, dossier = evidence.own, evidence.dossier
    found: dict[str, Any] = {}
    if own.get("intended-use"):
        found["useCases"] = [own["intended-use"]]
    limits = [own["limitations"]] if own.get("limitations") else []
    looked = dossier.with_part("slices")
    if looked is not None and looked.slices is not None:
        limits += [f"worse than elsewhere beyond chance: {s.name}" for s in looked.slices.slices if s.worse]
    if limits:
        found["technicalLimitations"] = limits
    if own.get("ethics"):
        found["ethicalConsiderations"] = [{"name": own["ethics"]}]
    assessments = []
    for part in _fairness(evidence):
        told = "; ".join(f"{c.name} {c}" for c in part.criteria if c.value is not None)
        pair = " and ".join(part.worst_pair)
        harm = f"{told}. Furthest apart by {part.worst_criterion}: {pair}." if pair else told
        assessments.append({"groupAtRisk": f"{part.attribute}: {pair or 'no pair'}", "harms": harm})
    if assessments:
        found["fairnessAssessments"] = assessments
    energy = dossier.energy()
    if energy is not None:
        found["environmentalConsiderations"] = {"energyConsumptions": [_energy(*energy)]}
    return found


def _energy(watt_hours: float, grams: float | None, method: str) -> dict[str, Any]:
    """In the units that CycloneDX allows: kWh, and tonnes of CO2 equivalent."""
    used = {"value": watt_hours / 1000, "unit": "kWh"}
    found: dict[str, Any] = {
        "activity": "training",
        "energyProviders": [
            {
                "organization": {"name": method.rpartition("; ")[2] or "unknown"},
                "energySource": "unknown",
                "energyProvided": used,
            }
        ],
        "activityEnergyCost": used,
    }
    if grams is not None:
        found["co2CostEquivalent"] = {"value": grams / 1e6, "unit": "tCO2eq"}
    if method:
        found["properties"] = [{"name": "mlops:method", "value": method}]
    return found


def _data_component(evidence: Evidence, number: int) -> dict[str, Any]:
    held = evidence.dossier.data[number]
    version = held.version
    about = {
        "mlops:digest": version.digest,
        "mlops:rows": str(version.rows),
        "mlops:columns": str(len(version.columns)),
        "mlops:file": held.uri,
        "mlops:file-sha256": held.sha256,
    }
    return {
        "type": "data",
        "bom-ref": f"data:{version.ref}",
        "name": version.name,
        "version": f"v{version.version}",
        "data": [
            {
                "type": "dataset",
                "name": version.ref,
                "contents": {"properties": [{"name": name, "value": value} for name, value in about.items() if value]},
                **(
                    {"governance": {"owners": [{"contact": {"name": version.created_by}}]}}
                    if version.created_by
                    else {}
                ),
            }
        ],
    }


def _libraries(evidence: Evidence) -> list[dict[str, Any]]:
    """The run's environment, else what the model itself was stored as needing."""
    pinned = evidence.dossier.packages
    if not pinned:
        split = (line.partition("==") for line in evidence.dossier.requirements)
        pinned = {re.split(r"[\[;]", name)[0].strip(): version.strip() for name, mark, version in split if mark}
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{_normal(name)}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{_normal(name)}@{quote(version)}",
        }
        for name, version in sorted(pinned.items())
    ]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


DOCUMENT = Document(
    "what the model is made of: the model with its card, its data, every distribution in its environment",
    "CycloneDX 1.6 ML-BOM",
    "cyclonedx.validation.json.JsonStrictValidator",
    _write,
)
