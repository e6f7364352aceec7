"""What the service does for lineage: finds a thing, and walks from neighbour to neighbour, back and forth."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..domain.data_version import DataVersion
from ..domain.lineage import KINDS, Lineage, LineageEdge, LineageNode
from ..domain.reference import Reference
from ..errors import InvalidArgument, MLOpsError, NotFound
from ..serving.deployment_folder import DeploymentFolder, StoredDeployment, stored_deployments
from ..store import model_versions
from ..store.host import Host
from ..store.lineage import MOST, Links
from ..store.models import model_id_of
from ..store.tags import DATA, NOTEBOOK, PARENT

__all__ = ["lineage"]

LARGEST = 1000  # nodes; a graph beyond that is cut, and says so

Step = tuple[LineageNode, str]


def lineage(host: Host, *, thing: str, kind: str = "") -> dict[str, Any]:
    """The graph around a thing: everything it came from, and everything that came of it."""
    walker = _Walker(host)
    start, notes = walker.find(thing, kind)
    nodes: dict[str, LineageNode] = {start.key: start}
    edges: dict[tuple[str, str], LineageEdge] = {}
    for steps, forth in ((walker.before, False), (walker.after, True)):
        waiting = deque([start])
        seen = {start.key}
        while waiting:
            here = waiting.popleft()
            for other, how in steps(here):
                if other.key not in nodes and len(nodes) >= LARGEST:
                    walker.cut = True
                    continue
                nodes.setdefault(other.key, other)
                pair = (here.key, other.key) if forth else (other.key, here.key)
                edges.setdefault(pair, LineageEdge(*pair, how))
                if other.key not in seen:
                    seen.add(other.key)
                    waiting.append(other)
    if walker.cut:
        notes.append(f"the graph is cut at {LARGEST:,} things, and at the newest {MOST} beside any one of them.")
    return Lineage(start.key, tuple(nodes.values()), tuple(edges.values()), tuple(notes)).to_dict()


@dataclass
class _Walker:
    """Neighbours of nodes; each thing is asked of the store once."""

    host: Host
    cut: bool = False
    runs: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, DataVersion | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.links = Links(self.host.store)
        self.deployments = stored_deployments(self.host.workspace.home)

    # finding

    def find(self, thing: str, kind: str) -> tuple[LineageNode, list[str]]:
        """The thing that a text names, and what else it could have meant."""
        ways: dict[str, Callable[[str], LineageNode]] = {
            "data": self._find_data,
            "model": self._find_model,
            "deployment": self._find_deployment,
            "run": self._find_run,
            "report": self._find_report,
        }
        if kind and kind not in ways:
            raise InvalidArgument.unknown("kind of thing", kind, KINDS)
        found: dict[str, LineageNode] = {}
        errors: dict[str, MLOpsError] = {}
        for name in [kind] if kind else list(ways):
            try:
                found[name] = ways[name](thing)
            except (NotFound, InvalidArgument) as error:
                errors[name] = error
        if not found:
            if kind:
                raise errors[kind]
            raise NotFound(
                f"{thing!r} is no data version, model version, deployment, run or report.",
                hint="`%mlops data log`, `models`, `deployments` and `runs` list what there is.",
            )
        first = next(iter(found))
        others = [name for name in found if name != first and found[name].key != found[first].key]
        notes = [f"{thing} is also a {other}: `lineage {thing} --kind {other}` shows that." for other in others]
        return found[first], notes

    def _find_data(self, text: str) -> LineageNode:
        ref = Reference.parse(text, "data version")
        store = self.host.store.datasets
        return self._data_node(store.get(ref.name, store.resolve(ref))[0])

    def _find_model(self, text: str) -> LineageNode:
        return self._model_node(model_versions.find(self.host.store.models, text))

    def _find_deployment(self, text: str) -> LineageNode:
        stored = DeploymentFolder.of(self.host.workspace.home, text).read()
        if stored is None:
            raise NotFound.among("deployment", text, [each.name for each in self.deployments])
        return _deployment_node(stored)

    def _find_run(self, text: str) -> LineageNode:
        run = self.host.store.runs.find(text)
        found = self._run(run.id)
        if found is None:
            raise NotFound.among("run", text, [])
        return found

    def _find_report(self, text: str) -> LineageNode:
        if len(text) < 4 or "@" in text:
            raise NotFound.among("drift report", text, [])
        report = self.host.store.reports.load(text)
        return LineageNode("report", report.id, f"drift of {report.deployment}", report.created_ms, report.model)

    # what went into it

    def before(self, node: LineageNode) -> Iterator[Step]:
        """What went into a node."""
        yield from getattr(self, f"_before_{node.kind}")(node)

    def _before_data(self, node: LineageNode) -> Iterator[Step]:
        version = self._data(node.ref)
        if version is None:
            return
        run = self.links.run_with_key(version.run)
        if run is not None:
            yield self._run_node(run), "saved"
            read = {ref for ref, _ in self.links.tables_read(run)}
        else:
            read = set()
        for source in version.sources:
            if source not in read:  # else the way goes through the run
                yield self._named_data(source), "went into"

    def _before_run(self, node: LineageNode) -> Iterator[Step]:
        run = self.runs.get(node.ref) or self.links.run(node.ref)
        if run is None:
            return
        saved = {f"{name}@v{number}" for name, number in self.links.data_saved_in(run)}
        for ref, other in self.links.tables_read(run):
            if ref not in saved:  # a table that the run itself saved is noted with it too
                yield self._named_data(ref or other), "read by"
        parent = self._run(run.data.tags.get(PARENT, ""))
        if parent is not None:
            yield parent, "began"

    def _before_model(self, node: LineageNode) -> Iterator[Step]:
        try:
            version = model_versions.find(self.host.store.models, node.ref)
        except (NotFound, InvalidArgument):
            return
        run = self._run(version.run_id or "")
        if run is not None:
            yield run, "made"
        read = {ref for ref, _ in self.links.tables_read(self.runs[run.ref])} if run is not None else set()
        for ref in json.loads(version.tags.get(DATA) or "[]"):
            if ref not in read and "@" in str(ref):
                yield self._named_data(str(ref)), "trained"

    def _before_deployment(self, node: LineageNode) -> Iterator[Step]:
        stored = DeploymentFolder.of(self.host.workspace.home, node.ref).read()
        for ref, role in _served(stored) if stored is not None else ():
            with contextlib.suppress(NotFound):
                yield self._find_model(ref), f"served ({role}) by" if role != "stable" else "served by"

    def _before_report(self, node: LineageNode) -> Iterator[Step]:
        report = self.host.store.reports.load(node.ref)
        with contextlib.suppress(NotFound, InvalidArgument):
            yield self._find_deployment(report.deployment), "watched in"

    # what came of it

    def after(self, node: LineageNode) -> Iterator[Step]:
        """What a node went into."""
        yield from getattr(self, f"_after_{node.kind}")(node)

    def _after_data(self, node: LineageNode) -> Iterator[Step]:
        version = self._data(node.ref)
        if version is None:
            return
        readers = self._all(self.links.reading(version.name, digests_of(version)))
        through = set()
        for run in readers:
            mine = {f"{name}@v{number}" for name, number in self.links.data_saved_in(run)}
            through |= mine
            if node.ref not in mine:
                yield self._run_node(run), "read by"
        for name, number in self._all(self.links.data_made_from(node.ref)):
            if f"{name}@v{number}" not in through:
                yield self._named_data(f"{name}@v{number}"), "went into"
        ran = {str(run.info.run_id) for run in readers}
        for entity in self._all(self.links.versions_of_data(node.ref)):
            if entity.run_id not in ran:
                yield self._model_node(entity), "trained"

    def _after_run(self, node: LineageNode) -> Iterator[Step]:
        run = self.runs.get(node.ref) or self.links.run(node.ref)
        if run is None:
            return
        for name, number in self._all(self.links.data_saved_in(run)):
            yield self._named_data(f"{name}@v{number}"), "saved"
        registered = set()
        for entity in self._all(self.links.versions_of_run(node.ref)):
            registered.add(model_id_of(entity))
            yield self._model_node(entity), "made"
        for model_id, name in self.links.logged_by(run):
            if model_id not in registered:
                yield LineageNode("model", model_id, name, node.when_ms, "logged, not registered"), "made"
        for part in self._all(self.links.parts_of(node.ref)):
            yield self._run_node(part), "began"

    def _after_model(self, node: LineageNode) -> Iterator[Step]:
        for stored in self.deployments:
            for ref, role in _served(stored):
                if ref == node.ref:
                    yield _deployment_node(stored), "served by" if role == "stable" else f"served ({role}) by"

    def _after_deployment(self, node: LineageNode) -> Iterator[Step]:
        for id_, when in self._all(self.links.reports_of(node.ref)):
            yield LineageNode("report", id_, f"drift of {node.ref}", when), "watched in"

    def _after_report(self, _node: LineageNode) -> Iterator[Step]:
        yield from ()

    # nodes

    def _all(self, found: list[Any]) -> list[Any]:
        self.cut |= len(found) >= MOST
        return found

    def _run(self, run_id: str) -> LineageNode | None:
        if run_id and run_id not in self.runs:
            run = self.links.run(run_id)
            if run is None:
                return None
            self.runs[run_id] = run
        return self._run_node(self.runs[run_id]) if run_id else None

    def _run_node(self, run: Any) -> LineageNode:
        run_id = str(run.info.run_id)
        self.runs[run_id] = run
        told = "" if run.info.status == "FINISHED" else str(run.info.status).lower()
        told = ", ".join(each for each in (told, run.data.tags.get(NOTEBOOK, "")) if each)
        return LineageNode("run", run_id, str(run.info.run_name or ""), int(run.info.start_time or 0), told)

    def _data(self, ref: str) -> DataVersion | None:
        if ref not in self.versions:
            self.versions[ref] = None
            with contextlib.suppress(NotFound, InvalidArgument):
                parsed = Reference.parse(ref, "data version")
                self.versions[ref] = self.host.store.datasets.get(parsed.name, parsed.version)[0]
        return self.versions[ref]

    def _named_data(self, ref: str) -> LineageNode:
        version = self._data(ref) if "#" not in ref else None
        if version is not None:
            return self._data_node(version)
        if "#" in ref:
            name, _, digest = ref.partition("#")
            return LineageNode("data", ref, f"{name} #{digest[:8]}", 0, "a table that was not saved as a version")
        return LineageNode("data", ref, "", 0, "removed")

    def _data_node(self, version: DataVersion) -> LineageNode:
        self.versions[version.ref] = version
        what = {"table": "rows", "folder": "files", "view": "rows of features"}
        told = f"{version.rows:,} {what[version.kind]}"
        return LineageNode("data", version.ref, "", version.created_ms, told)

    def _model_node(self, entity: Any) -> LineageNode:
        model = model_versions.of_entity(entity)
        told = ", ".join([*model.aliases, *([model.estimator] if model.estimator else [])])
        return LineageNode("model", model.ref, "", model.created_ms, told)


def digests_of(version: DataVersion) -> tuple[str, ...]:
    """The contents that a version has had."""
    return (version.digest, *(erasure.digest for erasure in getattr(version, "erasures", ())))


def _deployment_node(stored: StoredDeployment) -> LineageNode:
    return LineageNode("deployment", stored.name, "", stored.started_ms, f"{stored.state}, {stored.model}")


def _served(stored: StoredDeployment) -> list[tuple[str, str]]:
    """The model versions of a deployment with what each is in it."""
    shares = {share.model: share.role for share in stored.traffic.shares}
    return list({stored.model: "stable", **shares}.items())
