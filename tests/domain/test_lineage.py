"""Lineage as a graph: layers, circles, folding of what is alike, and the text that is drawn of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.domain.lineage import KINDS, Lineage, LineageEdge, LineageNode

KEYS = [LineageNode(kind, str(n)).key for kind in KINDS for n in range(4)]


@st.composite
def graphs(draw: st.DrawFn) -> Lineage:
    nodes = tuple(LineageNode(kind, str(n), when_ms=n) for kind in KINDS for n in range(4))
    pairs = draw(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from([*KEYS, "run:gone"])), max_size=40))
    return Lineage(draw(st.sampled_from(KEYS)), nodes, tuple(LineageEdge(a, b, "read by") for a, b in pairs))


@given(graphs(), st.integers(1, 20))
def test_any_graph_has_layers_a_text_and_a_smaller_form(graph: Lineage, most: int) -> None:
    assert set(graph.layers()) == set(KEYS)
    assert graph.text()
    small = graph.collapsed(most)
    assert sum(node.count for node in small.nodes) == len(graph.nodes)
    assert graph.of in {node.key for node in small.nodes}
    assert Lineage.from_dict(graph.to_dict()) == graph


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30))
def test_in_a_graph_without_circles_every_edge_goes_to_the_right(pairs: list[tuple[int, int]]) -> None:
    nodes = tuple(LineageNode("run", str(n)) for n in range(9))
    edges = tuple(LineageEdge(f"run:{a}", f"run:{b}") for a, b in pairs if a < b)
    layers = Lineage("run:0", nodes, edges).layers()
    assert all(layers[edge.source] < layers[edge.target] for edge in edges)
    into = {edge.target for edge in edges}
    assert all((layers[node.key] == 0) == (node.key not in into) for node in nodes)


def test_what_hangs_on_runs_drawn_as_one_is_drawn_as_one_too() -> None:
    """A sweep's trials have a model each: drawn singly those would be a column of boxes that all say "model"."""
    parts = [
        (LineageNode("run", f"{n:032x}", f"trial-{n}"), LineageNode("model", f"m-{n}", "model")) for n in range(35)
    ]
    edges = [LineageEdge("data:adult@v1", run.key) for run, _ in parts]
    edges += [LineageEdge(run.key, model.key, "made") for run, model in parts]
    nodes = (LineageNode("data", "adult@v1"), *(node for pair in parts for node in pair))
    small = Lineage("data:adult@v1", nodes, tuple(edges)).collapsed(60)
    assert sorted(node.label for node in small.nodes) == ["35 models", "35 runs", "adult@v1"]
    assert len(small.edges) == 2


def test_a_sweep_of_many_runs_is_drawn_as_one_node_with_their_number() -> None:
    runs = [LineageNode("run", f"{n:032x}", f"trial-{n}") for n in range(300)]
    nodes = (LineageNode("data", "adult@v1"), *runs, LineageNode("model", "clf@1"))
    edges = (
        *(LineageEdge("data:adult@v1", run.key, "read by") for run in runs),
        LineageEdge(runs[7].key, "model:clf@1"),
    )
    small = Lineage("data:adult@v1", nodes, edges).collapsed(60)
    assert sorted(node.count for node in small.nodes) == [1, 1, 1, 299]
    assert runs[7] in small.nodes, "the run that went on is not folded away"
    assert "299 runs" in small.text()
