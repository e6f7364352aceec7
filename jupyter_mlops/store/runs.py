"""Runs at rest: created, logged to, searched, ended, through MLflow's client."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.run import Run, Series
from ..errors import InvalidArgument, NotFound
from . import run_queries, sql_reads, tags
from .door import mlflow_errors
from .one_run import run_entity
from .run_entities import dataset_input, to_run

if TYPE_CHECKING:
    from .store import Store

__all__ = ["Runs"]

MOST_METRICS, MOST_OTHERS = 800, 100  # in one request: MLflow takes 1,000 in all, and of parameters and tags 100
MOST_FOUND = 1000
MOST_ARTIFACTS = 200
MOST_PLACES = READ_AHEAD = 10_000
LONGEST_NOTE = 4000
SHORTEST_ID = 4
NAMED = 8
DIRECTION = re.compile(r"\s+(asc|desc)$", re.IGNORECASE)
ENTITY = re.compile(r"^(metrics?|params?|parameters?|attributes?|attr|tags?|run)\.", re.IGNORECASE)
HINT = "MLflow's filters look like `metrics.accuracy > 0.8 and params.C = '1.0'`."


class Runs:
    """The runs of one store's experiment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._places: dict[str, str] = {}

    # writing

    def create(self, name: str, *, key: str, started_ms: int, tags: Mapping[str, str], again: bool = True) -> str:
        """Begin a run, once for each `key`; give its id. Nobody looks for it first where this is not `again`."""
        found = self.id_of(key, started_ms=started_ms) if again else None
        if found:
            return found
        with self._door():
            run = self._store.client.create_run(
                self._store.experiment_id, start_time=started_ms, tags=dict(tags), run_name=name
            )
            self._places[str(run.info.run_id)] = str(run.info.artifact_uri)
        return str(run.info.run_id)

    def id_of(self, key: str, *, started_ms: int | None = None) -> str | None:
        """The id of the run with this key, None if there is none."""
        wanted = f"tags.`{tags.RUN_KEY}` = '{key}'"
        if started_ms is not None:
            wanted += f" AND attributes.start_time = {started_ms}"
        with self._door():
            found = self._store.client.search_runs([self._store.experiment_id], wanted, max_results=1)
        return str(found[0].info.run_id) if found else None

    def log_batch(
        self,
        run_id: str,
        metrics: Iterable[tuple[str, float, int, int]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        model_id: str = "",
    ) -> None:
        """Log metrics (key, value, milliseconds, step), parameters and tags, in requests as large as MLflow takes.

        Parameters
        ----------
        model_id
            The logged model that the metrics are noted on as well.
        """
        from mlflow.entities import Metric, Param, RunTag

        client = self._store.client
        on = {"model_id": model_id, "run_id": run_id} if model_id else {}
        values = [Metric(key, value, at_ms, step, **on) for key, value, at_ms, step in metrics]
        given = [Param(key, value) for key, value in (params or {}).items()]
        held = [RunTag(key, value) for key, value in (tags or {}).items()]
        with self._door():
            for i in count():
                few, most = (
                    slice(i * MOST_OTHERS, (i + 1) * MOST_OTHERS),
                    slice(i * MOST_METRICS, (i + 1) * MOST_METRICS),
                )
                part = (values[most], given[few], held[few])
                if not any(part):
                    break
                client.log_batch(run_id, *part)

    def log_artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        """Store a file or a folder among the run's artifacts."""
        with self._door():
            files = self._files(self._place(run_id))
            if path.is_dir():
                files.log_artifacts(str(path), f"{folder}/{path.name}" if folder else path.name)
            else:
                files.log_artifact(str(path), folder or None)

    def log_text(self, run_id: str, path: str, text: str) -> None:
        """Store a text as an artifact."""
        folder, _, name = path.rpartition("/")
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / name
            file.write_text(text, encoding="utf-8")
            self.log_artifact(run_id, file, folder)

    def log_input(self, run_id: str, *, name: str, digest: str, **told: Any) -> None:
        """Note a table as a native dataset input of the run; a second time changes nothing.

        Parameters
        ----------
        told
            What is known besides, see `store.run_entities.dataset_input`.
        """
        with self._door():
            self._store.client.log_inputs(run_id, datasets=[dataset_input(name, digest, **told)])

    def add_notes(self, run_id: str, notes: Iterable[str]) -> None:
        """Add lines to what could not be recorded of a run."""
        held = self.tags(run_id).get(tags.NOTES, "")
        lines = list(dict.fromkeys([*held.splitlines(), *notes]))
        with self._door():
            self._store.client.set_tag(run_id, tags.NOTES, "\n".join(lines)[:LONGEST_NOTE])

    def end(self, run_id: str, status: str, ended_ms: int, reason: str = "") -> None:
        """End a run; a second time with the same changes nothing."""
        with self._door():
            if reason:
                self._store.client.set_tag(run_id, tags.REASON, reason)
            self._store.client.set_terminated(run_id, status=status, end_time=ended_ms)

    def supersede(self, cell: str, notebook: str, run_id: str) -> None:
        """Mark the runs of a cell that were begun before this one as superseded by it."""
        found = self._of_cell(cell, notebook)
        began = next((run.info.start_time for run in found if run.info.run_id == run_id), None)
        for earlier in found if began is not None else ():
            older = earlier.info.run_id != run_id and earlier.info.start_time <= began
            if older and tags.SUPERSEDED not in earlier.data.tags:
                with self._door():
                    self._store.client.set_tag(earlier.info.run_id, tags.SUPERSEDED, run_id)

    def reopen(self, cell: str, notebook: str, key: str, taken: Callable[[str], bool]) -> str:
        """Let the newest run of a cell go on under another key; give its id, empty if there is none to go on with.

        Parameters
        ----------
        taken
            Whether a kernel, by its tag, may be recording still: its running run stays its own.
        """
        for earlier in self._of_cell(cell, notebook)[:1]:
            run_id = str(earlier.info.run_id)
            if earlier.info.status == "RUNNING" and taken(earlier.data.tags.get(tags.KERNEL, "")):
                return ""
            with self._door():
                self._store.client.set_tag(run_id, tags.RUN_KEY, key)
                self._store.client.update_run(run_id, status="RUNNING")
            return run_id
        return ""

    def _of_cell(self, cell: str, notebook: str) -> list[Any]:
        found = self._search(f"tags.`{tags.CELL}` = {_quoted(cell)}", MOST_FOUND)
        return [run for run in found if run.data.tags.get(tags.NOTEBOOK, "") == notebook]

    # reading

    def get(self, run_id: str) -> Run:
        """One run with its code and artifacts.

        Raises
        ------
        NotFound
            There is none with this id.
        """
        with self._door():
            entity = self._entity(run_id)
            experiment = self._name_of(entity.info.experiment_id)
            files = self._files(entity.info.artifact_uri)
            paths = _listed(files)
            source = _text(files, tags.SOURCE_FILE) if tags.SOURCE_FILE in paths else ""
        return to_run(entity, experiment, source=source, artifacts=tuple(paths))

    def find(self, asked: str) -> Run:
        """One run by its id, by the newest that has this name, or by the first characters of its id.

        Raises
        ------
        NotFound
            There is none.
        InvalidArgument
            Several ids begin like that.
        """
        asked = asked.strip()
        if re.fullmatch(r"[0-9a-f]{32}", asked):
            return self.get(asked)
        hint = "`%mlops runs` lists what there is."
        named = self._search(f"attributes.run_name = {_quoted(asked)}", 1) if asked else []
        if named:
            return self.get(named[0].info.run_id)
        if len(asked) >= SHORTEST_ID and re.fullmatch(r"[0-9a-f]+", asked):
            begun = run_queries.ids_with_prefix(self._store, asked)
            if len(begun) == 1:
                return self.get(begun[0])
            if begun:
                listed = ", ".join(run_id[:12] for run_id in begun[:NAMED])
                raise InvalidArgument(f"{len(begun)} runs have an id that begins with {asked!r}: {listed}.", hint=hint)
        raise NotFound.among("run", asked, self.names()[:NAMED], hint=hint)

    def search(
        self,
        *,
        filter: str = "",  # noqa: A002 MLflow's own word for it
        limit: int = 20,
        order_by: str = "",
        top: bool = False,
    ) -> tuple[Sequence[Run], bool]:
        """Runs, newest first, and whether there are more; data versions and monitors are none.

        Parameters
        ----------
        filter
            In MLflow's words.
        order_by
            A metric, largest first, or what MLflow takes: ``metrics.loss ASC``.
        top
            Leave out the runs that are another's children.
        """
        order = _order(order_by)
        with self._asking(filter):
            found = sql_reads.run_table(self._store, wanted=filter, order=order, limit=limit, top=top)
        return found if found is not None else self._search_by_client(filter, limit, order, top=top)

    def read_ahead(self) -> None:
        """Read the newest runs before somebody asks for them, where many were made since the last time."""
        with self._door():
            behind = sql_reads.behind(self._store)
        if behind:
            self.search(limit=READ_AHEAD)

    def _search_by_client(
        self, wanted: str, limit: int, order: list[str], *, top: bool = False
    ) -> tuple[list[Run], bool]:
        """As `search`, of any store."""
        kept: list[Run] = []
        token = None
        while True:
            with self._asking(wanted):
                page = self._store.client.search_runs(
                    [self._store.experiment_id],
                    filter_string=wanted,
                    max_results=min(limit + 1, MOST_FOUND),
                    order_by=order,
                    page_token=token,
                )
            experiment = self._store.workspace.experiment
            found = [to_run(entity, experiment) for entity in page if _is_run(entity)]
            kept += [run for run in found if not (top and run.parent)]
            token = page.token
            if len(kept) > limit or not token:
                return kept[:limit], len(kept) > limit

    def running(self, workspace: str) -> list[Run]:
        """The runs that claim to be running and were recorded by kernels of this workspace."""
        wanted = f"attributes.status = 'RUNNING' AND tags.`{tags.KERNEL}` LIKE '{workspace}/%'"
        return [to_run(entity, self._store.workspace.experiment) for entity in self._search(wanted, MOST_FOUND)]

    def tags(self, run_id: str) -> dict[str, str]:
        """A run's tags."""
        with self._door():
            return dict(self._entity(run_id).data.tags)

    def inputs(self, run_id: str) -> list[dict[str, str]]:
        """The tables that a run used: their ``name``, ``digest`` and, for a data version, ``ref``."""
        with self._door():
            entity = self._entity(run_id)
        held = entity.inputs.dataset_inputs if entity.inputs else ()
        return [
            {
                "name": str(one.dataset.name),
                "digest": str(one.dataset.digest),
                "ref": next((str(tag.value) for tag in one.tags if tag.key == tags.DATA_REF), ""),
            }
            for one in held
        ]

    def status(self, run_id: str) -> str:
        """A run's status, as MLflow says it."""
        with self._door():
            return str(self._entity(run_id).info.status)

    def stepped(self, run_id: str) -> list[str]:
        """The metrics of a run that have gone beyond their first step."""
        with self._door():
            values = self._entity(run_id).data._metric_objs  # noqa: SLF001 the last values with their steps
        return [metric.key for metric in values if metric.step > 0]

    def history(self, run_id: str, metric: str, *, points: int) -> Series:
        """A metric's curve by step, thinned to so many points, its extremes kept."""
        with self._door():
            kept = run_queries.curve(self._store, run_id, metric, points)
        return Series(run_id, metric, tuple(step for step, _ in kept), tuple(value for _, value in kept))

    # for `status` and completion

    def counts(self) -> dict[str, int]:
        """How many runs and running runs."""
        with self._door():
            total, running = run_queries.counts(self._store)
        return {"runs": total, "running": running}

    def names(self) -> list[str]:
        """Names and short ids of the newest runs, for completion."""
        with self._door():
            newest = run_queries.newest(self._store, 50)
        return [*dict.fromkeys(name for name, _ in newest), *(run_id[:8] for _, run_id in newest)]

    # below

    def _search(self, wanted: str, limit: int) -> list[Any]:
        with self._door():
            return list(
                self._store.client.search_runs(
                    [self._store.experiment_id],
                    filter_string=wanted,
                    max_results=limit,
                    order_by=["attributes.start_time DESC"],
                )
            )

    def _entity(self, run_id: str) -> Any:
        return run_entity(self._store, run_id)

    def _place(self, run_id: str) -> str:
        """Where a run's artifacts are; it stays where it is."""
        if run_id not in self._places:
            if len(self._places) > MOST_PLACES:
                self._places.clear()
            self._places[run_id] = str(self._entity(run_id).info.artifact_uri)
        return self._places[run_id]

    def _files(self, place: str) -> Any:
        """MLflow's repository of a run's artifacts; the client would ask for the run again with every call."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(place, tracking_uri=self._store.workspace.tracking_uri)

    def artifact_text(self, run_id: str, path: str) -> str:
        """A text among the run's artifacts.

        Raises
        ------
        StoreUnavailable
            It cannot be read.
        """
        with self._door():
            return _text(self._files(self._place(run_id)), path)

    def _name_of(self, experiment_id: str) -> str:
        if experiment_id == self._store.experiment_id:
            return self._store.workspace.experiment
        return str(self._store.client.get_experiment(experiment_id).name)

    @contextlib.contextmanager
    def _asking(self, wanted: str) -> Iterator[None]:
        try:
            with self._door():
                yield
        except InvalidArgument as error:
            asked = f"the filter {wanted!r}: " if wanted else ""
            raise InvalidArgument(f"{asked}{error.message}", hint=HINT) from error

    def _door(self) -> contextlib.AbstractContextManager[None]:
        return mlflow_errors(self._store.workspace.tracking_uri)


def _listed(files: Any) -> list[str]:
    """The paths of a run's artifacts, as many as one would look at."""
    found: list[str] = []
    waiting = [""]
    while waiting and len(found) < MOST_ARTIFACTS:
        for entry in files.list_artifacts(waiting.pop(0) or None):
            (waiting if entry.is_dir else found).append(entry.path)
    return sorted(found[:MOST_ARTIFACTS])


def _text(files: Any, path: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return Path(files.download_artifacts(path, folder)).read_text(errors="replace")


def _is_run(entity: Any) -> bool:
    return bool(entity.data.tags.get(tags.KIND, "run") == "run")


def _quoted(text: str) -> str:
    quote = "'" if "'" not in text else '"'
    return f"{quote}{text.replace(quote, '')}{quote}"


def metric_of_order(asked: str) -> str:
    """The metric that an order goes by; empty where it is something else.

    Examples
    --------
    >>> metric_of_order("loss ASC"), metric_of_order("metrics.`loss`"), metric_of_order("params.C")
    ('loss', 'loss', '')
    """
    name = _order(asked)[0].rpartition(" ")[0]
    kind, _, metric = name.partition(".")
    return metric.strip("`") if kind in ("metric", "metrics") else ""


def _order(asked: str) -> list[str]:
    """An order as MLflow writes it.

    Examples
    --------
    >>> _order("loss asc")[0], _order("")[0]
    ('metrics.`loss` ASC', 'attributes.start_time DESC')
    """
    newest = "attributes.start_time DESC"
    if not asked.strip():
        return [newest]
    found = DIRECTION.search(asked.strip())
    direction = found[1].upper() if found else "DESC"
    name = DIRECTION.sub("", asked.strip())
    if not ENTITY.match(name):
        name = f"metrics.`{name.strip('`')}`"
    if name.partition(".")[2].strip("`").lower() in ("start_time", "started", "created"):  # MLflow takes each name once
        return [f"{name} {direction}"]
    return [f"{name} {direction}", newest]
