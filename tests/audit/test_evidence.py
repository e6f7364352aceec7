"""The evidence pack of a real model with the real service, held against the validators of others."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import attr
import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard as HubCard
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.audit.evidence import DOCUMENTS
from jupyter_mlops.audit.evidence.facts import FACTS
from jupyter_mlops.audit.evidence.openlineage import FACETS
from jupyter_mlops.audit.evidence.points import FRAMEWORKS
from jupyter_mlops.domain.evidence_pack import EvidencePack
from jupyter_mlops.errors import Conflict, NotFound
from jupyter_mlops.session import Session

GATES = '[champion]\nsize = 50\napprovals = ["owner"]\n[roles]\nowner = ["ann"]\n'


@pytest.fixture(scope="module")
def told(shared_session: Session) -> Session:
    session = shared_session
    (session.context.workspace.root / "mlops-gates.toml").write_text(GATES)
    generator = np.random.default_rng(5)
    table = pd.DataFrame(generator.normal(size=(400, 2)), columns=["a", "b"])
    table["sex"] = generator.choice(["f", "m"], 400)
    table["when"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(400), unit="h")
    table["y"] = table["a"] + generator.normal(size=400) > 0
    session.data.save(table, name="raw")
    session.data.save(table.dropna(), name="people", from_=["raw@v1"])
    with session.run("train", source="model = fit(load())") as run:
        data = session.data.load("people@v1")
        model = LogisticRegression().fit(data[["a", "b"]], data["y"])
        run.log_metric("seen", 0.5)
    session.register(model, name="clf", data=data)
    session.evaluate("clf@1", data="people@v1", target="y", slices=["sex"], fairness=["sex"], calibration=True)
    session.promote("clf@1", to="champion", force=True, reason="first")
    store_tags(session, session.models("clf")[0].run_id)
    return session


def store_tags(session: Session, run_id: str) -> None:
    """What a machine with a power meter, and checks of the data, would have written."""
    from mlflow import MlflowClient

    client = MlflowClient(session.context.workspace.tracking_uri)
    facts = json.loads(client.get_run(run_id).data.tags["mlops.facts"])
    facts |= {
        "energy": "0.012500 Wh",
        "CO2": "0.000700 g",
        "energy method": "codecarbon 3 offline; cpu: power; electricity mix of FRA",
    }
    client.set_tag(run_id, "mlops.facts", json.dumps(facts))
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], "tags.`mlops.dataset.name` = 'people'"):
            client.set_tag(run.info.run_id, "mlops.dataset.checks", json.dumps({"errors": 0, "warnings": 2}))


@pytest.fixture(scope="module")
def pack(told: Session, tmp_path_factory: pytest.TempPathFactory) -> EvidencePack:
    return told.evidence("clf@champion", output=str(tmp_path_factory.mktemp("pack") / "evidence"), with_data=True)


def held(pack: EvidencePack, name: str) -> str:
    return (Path(pack.directory) / name).read_text()


def test_every_file_is_listed_with_its_digest_and_the_audit_record_has_theirs(
    told: Session, pack: EvidencePack
) -> None:
    folder = Path(pack.directory)
    sums = dict(reversed(line.split("  ")) for line in held(pack, "SHA256SUMS").splitlines())
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    assert there == set(sums) == {file.name for file in pack}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        assert name == "index.html" or name in held(pack, "index.html")
    entry = told.audit("clf", action="evidence.write")[0]
    assert entry.result["digest"] == pack.digest == hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert len({file.title for file in pack}) == len(DOCUMENTS) + 2  # each document has written something
    assert "mlops" in pack._repr_mimebundle_()["text/html"]


def test_the_bill_of_materials_is_valid_and_says_what_is_known(told: Session, pack: EvidencePack) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = held(pack, "bom.cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    model = bom["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "clf", "1")
    accuracy = told.evaluations("clf")[0].metric("accuracy")
    metrics = {
        (m["type"], m.get("slice", "")): m for m in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    assert float(metrics["accuracy", ""]["value"]) == accuracy.value
    assert float(metrics["accuracy", ""]["confidenceInterval"]["lowerBound"]) == accuracy.low
    assert ("selection_rate", "sex = f") in metrics
    considerations = model["modelCard"]["considerations"]
    assert "demographic_parity_difference" in considerations["fairnessAssessments"][0]["harms"]
    (used,) = considerations["environmentalConsiderations"]["energyConsumptions"]
    assert used["activityEnergyCost"] == {"value": pytest.approx(1.25e-5), "unit": "kWh"}
    assert used["co2CostEquivalent"] == {"value": pytest.approx(7e-10), "unit": "tCO2eq"}
    import sklearn

    libraries = {c["name"].lower(): c["version"] for c in bom["components"] if c["type"] == "library"}
    assert libraries["scikit-learn"] == sklearn.__version__
    assert len(libraries) > 50  # the run's whole environment
    refs = {model["bom-ref"], *(c["bom-ref"] for c in bom["components"])}
    assert {edge["ref"] for edge in bom["dependencies"]} == refs
    needs = next(edge["dependsOn"] for edge in bom["dependencies"] if edge["ref"] == model["bom-ref"])
    assert "data:people@v1" in needs
    assert any(ref.startswith("pkg:pypi/scikit-learn@") for ref in needs)


def test_prov_reads_the_provenance_and_finds_how_the_model_came_about(pack: EvidencePack) -> None:
    from prov.model import ProvActivity, ProvDocument, ProvEntity

    document = ProvDocument.deserialize(content=held(pack, "provenance.prov.json"), format="json")
    names = {str(record.identifier) for record in document.get_records((ProvEntity, ProvActivity))}
    assert any(name.startswith("mlops:run/") for name in names)
    assert {"mlops:model/clf%401", "mlops:data/people%40v1", "mlops:data/raw%40v1"} <= names
    notation = document.get_provn()
    for relation in ("wasGeneratedBy", "used", "wasDerivedFrom", "wasAssociatedWith", "wasAttributedTo"):
        assert relation in notation
    known = {str(r.identifier) for r in document.get_records() if r.identifier is not None}
    for record in document.get_records():
        if not record.is_element():
            ends = [str(value) for _, value in record.formal_attributes if value is not None and ":" in str(value)]
            assert all(end in known for end in ends if end.startswith("mlops:")), record
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert again == document


def test_every_lineage_event_and_facet_is_what_its_schema_says(told: Session, pack: EvidencePack) -> None:
    """The schemas are not on this machine; openlineage-python's classes are generated from them: names, types, versions."""
    events = [json.loads(line) for line in held(pack, "lineage.openlineage.jsonl").splitlines()]
    assert [e["eventType"] for e in events] == ["START", "COMPLETE"] * 2
    seen: set[str] = set()
    for event in events:
        assert {"eventType", "eventTime", "run", "job", "inputs", "outputs", "producer", "schemaURL"} == set(event)
        assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        uuid.UUID(event["run"]["runId"])
        for part in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
            for name, facet in {**part.get("facets", {}), **part.get("inputFacets", {})}.items():
                check_facet(name, facet)
                seen.add(name)
        assert all(part["namespace"] and part["name"] for part in (event["job"], *event["inputs"], *event["outputs"]))
    assert seen >= {"schema", "version", "dataQualityAssertions", "sourceCodeLocation", "sourceCode", "parent"}
    assert events[0]["run"]["runId"] == events[1]["run"]["runId"] == str(uuid.UUID(told.models("clf")[0].run_id))
    assert events[2]["run"]["facets"]["parent"]["run"]["runId"] == events[0]["run"]["runId"]
    (table,) = [part for part in events[1]["inputs"] if part["name"] == "data.people"]
    assert [f["name"] for f in table["facets"]["schema"]["fields"]] == ["a", "b", "sex", "when", "y"]
    (rule,) = table["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert rule["success"] is True


def check_facet(name: str, facet: dict[str, Any]) -> None:
    """Hold a facet against the class that openlineage-python has generated from its schema."""
    from openlineage.client import facet_v2

    classes = {
        n: c
        for module in vars(facet_v2).values()
        for n, c in getattr(module, "__dict__", {}).items()
        if isinstance(c, type)
    }
    kind = classes[FACETS[name][0]]
    assert facet["_schemaURL"] == kind._get_schema()
    fields = {f.name: f for f in attr.fields(kind)}
    given = {key: value for key, value in facet.items() if not key.startswith("_")}
    assert set(given) <= set(fields)
    needed = {n for n, f in fields.items() if f.default is attr.NOTHING}
    assert needed <= set(given)
    kind(**given)  # its validators: addresses, UUIDs
    for key, value in given.items():
        if "str" in str(fields[key].type) and "list" not in str(fields[key].type):
            assert isinstance(value, str)
        if key in ("url", "repoUrl"):
            assert urlparse(value).scheme


def test_a_facet_that_its_schema_does_not_allow_is_seen(pack: EvidencePack) -> None:
    event = json.loads(held(pack, "lineage.openlineage.jsonl").splitlines()[0])
    facet = event["job"]["facets"]["sourceCodeLocation"]
    for wrong in (
        {**facet, "link": "x"},
        {k: v for k, v in facet.items() if k != "url"},
        {**facet, "url": "no address"},
        {**facet, "_schemaURL": "x"},
    ):
        with pytest.raises((AssertionError, ValueError)):
            check_facet("sourceCodeLocation", wrong)


def test_mlcroissant_validates_the_data_and_loads_its_rows(told: Session, pack: EvidencePack) -> None:
    import mlcroissant

    path = Path(pack.directory) / "data" / "people-v1.croissant.json"
    dataset = mlcroissant.Dataset(str(path))
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    columns = list(dataset.records("columns"))
    assert [c["columns/column"] for c in columns] == ["a", "b", "sex", "when", "y"]
    rows = list(dataset.records("rows"))
    table = told.data.load("people@v1")
    assert len(rows) == len(table)
    assert rows[7]["rows/a"] == table["a"][7]


def test_the_card_and_the_coverage_are_there(pack: EvidencePack) -> None:
    assert HubCard(held(pack, "card.md")).data.datasets == ["people@v1"]
    told = json.loads(held(pack, "coverage.json"))
    assert list(told) == list(FRAMEWORKS)
    for name, points in told.items():
        assert [p["point"] for p in points] == [p.number for p in FRAMEWORKS[name]]
        assert all(p["not covered"] for p in points)
    by_number = {p["point"]: p for points in told.values() for p in points}
    assert by_number["MEASURE 2.12"]["shown"] == "shown"
    assert by_number["MEASURE 2.7"]["shown"] == "in part"
    assert by_number["MEASURE 2.7"]["missing"] == ["adversarial search"]
    assert by_number["A.2"]["shown"] == "not shown"
    assert by_number["MEASURE 2.10"]["shown"] == "not shown"
    files = {file.name for file in pack}
    assert all(set(p["files"]) <= files and bool(p["files"]) == bool(p["evidence"]) for ps in told.values() for p in ps)
    for covered in pack.covered:
        assert covered.shown + covered.partly + covered.nothing == len(FRAMEWORKS[covered.framework])


def test_points_name_facts_and_files_that_exist(pack: EvidencePack) -> None:
    files = {file.name for file in pack}
    for points in FRAMEWORKS.values():
        for point in points:
            assert set(point.facts) <= set(FACTS)
    used = {name for points in FRAMEWORKS.values() for p in points for name in p.facts}
    assert used == set(FACTS)
    assert {fact.file for fact in FACTS.values()} <= files


def test_the_excerpt_holds_the_models_entries_and_no_others(told: Session, pack: EvidencePack) -> None:
    told.register(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), name="other")
    entries = [json.loads(line) for line in held(pack, "audit.jsonl").splitlines()]
    actions = {entry["action"] for entry in entries}
    assert {"data.save", "run.start", "run.end", "model.register", "model.evaluate", "model.promote"} <= actions
    assert entries == sorted(entries, key=lambda e: e["at_ms"])
    check = json.loads(held(pack, "audit_check.json"))
    assert check["whole"] is True
    assert told.audit_verify(expect=check["receipts"]).ok
    assert json.loads(held(pack, "gates.json"))["moves"][0]["forced"] is True


def test_a_pack_is_replaced_whole_and_nothing_else_is(told: Session, tmp_path: Path) -> None:
    place = tmp_path / "evidence"
    first = told.evidence("clf@1", output=str(place))
    assert not list((place / "data").glob("*.parquet"))
    second = told.evidence("clf@1", output=str(place))
    assert first.digest != second.digest
    assert [p.name for p in tmp_path.iterdir()] == ["evidence"]
    (place / "notes.txt").write_text("mine")
    with pytest.raises(Conflict, match=r"notes\.txt is not of the pack"):
        told.evidence("clf@1", output=str(place))
    (place / "notes.txt").unlink()
    (place / "gates.json").write_text("{}")
    with pytest.raises(Conflict, match=r"gates\.json was changed"):
        told.evidence("clf@1", output=str(place))
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    with pytest.raises(Conflict, match="no evidence pack"):
        told.evidence("clf@1", output=str(other))
    with pytest.raises(NotFound):
        told.evidence("clf@99", output=str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_model_of_which_little_is_known_gets_a_valid_pack_that_says_so(told: Session, tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from prov.model import ProvDocument

    told.register(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), name="bare")
    pack = told.evidence("bare", output=str(tmp_path / "bare"))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(held(pack, "bom.cdx.json")) is None
    assert ProvDocument.deserialize(content=held(pack, "provenance.prov.json"), format="json").get_records()
    assert any("never evaluated" in gap for gap in pack.gaps)
    assert "never evaluated" in held(pack, "index.html")
    assert "lineage.openlineage.jsonl" not in {file.name for file in pack}


def test_nothing_is_left_behind_when_a_document_cannot_be_written(
    told: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "evidence"
    told.evidence("clf@1", output=str(place))
    before = (place / "SHA256SUMS").read_text()
    from dataclasses import replace

    def broken(_evidence: Any) -> dict[str, bytes]:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(DOCUMENTS, "excerpt", replace(DOCUMENTS["excerpt"], write=broken))
    from jupyter_mlops.errors import InvalidArgument

    with pytest.raises(InvalidArgument, match="No space left"):
        told.evidence("clf@1", output=str(place))
    assert (place / "SHA256SUMS").read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["evidence"]
