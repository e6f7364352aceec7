"""Lineage as a picture: static SVG, layered from left to right, read in both themes."""

from __future__ import annotations

from collections import defaultdict
from html import escape

from ..domain.display import clock, cut
from ..domain.lineage import KINDS, PLURALS, WORDS, Lineage, LineageNode
from .markup import Markup, grid, more, note, page, tag, when

__all__ = ["lineage"]

MOST = 60  # nodes that one can still read; more are drawn as counts
WIDTH, HEIGHT = 168, 26
APART, BETWEEN = 48, 9  # columns, rows
MARGIN = 6
LETTERS = 21  # of a label that fit a box
LISTED = 200

# Okabe and Ito's colours, told apart by the colour-blind; each kind also has a mark of its own
COLOURS = {"data": "#56B4E9", "run": "#E69F00", "model": "#009E73", "deployment": "#CC79A7", "report": "#D55E00"}
MARKS = {"data": "▤", "run": "▶", "model": "◆", "deployment": "☁", "report": "⚑"}


def lineage(graph: Lineage) -> Markup:
    """The graph, what its marks mean, and every edge as a table to unfold."""
    shown = graph.collapsed(MOST)
    start = next((node for node in graph.nodes if node.key == graph.of), None)
    title = f"Lineage of {start.label if start is not None else graph.of}"
    folded = len(graph.nodes) - len(shown.nodes)
    kinds = [kind for kind in KINDS if any(node.kind == kind for node in graph.nodes)]
    legend = "   ".join(f"{MARKS[k]} {_counted(k, len(graph.of_kind(k)))}" for k in kinds)
    by_key = {node.key: node for node in graph.nodes}
    rows = [
        [_named(by_key, edge.source), edge.how, _named(by_key, edge.target), _when(by_key, edge.target)]
        for edge in graph.edges[:LISTED]
    ]
    left = len(graph.edges) - len(rows)
    return page(
        tag("div", title, class_="mlops-title"),
        note(legend),
        _svg(shown),
        note(f"{folded + 1:,} things that are alike are drawn as counts.") if folded else "",
        *(note(each) for each in graph.notes),
        more("as a table", grid(["from", "", "to", "when"], rows), note(f"{left:,} more") if left > 0 else "")
        if rows
        else note("Nothing is known to have gone into it, and nothing to have come of it."),
    )


def _counted(kind: str, count: int) -> str:
    return f"{count:,} {PLURALS[kind] if count != 1 else WORDS[kind]}"


def _named(nodes: dict[str, LineageNode], key: str) -> str:
    node = nodes.get(key)
    return key if node is None else f"{WORDS.get(node.kind, node.kind)} {node.label}"


def _when(nodes: dict[str, LineageNode], key: str) -> object:
    node = nodes.get(key)
    return when(node.when_ms if node is not None else 0)


def _svg(graph: Lineage) -> Markup:
    columns = _placed(graph)
    at = {node.key: (number, row) for number, nodes in enumerate(columns) for row, node in enumerate(nodes)}
    tallest = max((len(nodes) for nodes in columns), default=0)
    width = 2 * MARGIN + len(columns) * (WIDTH + APART) - (APART if columns else 0)
    height = 2 * MARGIN + tallest * (HEIGHT + BETWEEN) - (BETWEEN if tallest else 0)

    def place(key: str) -> tuple[float, float]:
        column, row = at[key]
        own = len(columns[column]) * (HEIGHT + BETWEEN) - BETWEEN
        top = (height - own) / 2
        return MARGIN + column * (WIDTH + APART), top + row * (HEIGHT + BETWEEN)

    parts = []
    names = {node.key: node.label for node in graph.nodes}
    for edge in graph.edges:
        if edge.source in at and edge.target in at and edge.source != edge.target:
            (x1, y1), (x2, y2) = place(edge.source), place(edge.target)
            x1, y1, y2 = x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2
            bend = max(24.0, min(x2 - x1, APART * 1.6) / 2)
            told = escape(f"{names[edge.source]} {edge.how} {names[edge.target]}")
            parts.append(
                f'<path d="M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2 - 5:.0f} {y2:.0f}" '
                f'fill="none" stroke="currentColor" stroke-opacity=".42" stroke-width="1.4"><title>{told}</title></path>'
                f'<path d="M{x2:.0f} {y2:.0f}l-6 -3.5v7z" fill="currentColor" fill-opacity=".55"></path>'
            )
    parts += [_box(node, *place(node.key), own=node.key == graph.of) for node in graph.nodes]
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="lineage" font-size="12" font-family="inherit">{"".join(parts)}</svg>'
    )


def _box(node: LineageNode, x: float, y: float, *, own: bool) -> str:
    colour = COLOURS.get(node.kind, "#999999")
    label = cut(node.label, LETTERS)
    made = [f"{WORDS.get(node.kind, node.kind)} {node.label}" if node.count == 1 else node.label]
    made += [node.ref] if node.ref != node.label and node.count == 1 else []
    made += [clock(node.when_ms)] if node.when_ms else []
    made += [node.told] if node.told else []
    behind = f'<rect x="{x + 4:.0f}" y="{y + 4:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{colour}" fill-opacity=".12" stroke="{colour}" stroke-opacity=".6"></rect>'
    return (
        f"<g><title>{escape(chr(10).join(made))}</title>{behind if node.count > 1 else ''}"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{colour}" '
        f'fill-opacity="{".34" if own else ".16"}" stroke="{colour}" stroke-width="{2.4 if own else 1.2}"></rect>'
        f'<text x="{x + 9:.0f}" y="{y + HEIGHT / 2 + 4:.0f}" fill="{colour}">{MARKS.get(node.kind, "•")}</text>'
        f'<text x="{x + 26:.0f}" y="{y + HEIGHT / 2 + 4:.0f}" fill="currentColor"'
        f"{' font-weight=' + chr(34) + '600' + chr(34) if own else ''}>{escape(label)}</text></g>"
    )


def _placed(graph: Lineage) -> list[list[LineageNode]]:
    """The columns of the picture; in each, nodes stand near the middle of their neighbours, so that few lines cross."""
    layers = graph.layers()
    columns: list[list[LineageNode]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for node in {node.key: node for node in graph.nodes}.values():
        columns[layers[node.key]].append(node)
    near: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        if edge.source in layers and edge.target in layers:
            near[edge.source].append(edge.target)
            near[edge.target].append(edge.source)
    for column in columns:
        column.sort(key=lambda node: (node.when_ms, node.label))
    at = {node.key: row - len(nodes) / 2 for nodes in columns for row, node in enumerate(nodes)}
    for turn in range(6):
        for column in columns if turn % 2 == 0 else columns[::-1]:
            column.sort(key=lambda node: _middle(node.key, near[node.key], layers, at))
            at |= {node.key: row - len(column) / 2 for row, node in enumerate(column)}
    return columns


def _middle(key: str, near: list[str], layers: dict[str, int], at: dict[str, float]) -> float:
    """Where a node's neighbours in other columns stand on average; its own place where it has none."""
    places = [at[other] for other in near if layers[other] != layers[key]]
    return sum(places) / len(places) if places else at[key]
