"""Evaluations at rest: JSON and rows as artifacts of the run that made the model, metrics on its logged model.

The metrics are native ones, ``evaluation.accuracy`` and so on, with the model and the table they belong to, so that
MLflow's own pages show them. A model without a run, and an estimator that no run has logged, get a run of kind
``evaluation`` in an experiment of their own. The rows are written first and the JSON, which holds their digest, last: an
evaluation that was written half is not seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from ..domain.evaluation import Evaluation, EvaluationRows
from ..errors import IntegrityFailure, NotFound
from . import tags
from .door import mlflow_errors

if TYPE_CHECKING:
    from .store import Store

__all__ = ["METRIC_PREFIX", "Evaluations", "read_rows"]

log = logging.getLogger("jupyter_mlops.service")

METRIC_PREFIX = "evaluation."
MOST_RUNS = 1000
FILE, ROWS = "evaluation.json", "rows.npz"


class Evaluations:
    """The evaluations of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment that holds the evaluations of models without a run, made on first use."""
        return self._store.experiment(f"{self._store.workspace.experiment}.evaluations")

    def record(self, evaluation: Evaluation, rows: Path | None) -> Evaluation:
        """Keep an evaluation, once for each id; give it with the run that holds it.

        Parameters
        ----------
        evaluation
            With an id that sorts by time, and ``model_id`` or ``run_id`` where the model is stored.
        rows
            A file of `evaluation.rows.write_rows`; None for none.
        """
        with self._door(), self._store.write_lock:
            run_id = evaluation.run_id or self._home(evaluation)
            digest = hashlib.sha256(rows.read_bytes()).hexdigest() if rows is not None else ""
            kept = replace(evaluation, run_id=run_id, rows_digest=digest)
            folder = f"{tags.EVALUATIONS}/{kept.id}"
            client = self._store.client
            with tempfile.TemporaryDirectory() as place:
                if rows is not None:
                    copy = Path(place) / ROWS
                    copy.write_bytes(rows.read_bytes())
                    client.log_artifact(run_id, str(copy), folder)
                file = Path(place) / FILE
                file.write_text(json.dumps(kept.to_dict(), separators=(",", ":"), allow_nan=False))
                client.log_artifact(run_id, str(file), folder)
            self._log_metrics(kept)
            client.set_tag(run_id, tags.EVALUATED, kept.id)
            return kept

    def of(self, name: str, version: int) -> list[Evaluation]:
        """The evaluations of a model version, newest first.

        Raises
        ------
        NotFound
            There is no such version.
        """
        from .models import model_id_of

        entity = self._store.models.version(name, version)
        model_id, ref = model_id_of(entity), f"{name}@{version}"
        runs = [entity.run_id] if entity.run_id else []
        with self._door():
            runs += [run.info.run_id for run in self._runs(f" AND tags.`{tags.MODEL}` = '{model_id or ref}'", own=True)]
            found = [e for run_id in dict.fromkeys(runs) for e in self._of_run(run_id)]
        mine = [e for e in found if (e.model_id == model_id if model_id and e.model_id else e.model == ref)]
        return sorted(mine, key=lambda e: e.id, reverse=True)

    def recent(self, model: str = "", *, limit: int = 20) -> list[Evaluation]:
        """The newest evaluations, newest first; of a model's name or a version, or of all."""
        with self._door():
            runs = self._runs("", own=False) + self._runs("", own=True)
            runs.sort(key=lambda run: run.data.tags.get(tags.EVALUATED, ""), reverse=True)
            found: list[Evaluation] = []
            for run in runs:
                newest = run.data.tags.get(tags.EVALUATED, "")
                if len(found) >= limit and newest < sorted((e.id for e in found), reverse=True)[limit - 1]:
                    break
                found += [e for e in self._of_run(run.info.run_id) if not model or model in _names(e)]
        return sorted(found, key=lambda e: e.id, reverse=True)[:limit]

    def intervals(self, run_id: str, metrics: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """The intervals of a run's metrics, by name, of those that one of its evaluations has logged."""
        found: dict[str, tuple[float, float]] = {}
        if any(name.startswith(METRIC_PREFIX) for name in metrics):
            for evaluation in self._of_run(run_id):
                for one in evaluation.metrics:
                    name = f"{METRIC_PREFIX}{one.name}"
                    if one.low is not None and one.high is not None and metrics.get(name) == one.value:
                        found.setdefault(name, (one.low, one.high))
        return found

    def load(self, id_: str) -> Evaluation:
        """One evaluation by its id or the beginning of it.

        Raises
        ------
        NotFound
            There is none.
        """
        known: list[str] = []
        with self._door():
            for run in self._runs("", own=False) + self._runs("", own=True):
                for own in self._ids(run.info.run_id):
                    if id_ and own.startswith(id_):
                        return self._read(run, own)
                    known.append(own)
        hint = "Make one with `%mlops evaluate MODEL --data TABLE`."
        raise NotFound.among("evaluation", id_, sorted(known, reverse=True), hint=hint)

    def rows(self, evaluation: Evaluation) -> EvaluationRows:
        """An evaluation row by row.

        Raises
        ------
        NotFound
            It was stored without rows.
        IntegrityFailure
            The file is not the one that was stored.
        """
        if not evaluation.rows_digest or not evaluation.run_id:
            raise NotFound(f"the evaluation {evaluation.id} has no rows.", hint="Evaluate the model again.")
        with self._door():
            run = self._store.client.get_run(evaluation.run_id)
            data = self._bytes(run, f"{tags.EVALUATIONS}/{evaluation.id}/{ROWS}")
        if hashlib.sha256(data).hexdigest() != evaluation.rows_digest:
            raise IntegrityFailure(f"the rows of the evaluation {evaluation.id} are not those that were stored.")
        return read_rows(data)

    def _home(self, evaluation: Evaluation) -> str:
        """The run for an evaluation of a model that no run has made: one a model, made on first use."""
        client = self._store.client
        if evaluation.model_id:
            source = client.get_logged_model(evaluation.model_id).source_run_id
            if source:
                return str(source)
        key = evaluation.model_id or evaluation.model
        found = self._runs(f" AND tags.`{tags.MODEL}` = '{key}'", own=True)
        if found:
            return str(found[0].info.run_id)
        run = client.create_run(
            self.experiment_id,
            run_name=f"evaluations of {evaluation.model}",
            tags={tags.SCHEMA_TAG: tags.SCHEMA, tags.KIND: "evaluation", tags.MODEL: key},
        )
        client.set_terminated(run.info.run_id, status="FINISHED")
        return str(run.info.run_id)

    def _runs(self, wanted: str, *, own: bool) -> list[Any]:
        """The runs that hold evaluations: of kind ``evaluation``, or those that made models."""
        here = self.experiment_id if own else self._store.experiment_id
        filter_ = f"tags.`{tags.EVALUATED}` LIKE '%'" + wanted
        if own:  # also one that was made and holds nothing yet
            filter_ = f"tags.`{tags.KIND}` = 'evaluation'" + wanted
        return list(self._store.client.search_runs([here], filter_, max_results=MOST_RUNS))

    def _ids(self, run_id: str) -> list[str]:
        entries = self._store.client.list_artifacts(run_id, tags.EVALUATIONS)
        return sorted((str(e.path).rpartition("/")[2] for e in entries if e.is_dir), reverse=True)

    def _of_run(self, run_id: str) -> Iterator[Evaluation]:
        run = self._store.client.get_run(run_id)
        for own in self._ids(run_id):
            try:
                yield self._read(run, own)
            except (IntegrityFailure, NotFound) as error:
                log.warning("%s", error)

    def _read(self, run: Any, own: str) -> Evaluation:
        try:
            data = self._bytes(run, f"{tags.EVALUATIONS}/{own}/{FILE}")
            return Evaluation.from_dict(json.loads(data))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise IntegrityFailure(f"the evaluation {own} cannot be read: {error}.") from error

    def _bytes(self, run: Any, path: str) -> bytes:
        """An artifact, read where it lies or from our copy of a remote one; evaluations never change."""
        place = urlparse(run.info.artifact_uri)
        if place.scheme in ("", "file"):
            return (Path(unquote(place.path)) / path).read_bytes()
        kept = self._store.workspace.home / "cache" / "evaluations" / path.removeprefix(f"{tags.EVALUATIONS}/")
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                Path(self._store.client.download_artifacts(run.info.run_id, path, folder)).replace(kept)
        return kept.read_bytes()

    def _log_metrics(self, evaluation: Evaluation) -> None:
        from mlflow.entities import Metric

        when = evaluation.created_ms
        about: dict[str, Any] = {"run_id": evaluation.run_id}
        if evaluation.model_id:
            about["model_id"] = evaluation.model_id
        if evaluation.data_digest:
            about |= {"dataset_name": evaluation.data[:250], "dataset_digest": evaluation.data_digest[:36]}
        metrics = [
            Metric(METRIC_PREFIX + m.name, m.value, when, 0, **about) for m in evaluation.metrics if m.value is not None
        ]
        self._store.client.log_batch(evaluation.run_id, metrics=metrics)

    @contextlib.contextmanager
    def _door(self) -> Iterator[None]:
        with mlflow_errors(self._store.workspace.tracking_uri):
            yield


def _names(evaluation: Evaluation) -> tuple[str, ...]:
    return (evaluation.model, evaluation.model.partition("@")[0], evaluation.model_id, evaluation.run_id)


def read_rows(data: bytes) -> EvaluationRows:
    """What `evaluation.rows.write_rows` wrote."""
    import io

    import numpy as np

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            return EvaluationRows(
                row_id=held["row_id"],
                target=held["target"],
                prediction=held["prediction"],
                loss=held["loss"],
                probabilities=held.get("probabilities"),
                classes=tuple(str(name) for name in held["classes"]),
            )
    except (OSError, ValueError, KeyError) as error:
        raise IntegrityFailure(f"an evaluation's rows cannot be read: {error}.") from error
