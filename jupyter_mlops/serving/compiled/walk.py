"""Walk: large forests, laid out for one row's way through every tree and walked by code that numba compiles.

ONNX Runtime keeps some 300 bytes a node. A forest of full-grown trees then fits no cache, and a row costs a memory access at
nearly every node. Here a node is 16 bytes, and the one that a comparison leads to on its left is the next.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from ...evaluation.native import native
from .trees import LESS, Forest, Tree

__all__ = ["Walk", "lay_out", "walkable"]

Array = np.ndarray[Any, Any]

LARGE = 50_000
"""Nodes from which on a forest is walked: below, ONNX Runtime's copy stays in a core's cache."""

NODE = np.dtype([("split", "f8"), ("feature", "i4"), ("right", "i4")])
"""Of a leaf `split` is its value, `feature` below 0 and `right` its target."""

MISSING_LEFT = 1 << 30  # added to the feature's number
TOGETHER = 4  # rows from which on each tree is walked by all rows before the next tree
MOST_NODES = 2**31 - 1


def walkable(forest: Forest) -> bool:
    """Whether a forest is large enough to be walked, and numba is there to compile it."""
    return LARGE <= forest.nodes <= MOST_NODES and importlib.util.find_spec("numba") is not None


def lay_out(forest: Forest) -> bytes:
    """A forest as `Walk` reads it."""
    parts, roots, at = [], [], 0
    for tree in forest.trees:
        parts.append(_laid(tree, at, forest.mode))
        roots.append(at)
        at += len(tree.left)
    nodes, starts = np.concatenate(parts), np.asarray(roots, dtype=np.int64)
    return msgspec.msgpack.encode({"targets": forest.targets, "roots": starts.tobytes(), "nodes": nodes.tobytes()})


def _laid(tree: Tree, at: int, mode: int) -> Array:
    order = _depth_first(tree)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(at, at + len(order))
    leaf = tree.leaf
    split = np.nextafter(tree.split, -np.inf) if mode == LESS else tree.split  # below a float is at most the one before
    nodes = np.empty(len(order), dtype=NODE)
    nodes["split"] = np.where(leaf, tree.value, split)
    nodes["feature"] = np.where(leaf, -1, tree.feature + MISSING_LEFT * tree.missing_left)
    nodes["right"] = np.where(leaf, tree.target, place[np.where(leaf, 0, tree.right)])
    return nodes[order]


def _depth_first(tree: Tree) -> Array:
    """The nodes in the order in which each is followed by the one on its left."""
    inner = np.flatnonzero(~tree.leaf)
    if (tree.left[inner] == inner + 1).all():  # scikit-learn's trees stand so
        return np.arange(len(tree.left))
    left, right = tree.left.tolist(), tree.right.tolist()
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if left[node] >= 0:
            waiting += (right[node], left[node])
    return np.asarray(order)


class Walk:
    """A forest laid out, ready to add up.

    Parameters
    ----------
    laid
        What `lay_out` gave.

    Examples
    --------
    >>> forest = Forest(features=1, targets=1)
    >>> forest.add([1, -1, -1], [2, -1, -1], [0, 0, 0], [0.5, 0, 0], [True, 0, 0], [0, 10.0, 20.0], 0)
    >>> Walk(lay_out(forest)).sums(np.array([[0.5], [0.6], [np.nan]])).ravel()
    array([10., 20., 10.])
    """

    def __init__(self, laid: bytes) -> None:
        told = msgspec.msgpack.decode(laid)
        self.targets = int(told["targets"])
        self._roots = np.frombuffer(told["roots"], dtype=np.int64)
        self._nodes = np.frombuffer(told["nodes"], dtype=NODE)
        self._walk = _compiled()
        self._walk(self._nodes, self._roots, np.empty((0, 1)), np.empty((0, 1)))  # compiled now, and not at a request

    def sums(self, features: Array) -> Array:
        """What the leaves add up to: rows x targets, float64; trees in their order, as the library adds them."""
        found = np.zeros((len(features), self.targets))
        self._walk(self._nodes, self._roots, np.ascontiguousarray(features, dtype=np.float64), found)
        return found


@lru_cache(maxsize=1)
def _compiled() -> Callable[[Array, Array, Array, Array], None]:
    return native(_walk)


def _walk(nodes: Array, roots: Array, rows: Array, found: Array) -> None:
    """Add every tree's leaf for every row; few rows one after the other, many together tree by tree."""
    alone = len(rows) < TOGETHER
    outer, inner = (len(rows), len(roots)) if alone else (len(roots), len(rows))
    for a in range(outer):
        for b in range(inner):
            row, at = (a, roots[b]) if alone else (b, roots[a])
            feature = nodes[at].feature
            while feature >= 0:
                value = rows[row, feature & (MISSING_LEFT - 1)]
                left = value <= nodes[at].split or (feature >= MISSING_LEFT and value != value)  # noqa: PLR0124 NaN is not
                at = at + 1 if left else nodes[at].right
                feature = nodes[at].feature
            found[row, nodes[at].right] += nodes[at].split
