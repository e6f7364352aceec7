"""Models at rest: MLflow's logged models, registered versions and aliases."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MLOpsError
from . import model_files
from .door import mlflow_errors
from .one_run import run_entity
from .run_entities import to_run
from .tags import DIGEST, ESTIMATOR, FORMAT, LOCK_NAME, MODEL_KEY, MODEL_VERSIONS, PROFILE, SCHEMA, SCHEMA_TAG

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Models"]

PAGE = 1000  # MLflow's largest page of registered models


class Models:
    """The models of one store.

    A *logged model* is what a run made: files and a signature. A *version* is a logged model under a registered name;
    an *alias* points to one version of a name.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._logging: dict[str, threading.Lock] = {}

    # logged models

    def log(
        self,
        name: str,
        folder: Path,
        *,
        run_id: str = "",
        key: str,
        params: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> str:
        """Store a model folder as a native logged model, once for each `key`; give its id.

        Asked again with the same key, also after a crash in the middle, it completes what is there. The model counts
        as logged (``READY``) only when all its files are stored.

        Parameters
        ----------
        name
            The model's name in MLflow, not a registered one.
        folder
            A folder written by `tracking.model_package.write_package`.
        run_id
            The run that made it; it becomes an output of that run, and stands in its experiment.
        params
            Parameters that the run is about to get; it takes them along with those that the run has.
        again
            Whether it may have been asked for before: it is looked for first.
        """
        client = self._store.client
        with self._door(), self._once(key):
            run = run_entity(self._store, run_id) if run_id else None
            experiment_id = str(run.info.experiment_id) if run else self._store.experiment_id
            told = model_files.described(folder)
            model = self.by_key(key, experiment_id) if again else None
            if model is None:
                tags = {SCHEMA_TAG: SCHEMA, MODEL_KEY: key, **_tags(told)}
                model = client.create_logged_model(
                    experiment_id,
                    name=name,
                    source_run_id=run_id or None,
                    tags=tags,
                    params={**run.data.params, **(params or {})} if run else None,
                )
            if str(model.status) != "READY":
                self._store_files(model, folder, run_id)
            if run:
                self._link(model.model_id, run)
            return str(model.model_id)

    def by_key(self, key: str, experiment_id: str) -> Any | None:
        """The logged model (MLflow's entity) made for `key`, None if there is none."""
        with self._door():
            found = self._store.client.search_logged_models(
                [experiment_id], filter_string=f"tags.`{MODEL_KEY}` = '{key}'", max_results=1
            )
        return found[0] if found else None

    def logged(self, model_id: str) -> Any:
        """A logged model (MLflow's entity) by its id.

        Raises
        ------
        NotFound
            There is none with this id.
        """
        with self._door():
            return self._store.client.get_logged_model(model_id)

    def of_run(self, run_id: str) -> list[Any]:
        """The logged models (MLflow's entities) that a run has made, as far as their files are stored."""
        with self._door():
            run = run_entity(self._store, run_id)
            ids = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
            found = [self._store.client.get_logged_model(model_id) for model_id in dict.fromkeys(ids)]
        return [model for model in found if str(model.status) == "READY"]

    def data_of(self, run_id: str) -> tuple[str, ...]:
        """The tables that a run used: data versions, or names with a digest."""
        with self._door():
            return to_run(run_entity(self._store, run_id), "").data

    def attach_metrics(self, model_id: str, run_id: str) -> None:
        """Note a run's metrics on a model it made, as MLflow does; doing it again adds nothing."""
        from mlflow.entities import Metric

        with self._door():
            run = run_entity(self._store, run_id)
            metrics = [
                Metric(m.key, m.value, m.timestamp, m.step, model_id=model_id, run_id=run_id)
                for m in run.data._metric_objs  # noqa: SLF001 the run's metrics with their times have no other name
            ]
            for start in range(0, len(metrics), 500):
                self._store.client.log_batch(run_id, metrics=metrics[start : start + 500])

    def _store_files(self, model: Any, folder: Path, run_id: str) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        model_files.name_model(folder, model.model_id, run_id, model.artifact_location)
        place = get_artifact_repository(model.artifact_location, tracking_uri=self._store.workspace.tracking_uri)
        place.log_artifacts(str(folder))
        self._store.client.finalize_logged_model(model.model_id, "READY")

    def _link(self, model_id: str, run: Any) -> None:
        from mlflow.entities import LoggedModelOutput

        outputs = run.outputs.model_outputs if run.outputs else []
        if model_id not in {output.model_id for output in outputs}:
            self._store.client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])

    # registered versions

    def create_version(self, name: str, model_id: str, *, tags: dict[str, str], description: str = "") -> Any:
        """Register a logged model under `name`, made if it is new; give the version (MLflow's entity).

        When that fails, a name that was made for it is taken back.
        """
        from mlflow.exceptions import MlflowException

        client = self._store.client
        with self._door(), self._store.write_lock:
            new = not self._exists(name)
            if new:
                with contextlib.suppress(MlflowException):  # somebody else was quicker, or the next call says why
                    client.create_registered_model(name)
            try:
                with self._named_store():
                    run_id = client.get_logged_model(model_id).source_run_id
                    made = client.create_model_version(
                        name,
                        f"models:/{model_id}",
                        run_id=run_id,
                        tags=tags,
                        description=description or None,
                        model_id=model_id,
                    )
            except BaseException:
                with contextlib.suppress(MlflowException):
                    if new and not client.search_model_versions(f"name = '{name}'", max_results=1):
                        client.delete_registered_model(name)
                raise
            self._note_on_model(model_id, name, made.version)
            return made

    def _note_on_model(self, model_id: str, name: str, version: Any) -> None:
        """Tell the logged model of its version: MLflow's UI shows it there; a tracking server does it by itself."""
        noted = json.loads(self._store.client.get_logged_model(model_id).tags.get(MODEL_VERSIONS) or "[]")
        if not any(entry["name"] == name and str(entry["version"]) == str(version) for entry in noted):
            noted.append({"name": name, "version": version})
            self._store.client.set_logged_model_tags(model_id, {MODEL_VERSIONS: json.dumps(noted)})

    def versions(self, name: str = "") -> list[Any]:
        """The versions of one name or of all (MLflow's entities, with their aliases), by name, newest first.

        Two queries, however many there are. A name that is not registered has none.
        """
        with self._door():
            aliases = self._aliases(name)
            wanted = f"name = '{name}'" if name else None
            found: list[Any] = []
            token = None
            while True:
                page = self._store.client.search_model_versions(wanted, max_results=PAGE, page_token=token)
                found.extend(page)
                token = page.token
                if not token:
                    break
        for entity in found:
            here = aliases.get(entity.name, {})
            entity.aliases = sorted(alias for alias, version in here.items() if version == int(entity.version))
        return sorted(found, key=lambda entity: (entity.name, -int(entity.version)))

    def version(self, name: str, number: int) -> Any:
        """One version (MLflow's entity, with its aliases).

        Raises
        ------
        NotFound
            There is none.
        """
        with self._door():
            return self._store.client.get_model_version(name, str(number))

    def latest(self, name: str) -> Any | None:
        """The newest version of `name` (MLflow's entity, with its aliases), None if there is none."""
        with self._door():
            found = self._store.client.search_model_versions(
                f"name = '{name}'", max_results=1, order_by=["version_number DESC"]
            )
        return self.version(name, int(found[0].version)) if found else None

    # aliases

    def alias(self, name: str, alias: str) -> int | None:
        """The version that `alias` of `name` points to, None for none."""
        return self._aliases(name).get(name, {}).get(alias)

    def aliases_of(self, name: str) -> dict[str, int]:
        """The aliases of one name and their versions."""
        return self._aliases(name).get(name, {})

    def metrics(self, run_ids: set[str]) -> dict[str, dict[str, float]]:
        """The metrics of several runs at once, by run id; a run that is gone has none."""
        found: dict[str, dict[str, float]] = {}
        wanted = sorted(run_ids)
        with self._door():
            for start in range(0, len(wanted), 100):
                ids = ", ".join(f"'{run_id}'" for run_id in wanted[start : start + 100])
                here = [self._store.experiment_id]
                page = self._store.client.search_runs(here, f"attributes.run_id IN ({ids})", max_results=100)
                found |= {run.info.run_id: dict(run.data.metrics) for run in page}
            for run_id in run_ids - found.keys():  # of another experiment, or gone
                with contextlib.suppress(MLOpsError), self._door():
                    found[run_id] = dict(run_entity(self._store, run_id).data.metrics)
        return found

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `alias` point to a version."""
        with self._door():
            self._store.client.set_registered_model_alias(name, alias, str(version))

    def delete_alias(self, name: str, alias: str) -> None:
        """Let `alias` point to nothing."""
        with self._door():
            self._store.client.delete_registered_model_alias(name, alias)

    def tags(self, name: str) -> dict[str, str]:
        """The tags of a registered name."""
        return self.registered(name)[1]

    def registered(self, name: str) -> tuple[dict[str, int], dict[str, str]]:
        """The aliases and the tags of a registered name, as they are at one moment.

        Raises
        ------
        NotFound
            There is no such name.
        """
        with self._door():
            found = self._store.client.get_registered_model(name)
        return {alias: int(version) for alias, version in found.aliases.items()}, dict(found.tags)

    def set_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of a registered name."""
        with self._door():
            self._store.client.set_registered_model_tag(name, key, value)

    def set_version_tag(self, name: str, number: int, key: str, value: str) -> None:
        """Set a tag of a version."""
        with self._door():
            self._store.client.set_model_version_tag(name, str(number), key, value)

    def _aliases(self, name: str = "") -> dict[str, dict[str, int]]:
        """By name, the aliases and their versions."""
        wanted = f"name = '{name}'" if name else None
        found: dict[str, dict[str, int]] = {}
        token = None
        with self._door():
            while True:
                page = self._store.client.search_registered_models(wanted, max_results=PAGE, page_token=token)
                found |= {
                    m.name: {alias: int(v) for alias, v in m.aliases.items()}
                    for m in page
                    if not m.name.startswith(LOCK_NAME)
                }
                token = page.token
                if not token:
                    return found

    # files

    def files(self, version: Any) -> Path:
        """A local folder with the files of a version (MLflow's entity): where they lie, or a checked copy.

        Raises
        ------
        NotFound
            The files are gone.
        IntegrityFailure
            The model file is not the one that was stored.
        """
        what = f"{version.name}@{version.version}"
        model_id = model_id_of(version)
        if model_id:
            return self.logged_files(model_id, what)
        with self._door():
            place = self._store.client.get_model_version_download_uri(version.name, str(version.version))
        return self._fetch(place, f"{version.name}-{version.version}", what)

    def logged_files(self, model_id: str, what: str = "") -> Path:
        """As `files`, for a logged model."""
        return self._fetch(self.logged(model_id).artifact_location, model_id, what or f"model {model_id}")

    def _fetch(self, place: str, own: str, what: str) -> Path:
        workspace = self._store.workspace
        with self._door():
            cached = workspace.home / "cache" / "models" / own
            folder = model_files.fetch(place, cached, tracking_uri=workspace.tracking_uri)
        model_files.check(folder, what)
        return folder

    # for `status` and completion

    def count(self) -> int:
        """How many registered models there are."""
        return len(self._aliases())

    def names(self) -> list[str]:
        """The names of the registered models."""
        return sorted(self._aliases())

    def refs(self) -> list[str]:
        """``name@alias`` and ``name@N`` of every version."""
        found: list[str] = []
        for version in self.versions():
            found += [f"{version.name}@{alias}" for alias in version.aliases]
            found.append(f"{version.name}@{version.version}")
        return found

    def aliases(self) -> list[str]:
        """Every alias in use."""
        return sorted({alias for own in self._aliases().values() for alias in own})

    # below

    def _exists(self, name: str) -> bool:
        return name in self._aliases(name)

    def _door(self) -> contextlib.AbstractContextManager[None]:
        return mlflow_errors(self._store.workspace.tracking_uri)

    @contextlib.contextmanager
    def _once(self, key: str) -> Iterator[None]:
        """One at a time for each key."""
        with self._logging.setdefault(key, threading.Lock()):
            yield

    @contextlib.contextmanager
    def _named_store(self) -> Iterator[None]:
        """Let MLflow's registry, which looks logged models up through its process-wide address, find this store.

        Only a database store does that here; a tracking server does it on its own side.
        """
        import mlflow

        uri = self._store.workspace.tracking_uri
        if uri.startswith("http"):
            yield
            return
        before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)


def model_id_of(version: Any) -> str:
    """The logged model that a version (MLflow's entity) was registered from; empty if from none."""
    own = getattr(version, "model_id", None)
    source = str(version.source or "")
    if own:
        return str(own)
    return source.removeprefix("models:/") if source.startswith("models:/m-") else ""


def _tags(told: model_files.ModelFiles) -> dict[str, str]:
    found = {DIGEST: told.digest, ESTIMATOR: told.estimator, FORMAT: told.format, PROFILE: str(told.profile).lower()}
    return {key: value for key, value in found.items() if value}
