"""What the service does for the registry stage: registers logged models, lists versions, moves aliases, finds files."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.gate import AliasMove, ModelHistory
from ..domain.model_version import ModelTable, ModelVersion
from ..domain.operation import Duty, Operation
from ..domain.reference import check_alias, check_name
from ..errors import InvalidArgument, NotFound, NotReady
from ..store import alias_history, model_files, model_versions
from ..store.host import Host
from ..store.model_files import ModelFiles
from ..store.models import model_id_of
from ..store.tags import (
    DATA,
    DIGEST,
    ESTIMATOR,
    FORMAT,
    INPUTS,
    MODEL_KEY,
    NOTEBOOK,
    OUTPUTS,
    PARENT,
    PROFILE,
    REQUEST,
    SCHEMA,
    SCHEMA_TAG,
    SWEEP_BEST,
    USER,
)
from ..tracking.operations import pending
from .operations_alias import move_alias
from .operations_card import dossier, keep_card
from .operations_gates import approve, declared, gates, judge, promote

__all__ = ["DUTIES", "OPERATIONS", "locate", "move_alias"]

LOGGED_SECONDS = 60.0  # how long to wait until a run that is being recorded has reached the store
FORGOTTEN_SECONDS = 86_400  # after which a staged folder belongs to a kernel that died
LONGEST_TAG = 5000
SHOWN = 8


def register(
    host: Host,
    *,
    name: str,
    alias: str = "",
    source: str = "",
    folder: str = "",
    key: str = "",
    known: str = "",
    run_key: str = "",
    data: list[str] | None = None,
    notes: list[str] | None = None,
) -> dict[str, Any]:
    """Make a new version of `name`.

    Parameters
    ----------
    source
        A run or logged model in the store; or else:
    folder
        The staged folder of a packaged estimator, and in `key` the key to log it under.
    known
        The key under which a run has logged this same estimator, if one has.
    run_key
        The key of the run that is being recorded, if one is.
    data
        The data versions it was trained on, where they were given; None where they were not.
    """
    check_name(name, "model")
    if alias:
        check_alias(alias)
        declared(host, alias)  # raises for gates that are not written as they should be, before anything is made
    models = host.store.models
    earlier = [v for v in models.versions(name) if v.tags.get(REQUEST) == host.request]
    told = list(notes or ())
    if earlier:  # this request was carried out before the service was killed
        return _answer(host, earlier[0], alias, told)
    if source:
        model_id = _logged_model(host, source)
        run_id = models.logged(model_id).source_run_id or ""
        files = model_files.described(models.logged_files(model_id))
    else:
        staged = Path(folder)
        files = model_files.described(staged)
        model_id, run_id = _known_model(host, known, run_key, data)
        if model_id:
            files = model_files.described(models.logged_files(model_id))
    refs = list(data or _data_of(host, run_id))
    same = _same(host, name, files, model_id, run_id, data)
    if same is not None:
        told.append(f"unchanged: this model is {name}@{same.version} already, so no new version was made.")
        return _answer(host, same, alias, told)
    if not model_id:
        host.progress(f"storing {files.estimator}")
        title = files.estimator.partition("(")[0] or name
        model_id = models.log(title, staged, run_id=run_id, key=key)
    if run_id:
        models.attach_metrics(model_id, run_id)
    host.progress(f"registering {name}")
    entity = models.create_version(
        name, model_id, tags=_tags(host, files, refs), description=_description(files, refs, run_id)
    )
    if not files.profile and not any("profile" in note for note in told):
        told.append("drift will need a reference: the training data's profile is not stored with this model.")
    return _answer(host, entity, alias, told)


def table(host: Host, *, name: str = "") -> dict[str, Any]:
    """Every version, or those of one name, newest first."""
    models = host.store.models
    found = models.versions(check_name(name, "model") if name else "")
    if name and not found:
        raise NotFound.among("model", name, models.names(), hint=model_versions.REGISTER)
    metrics = models.metrics({v.run_id for v in found if v.run_id})
    return ModelTable(tuple(model_versions.of_entity(v, metrics.get(v.run_id)) for v in found)).to_dict()


def show(host: Host, *, model: str) -> dict[str, Any]:
    """One version, with what its files say."""
    return locate(host, model)[0].to_dict()


def history(host: Host, *, name: str) -> dict[str, Any]:
    """Every move of a model's aliases, newest first."""
    models = host.store.models
    check_name(name, "model")
    if name not in models.names():
        raise NotFound.among("model", name, models.names(), hint=model_versions.REGISTER)
    now = models.aliases_of(name)
    moves = [
        AliasMove(alias, m.version, m.before, m.at_ms, m.by, m.reason, m.forced)
        for alias, own in alias_history.every(models, name).items()
        for m in own
    ]
    return ModelHistory(name, tuple(sorted(moves, key=lambda m: m.at_ms, reverse=True)), dict(now)).to_dict()


def locate(host: Host, ref: str) -> tuple[ModelVersion, Path]:
    """The model version that ``clf@champion`` names, and a local folder with its files, checked.

    Raises
    ------
    NotFound
        There is no such version, or its files are gone.
    IntegrityFailure
        The model file is not the one that was stored.
    """
    models = host.store.models
    entity = model_versions.find(models, ref)
    folder = models.files(entity)
    metrics = models.metrics({entity.run_id}) if entity.run_id else {}
    version = model_versions.of_entity(entity, metrics.get(entity.run_id))
    return model_versions.with_files(version, model_files.described(folder)), folder


def sweep(host: Host) -> None:
    """Remove staged folders of kernels that died before their model was registered."""
    for folder in (host.workspace.home / "staging" / "register").glob("*"):
        if time.time() - folder.stat().st_mtime > FORGOTTEN_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _answer(host: Host, entity: Any, alias: str, notes: list[str]) -> dict[str, Any]:
    models = host.store.models
    if alias:
        report = judge(host, entity, alias)
        if report.passed:
            move_alias(host, entity.name, alias, int(entity.version))
        else:
            bad = ", ".join(result.gate for result in report if not result.passed)
            ref = f"{entity.name}@{entity.version}"
            notes.append(f"not {alias} yet: {bad} do not hold; see `%mlops gates {ref} --to {alias}`.")
    entity = models.version(entity.name, int(entity.version))
    metrics = models.metrics({entity.run_id}) if entity.run_id else {}
    version = model_versions.of_entity(entity, metrics.get(entity.run_id))
    key = models.logged(version.model_id).tags.get(MODEL_KEY, "") if version.model_id else ""
    return {**replace(version, notes=tuple(notes)).to_dict(), "key": key}


def _known_model(host: Host, known: str, run_key: str, data: list[str] | None) -> tuple[str, str]:
    """The logged model of an estimator that a run has logged, and its run; either may be empty.

    Training data that was given anew is stored anew, unless the logged model has a profile of its own.
    """
    models = host.store.models
    if known:
        found = _wait(host, lambda: _ready(models.by_key(known, host.store.experiment_id)))
        if found is not None:
            usable = data is None or found.tags.get(PROFILE) == "true"
            return (str(found.model_id) if usable else ""), found.source_run_id or ""
    if run_key:
        run_id = _wait(host, lambda: host.store.runs.id_of(run_key))
        return "", run_id or ""
    return "", ""


def _ready(model: Any) -> Any:
    """A logged model once its files are stored: until then it is only announced, by whoever is storing them."""
    return model if model is not None and str(model.status) == "READY" else None


def _wait(host: Host, look: Any) -> Any:
    """What `look` finds, once what kernels have logged has reached the store."""
    deadline = time.monotonic() + LOGGED_SECONDS
    while True:
        waiting = pending(host)  # asked first: what arrives between the two questions is then seen by the second
        found = look()
        if found is not None or not waiting or time.monotonic() > deadline or host.stopping.wait(0.1):
            return found


def _logged_model(host: Host, source: str) -> str:
    """The id of the one logged model that a run id, run name or model id names."""
    models = host.store.models
    if source.startswith("m-"):
        return str(models.logged(source).model_id)
    run = host.store.runs.find(source)
    found = models.of_run(run.id)
    best = host.store.runs.tags(run.id).get(SWEEP_BEST) if not found else None
    if best is not None:  # a sweep: its best trial's
        trials, _ = host.store.runs.search(
            filter=f"tags.`{PARENT}` = '{run.id}' AND attributes.run_name = '{run.name}-{best}'", limit=1
        )
        for trial in trials:
            run, found = trial, models.of_run(trial.id)
    if not found:
        raise NotReady(
            f"the run {run.name} ({run.id[:8]}) has logged no model.",
            hint="Give the estimator itself, or a run that fitted one.",
        )
    if len(found) > 1:
        listed = ", ".join(f"{m.model_id} ({m.tags.get(ESTIMATOR) or m.name})" for m in found[:SHOWN])
        raise InvalidArgument(
            f"the run {run.name} ({run.id[:8]}) has logged {len(found)} models: {listed}.",
            hint="Give the id of one of them.",
        )
    return str(found[0].model_id)


def _data_of(host: Host, run_id: str) -> list[str]:
    return list(host.store.models.data_of(run_id)) if run_id else []


def _same(host: Host, name: str, files: ModelFiles, model_id: str, run_id: str, data: list[str] | None) -> Any | None:
    """The version of `name` that is this very model already, None if there is none."""
    for entity in host.store.models.versions(name):
        tags = entity.tags
        if model_id and model_id_of(entity) == model_id:
            return entity
        if not files.digest or tags.get(DIGEST) != files.digest or (entity.run_id or "") != run_id:
            continue
        if data is None:
            return entity
        if tags.get(PROFILE) == "true" and (not data or json.loads(tags.get(DATA, "[]")) == data):
            return entity
    return None


def _tags(host: Host, files: ModelFiles, data: list[str]) -> dict[str, str]:
    tags = {
        SCHEMA_TAG: SCHEMA,
        REQUEST: host.request,
        DIGEST: files.digest,
        ESTIMATOR: files.estimator,
        FORMAT: files.format,
        PROFILE: str(files.profile).lower(),
        INPUTS: files.inputs,
        OUTPUTS: files.outputs,
        DATA: json.dumps(data) if data else "",
        USER: host.actor.user,
        NOTEBOOK: host.actor.notebook,
    }
    return {key: value for key, value in tags.items() if value and len(value) <= LONGEST_TAG}


def _description(files: ModelFiles, data: list[str], run_id: str) -> str:
    parts = [files.estimator or files.flavor]
    if data:
        parts.append(f"trained on {', '.join(data[:SHOWN])}")
    if run_id:
        parts.append(f"in run {run_id[:8]}")
    return " ".join(parts)


OPERATIONS: dict[str, Operation] = {
    "registry.register": Operation(register, action="model.register", target="name", topics=("models",)),
    "registry.models": Operation(table),
    "registry.show": Operation(show),
    "registry.promote": Operation(promote, action="model.promote", target="model", topics=("models",)),
    "registry.gates": Operation(gates),
    "registry.approve": Operation(approve, action="model.approve", target="model", topics=("models",)),
    "registry.history": Operation(history),
    "registry.dossier": Operation(dossier),
    "registry.card": Operation(keep_card, action="model.card", target="model", topics=("models",)),
}

DUTIES: tuple[Duty, ...] = (Duty("registry.sweep", 3600.0, sweep, lambda _host: False),)
