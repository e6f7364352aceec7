"""What the service does for cards and evidence: gathers a version's dossier from the store, and keeps its card there."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlparse, urlunparse

from ..datasets.manifest import MANIFEST
from ..datasets.operations import locate as locate_data
from ..domain.context import now_ms
from ..domain.data_version import DataVersion
from ..domain.dossier import DataFile, Dossier
from ..domain.gate import AliasMove
from ..errors import MLOpsError
from ..settings import gate_rules
from ..store import alias_history, model_cards, model_files, model_versions, tags
from ..store.host import Host
from ..tracking.drains import drains
from .operations_gates import approvals_of, pipeline_of, results_of

__all__ = ["dossier", "keep_card"]

REQUIREMENTS = "requirements.txt"
MOST_EVALUATIONS = 20
ROLES = "roles"


def dossier(host: Host, *, model: str) -> dict[str, Any]:
    """Everything that is known of a version; what cannot be reached is left empty."""
    drains(host).turn(host, seconds=2.0)
    store = host.store
    entity = model_versions.find(store.models, model)
    metrics = store.models.metrics({entity.run_id}) if entity.run_id else {}
    version = model_versions.of_entity(entity, metrics.get(entity.run_id))
    folder = None
    with contextlib.suppress(MLOpsError):
        folder = store.models.files(entity)
        version = model_versions.with_files(version, model_files.described(folder))
    run, run_tags = None, {}
    if entity.run_id:
        with contextlib.suppress(MLOpsError):
            run, run_tags = store.runs.get(entity.run_id), store.runs.tags(entity.run_id)
    held = [(ref, _data(host, ref)) for ref in version.data]
    own = int(entity.version)
    moves = [
        AliasMove(alias, m.version, m.before, m.at_ms, m.by, m.reason, m.forced)
        for alias, moved in alias_history.every(store.models, entity.name).items()
        for m in moved
        if own in (m.version, m.before)
    ]
    requirements = _read(folder / REQUIREMENTS) if folder is not None else ""
    return Dossier(
        model=version,
        digest=entity.tags.get(tags.DIGEST, ""),
        size_bytes=sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) if folder is not None else None,
        run=run,
        environment=_environment(host, run),
        requirements=tuple(line.strip() for line in requirements.splitlines() if line.strip()),
        evaluations=tuple(store.evaluations.of(entity.name, own)[:MOST_EVALUATIONS]),
        gates=results_of(entity),
        approvals=approvals_of(entity),
        moves=tuple(sorted(moves, key=lambda m: m.at_ms, reverse=True)),
        data=tuple(file for _, file in held if file is not None),
        unsaved=tuple(ref for ref, file in held if file is None),
        pipeline=pipeline_of(entity, run_tags),
        roles=gate_rules(host.workspace.root).get(ROLES, {}),
        card=model_cards.read_card(store, entity),
        store=_without_password(host.workspace.tracking_uri),
        project=host.workspace.root.name,
        made_ms=now_ms(),
        made_by=host.actor.user,
    ).to_dict()


def keep_card(host: Host, *, model: str, file: str) -> dict[str, Any]:
    """Store a card with its version.

    Parameters
    ----------
    file
        JSON of the card's ``text`` and, in ``short``, what becomes the version's description.
    """
    entity = model_versions.find(host.store.models, model)
    told = json.loads(Path(file).read_text(encoding="utf-8"))
    kept = model_cards.write_card(host.store, entity, told["text"], told["short"])
    digest = hashlib.sha256(told["text"].encode()).hexdigest()
    return {"model": f"{entity.name}@{entity.version}", "file": kept, "digest": digest}


def _data(host: Host, ref: str) -> DataFile | None:
    """A data version and its file; None for what is none."""
    if "@v" not in ref:
        return None
    try:
        found = locate_data(host, ref=ref)
    except MLOpsError:
        return None
    folder = Path(found["folder"])
    file = folder / MANIFEST
    if not file.exists():
        file = next((f for f in sorted(folder.glob("*")) if f.is_file()), file)
    held = file.read_bytes() if file.exists() else b""
    told = _json(host.store.runs.tags(found["run"]).get(tags.DATA_CHECKS))
    return DataFile(
        DataVersion.from_dict(found["version"]),
        uri=f"runs:/{found['run']}/{tags.DATA_FOLDER}/{file.name}",
        file=file.name,
        sha256=hashlib.sha256(held).hexdigest() if held else "",
        bytes=len(held),
        checks=told,
    )


def _environment(host: Host, run: Any) -> str:
    if run is None or tags.ENVIRONMENT_FILE not in run.artifacts:
        return ""
    try:
        return host.store.runs.artifact_text(run.id, tags.ENVIRONMENT_FILE)
    except MLOpsError:
        return ""


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def _json(text: str | None) -> dict[str, Any] | None:
    try:
        told = json.loads(text) if text else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _without_password(uri: str) -> str:
    """The store's address as it may be handed on.

    Examples
    --------
    >>> _without_password("postgresql://ann:secret@db:5432/mlflow")
    'postgresql://db:5432/mlflow'
    """
    parts = urlparse(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunparse(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
