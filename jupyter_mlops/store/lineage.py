"""Links: what stands next to a thing in the store, each asked of an index of MLflow's and never by looking at all runs."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from ..errors import NotFound
from . import tags
from .door import mlflow_errors

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Links"]

MOST = 200  # neighbours of one kind; the newest


class Links:
    """Neighbours of data versions, runs, models and deployments; runs and versions are MLflow's entities.

    Parameters
    ----------
    store
        The open store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, run_id: str) -> Any | None:
        """A run; None if it is gone."""
        with contextlib.suppress(NotFound), self._door():
            return self._store.client.get_run(run_id)
        return None

    def run_with_key(self, key: str) -> Any | None:
        """The run that a kernel recorded under this key."""
        found = self._runs(f"tags.`{tags.RUN_KEY}` = '{key}'") if key else []
        return found[0] if found else None

    def reading(self, name: str, digests: tuple[str, ...]) -> list[Any]:
        """The newest runs that had a table of this name and one of these contents as input."""
        found = {}
        for digest in dict.fromkeys(digests):
            for run in self._runs(f"dataset.name = '{name}' AND dataset.digest = '{digest}'"):
                found[str(run.info.run_id)] = run
        return list(found.values())

    def parts_of(self, run_id: str) -> list[Any]:
        """The newest runs that this one began: trials of a sweep, folds."""
        return self._runs(f"tags.`{tags.PARENT}` = '{run_id}'")

    def tables_read(self, run: Any) -> list[tuple[str, str]]:
        """What a run had as input: a data version or empty, and ``name#digest``."""
        found = []
        for used in run.inputs.dataset_inputs if run.inputs else ():
            marks = {mark.key: mark.value for mark in used.tags}
            found.append((marks.get(tags.DATA_REF, ""), f"{used.dataset.name}#{used.dataset.digest}"))
        return list(dict.fromkeys(found))

    def data_saved_in(self, run: Any) -> list[tuple[str, int]]:
        """Names and numbers of the data versions that were saved while a run was recorded."""
        key = run.data.tags.get(tags.RUN_KEY, "")
        return self._data(f"tags.`{tags.RUN_KEY}` = '{key}'") if key else []

    def data_made_from(self, ref: str) -> list[tuple[str, int]]:
        """Names and numbers of the data versions that say they were made from this one."""
        return self._data(f"tags.`{tags.DATA_SOURCES}` LIKE '%\"{ref}\"%'")

    def versions_of_run(self, run_id: str) -> list[Any]:
        """The model versions that were registered from a run."""
        return self._versions(f"run_id = '{run_id}'")

    def versions_of_data(self, ref: str) -> list[Any]:
        """The model versions that say they were trained on a data version."""
        found = self._versions(f"tags.`{tags.DATA}` LIKE '%\"{ref}\"%'")
        return [version for version in found if ref in json.loads(version.tags.get(tags.DATA) or "[]")]

    def logged_by(self, run: Any) -> list[tuple[str, str]]:
        """Ids and names of the models that a run logged."""
        ids = [str(output.model_id) for output in run.outputs.model_outputs] if run.outputs else []
        found = []
        for model_id in list(dict.fromkeys(ids))[:MOST]:
            with contextlib.suppress(NotFound), self._door():
                found.append((model_id, str(self._store.client.get_logged_model(model_id).name)))
        return found

    def reports_of(self, deployment: str) -> list[tuple[str, int]]:
        """Ids and times of the newest drift reports on a deployment."""
        found = self._store.reports.listed(deployment)
        return sorted(found, key=lambda item: -item[1])[:MOST]

    def _runs(self, wanted: str) -> list[Any]:
        with self._door():
            return list(
                self._store.client.search_runs(
                    [self._store.experiment_id], wanted, max_results=MOST, order_by=["attributes.start_time DESC"]
                )
            )

    def _data(self, wanted: str) -> list[tuple[str, int]]:
        complete = f"{wanted} AND tags.`{tags.DATA_STATE}` = 'complete'"
        with self._door():
            runs = self._store.client.search_runs(
                [self._store.datasets.experiment_id],
                complete,
                max_results=MOST,
                order_by=["attributes.start_time DESC"],
            )
        return [(run.data.tags[tags.DATA_NAME], int(run.data.tags[tags.DATA_VERSION])) for run in runs]

    def _versions(self, wanted: str) -> list[Any]:
        with self._door():
            return list(self._store.client.search_model_versions(wanted, max_results=MOST))

    def _door(self) -> contextlib.AbstractContextManager[None]:
        return mlflow_errors(self._store.workspace.tracking_uri)
