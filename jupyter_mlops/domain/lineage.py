"""Lineage: what a thing came from and what came of it, as a graph of data versions, runs, models, deployments, reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .display import Displayed, clock
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Lineage", "LineageEdge", "LineageNode"]

KINDS = ("data", "run", "model", "deployment", "report")
"""What a node can be, in the order of the sentence."""

WORDS = {"data": "data version", "run": "run", "model": "model version", "deployment": "deployment", "report": "report"}
PLURALS = {"data": "tables", "run": "runs", "model": "models", "deployment": "deployments", "report": "reports"}
FEWEST = 3  # alike nodes that are shown as one


@dataclass(frozen=True)
class LineageNode(Record):
    """One thing of the graph.

    Parameters
    ----------
    kind
        One of `KINDS`.
    ref
        How commands name it: ``adult@v3``, a run's id, ``clf@7``.
    name
        What to show for it, where the reference does not read well.
    when_ms
        When it was made, in milliseconds since 1970; 0 where nobody knows.
    told
        What else is known, in one line.
    count
        How many things it stands for.
    """

    kind: str
    ref: str
    name: str = ""
    when_ms: int = 0
    told: str = ""
    count: int = 1

    @property
    def key(self) -> str:
        """What edges call it."""
        return f"{self.kind}:{self.ref}"

    @property
    def label(self) -> str:
        """What to show for it."""
        return self.name or self.ref

    def line(self) -> str:
        """It in one line of text."""
        if self.count > 1:
            return f"{self.count:,} {PLURALS.get(self.kind, self.kind)}"
        when = f", {clock(self.when_ms)[:16]}" if self.when_ms else ""
        short = f" {self.ref[:8]}" if self.name and self.name != self.ref else ""
        return f"{WORDS.get(self.kind, self.kind)} {self.label}{short}{when}{f' ({self.told})' if self.told else ''}"


@dataclass(frozen=True)
class LineageEdge(Record):
    """That one thing went into another; both by `LineageNode.key`."""

    source: str
    target: str
    how: str = ""


@dataclass(frozen=True)
class Lineage(Displayed, Record):
    """The graph around one thing, by what cells really read and wrote.

    Parameters
    ----------
    of
        The key of the thing.

    Examples
    --------
    >>> nodes = (LineageNode("data", "adult@v1"), LineageNode("run", "4f2a", "fit"), LineageNode("model", "clf@1"))
    >>> edges = (LineageEdge("data:adult@v1", "run:4f2a", "read by"), LineageEdge("run:4f2a", "model:clf@1", "made"))
    >>> print(Lineage("model:clf@1", nodes, edges))
    model version clf@1
    came from
    └─ run fit 4f2a (made it)
       └─ data version adult@v1 (read by it)
    """

    of: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[LineageNode]:
        return iter(self.nodes)

    def of_kind(self, kind: str) -> tuple[LineageNode, ...]:
        """The nodes of one kind."""
        return tuple(node for node in self.nodes if node.kind == kind)

    def layers(self) -> dict[str, int]:
        """How far each node stands from the left: one more than the last that went into it; a circle is cut anywhere."""
        keys = [node.key for node in self.nodes]
        known = set(keys)
        into: dict[str, list[str]] = defaultdict(list)
        for edge in self.edges:
            if edge.source in known and edge.target in known and edge.source != edge.target:
                into[edge.target].append(edge.source)
        found: dict[str, int] = {}
        for key in keys:
            path: list[tuple[str, Iterator[str]]] = [(key, iter(into[key]))]
            open_ = {key}
            while path and key not in found:
                here, left = path[-1]
                before = next((k for k in left if k not in found and k not in open_), None)
                if before is not None:
                    path.append((before, iter(into[before])))
                    open_.add(before)
                    continue
                found[here] = 1 + max((found[k] for k in into[here] if k in found), default=-1)
                path.pop()
        return found

    def collapsed(self, most: int) -> Lineage:
        """The graph with at most about `most` nodes: those that are alike become one with their number.

        Alike are nodes of one kind with the same neighbours; if that is not enough, nodes of one kind in one layer.
        The thing itself always stays.
        """
        graph = self
        # at last what only hung on things that are one by then, and is alike by that: the models of a sweep's trials
        for by_neighbours, wanted in ((True, most), (False, most), (True, 0 if len(self) > most else most)):
            if len(graph.nodes) > wanted:
                graph = graph._merged(graph._groups(by_neighbours=by_neighbours), wanted)
        return graph

    def _groups(self, *, by_neighbours: bool) -> list[list[LineageNode]]:
        before, after = defaultdict(set), defaultdict(set)
        for edge in self.edges:
            before[edge.target].add(edge.source)
            after[edge.source].add(edge.target)
        layers = self.layers()
        groups: dict[object, list[LineageNode]] = defaultdict(list)
        for node in self.nodes:
            if node.key == self.of:
                continue
            near = (frozenset(before[node.key]), frozenset(after[node.key])) if by_neighbours else layers[node.key]
            groups[node.kind, near].append(node)
        return sorted((g for g in groups.values() if len(g) >= FEWEST), key=len, reverse=True)

    def _merged(self, groups: list[list[LineageNode]], most: int) -> Lineage:
        renamed: dict[str, str] = {}
        made: list[LineageNode] = []
        left = len(self.nodes)
        for group in groups:
            if left <= most:
                break
            count = sum(node.count for node in group)
            newest = max(group, key=lambda node: node.when_ms)
            one = LineageNode(
                group[0].kind,
                f"{newest.ref} and {count - 1} more",
                f"{count:,} {PLURALS.get(group[0].kind, group[0].kind)}",
                newest.when_ms,
                ", ".join(node.label for node in group[:8]) + (", ..." if len(group) > 8 else ""),
                count,
            )
            made.append(one)
            renamed |= {node.key: one.key for node in group}
            left -= len(group) - 1
        nodes = (*(node for node in self.nodes if node.key not in renamed), *made)
        edges = dict.fromkeys(
            LineageEdge(renamed.get(e.source, e.source), renamed.get(e.target, e.target), e.how) for e in self.edges
        )
        return Lineage(self.of, nodes, tuple(e for e in edges if e.source != e.target), self.notes)

    def to_pandas(self) -> pd.DataFrame:
        """One row an edge."""
        import pandas as pd

        return pd.DataFrame([edge.to_dict() for edge in self.edges], columns=["source", "target", "how"])

    def text(self) -> str:
        graph = self.collapsed(200)
        known = {node.key: node for node in graph.nodes}
        back, forth = defaultdict(list), defaultdict(list)
        for edge in graph.edges:
            if edge.source in known and edge.target in known:
                back[edge.target].append((edge.source, f"{edge.how} it" if edge.how else ""))
                forth[edge.source].append((edge.target, edge.how))
        start = known.get(graph.of)
        lines = [start.line() if start is not None else graph.of]
        for title, near in (("came from", back), ("came of it", forth)):
            if near[graph.of]:
                lines += [title, *_tree(graph.of, near, known, set())]
        if not graph.edges:
            lines.append("nothing is known to have gone into it, and nothing to have come of it.")
        return "\n".join([*lines, *(f"note: {note}" for note in graph.notes)])


def _tree(
    key: str, near: dict[str, list[tuple[str, str]]], known: dict[str, LineageNode], seen: set[str], indent: str = ""
) -> Iterable[str]:
    seen.add(key)
    here = sorted(near[key], key=lambda item: (known[item[0]].kind, known[item[0]].when_ms, item[0]))
    for number, (other, how) in enumerate(here):
        last = number == len(here) - 1
        again = other in seen and bool(near[other])
        told = f" ({how})" if how else ""
        yield f"{indent}{'└─' if last else '├─'} {known[other].line()}{told}{' see above' if again else ''}"
        if not again:
            yield from _tree(other, near, known, seen, indent + ("   " if last else "│  "))
