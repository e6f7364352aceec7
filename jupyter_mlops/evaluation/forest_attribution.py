"""SHAP values of scikit-learn's trees and forests, exact and path-dependent, in time that grows with the nodes.

The game of one leaf is a product over the columns of its path: a column that is known counts 1 or 0 (the row goes that
way or not), a column that is not known counts the share r of the training rows that went that way. The Shapley value of
such a product is an integral, phi_f = v (o_f - r_f) int_0^1 prod_{j != f} (t o_j + (1 - t) r_j) dt, whose integrand is a
polynomial of a degree below the number of columns on the path: Gauss's rule with half as many points gives it exactly.
The product is carried down the tree at those points and the leaves' sums are carried up, for many rows at once (the idea
of Yu et al. 2022, "Linear TreeSHAP", with points on the unit interval, where nothing cancels).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .native import native

__all__ = ["ForestExplainer"]

Array = np.ndarray[Any, Any]

BLOCK = 256  # rows carried through a tree together: what one level holds stays in the processor's cache


@dataclass(frozen=True)
class Tree:
    """One tree as arrays, with the value of the explained output at each node."""

    left: Array
    right: Array
    column: Array
    threshold: Array
    missing_left: Array
    cover: Array
    value: Array
    depth: int
    points: Array
    weights: Array


class ForestExplainer:
    """Exact path-dependent SHAP values (Lundberg et al. 2020) of a scikit-learn decision tree, random forest or extra trees.

    Parameters
    ----------
    forest
        The fitted model.
    at
        The class, as a position among the model's, whose probability is explained; -1 for a number.

    Raises
    ------
    TypeError
        The model is of another kind, or its trees hold what the formula does not cover.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> x = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    >>> tree = DecisionTreeRegressor().fit(x, [0.0, 1.0, 2.0, 3.0])
    >>> explainer = ForestExplainer(tree, -1)
    >>> explainer.shap_values(x[:1]).round(9).tolist(), explainer.expected_value
    ([[-0.5, -1.0]], 1.5)
    """

    def __init__(self, forest: Any, at: int) -> None:
        from sklearn.ensemble import (
            ExtraTreesClassifier,
            ExtraTreesRegressor,
            RandomForestClassifier,
            RandomForestRegressor,
        )
        from sklearn.tree import BaseDecisionTree

        forests = (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor)
        if not isinstance(forest, (*forests, BaseDecisionTree)) or forest.n_outputs_ != 1:
            raise TypeError(f"{type(forest).__name__} is no forest of one output")
        members = [forest] if isinstance(forest, BaseDecisionTree) else forest.estimators_
        self.width = int(forest.n_features_in_)
        self.trees = [_tree(member.tree_, max(at, 0)) for member in members]
        self.expected_value = float(np.mean([tree.value[0] for tree in self.trees]))

    def shap_values(self, rows: Array) -> Array:
        """The contributions of each column to the output of each row: (rows, columns)."""
        # single precision is what the trees themselves compare
        known = np.ascontiguousarray(np.asarray(rows, dtype=np.float32).T.astype(np.float64))
        workers = min(_processors(), len(self.trees))
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(lambda first: self._of(self.trees[first::workers], known), range(workers)))
        return np.asarray(np.sum(parts, axis=0).T / len(self.trees))

    @staticmethod
    def _of(trees: list[Tree], known: Array) -> Array:
        prepare, walk = _compiled()
        holes = np.isnan(known).any(axis=1)
        found = np.zeros(known.shape)
        for t in trees:
            before, factors = prepare(t.left, t.right, t.column, t.cover, t.value, t.depth, t.points, t.weights)
            sides = (t.left, t.right, t.column, t.threshold, t.missing_left)
            walk(*sides, before, factors, t.depth, known, holes, BLOCK, found)
        return found


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _tree(tree: Any, at: int) -> Tree:
    # contiguous, all of them: numba compiles anew for arrays of another layout
    cover = np.ascontiguousarray(tree.weighted_n_node_samples, dtype=np.float64)
    if not (cover > 0).all():
        raise TypeError("a node without training rows")
    left, right = (np.ascontiguousarray(side, dtype=np.int64) for side in (tree.children_left, tree.children_right))
    column = np.ascontiguousarray(tree.feature, dtype=np.int64)
    value = np.ascontiguousarray(tree.value[:, 0, at], dtype=np.float64)
    inner, leaves = left >= 0, left < 0
    value[0] = cover[leaves] @ value[leaves] / cover[leaves].sum()  # the tree's own may be a median
    degree = min(tree.max_depth, len(np.unique(column[inner])))
    points, weights = np.polynomial.legendre.leggauss(max(1, (degree + 1) // 2))
    missing = getattr(tree, "missing_go_to_left", np.zeros(len(left), dtype=np.uint8))
    return Tree(
        left,
        right,
        column,
        np.ascontiguousarray(tree.threshold, dtype=np.float64),
        np.ascontiguousarray(missing, dtype=np.bool_),
        cover,
        value,
        int(tree.max_depth),
        (points + 1) / 2,
        weights / 2,
    )


@lru_cache(maxsize=1)
def _compiled() -> tuple[Callable[..., tuple[Array, Array]], Callable[..., None]]:
    settings = {"fastmath": {"contract"}}
    return native(_edges, **settings), native(_walk, **settings)


def _edges(
    left: Array,
    right: Array,
    column: Array,
    cover: Array,
    value: Array,
    depth: int,
    points: Array,
    weights: Array,
) -> tuple[Array, Array]:
    """For each edge, named by the node it leads to: the level of the last edge above it of its column, and its factors.

    Level 0, where nothing is known, if there is none. A row is one of three kinds on an edge: it goes along, it leaves the
    path here, or it left before by the same column. The first three factors swap the last edge's factor of the product for
    this one's; the other two give the contribution, less that of the last edge, of a row that goes along or leaves here (who
    left before adds nothing). On the edge to a leaf they hold the leaf's value and product besides.
    """
    nodes, many = len(left), len(points)
    before = np.zeros(nodes, dtype=np.int64)
    factors = np.empty((nodes, many, 5))
    share = np.empty(depth + 1)
    of = np.full(depth + 1, -1, dtype=np.int64)
    node = np.zeros(depth + 1, dtype=np.int64)
    sides = np.zeros(depth + 1, dtype=np.int64)
    share[0] = 1.0
    at = 0
    while at >= 0:
        here = node[at]
        if left[here] < 0 or sides[at] == 2:
            at -= 1
            continue
        child = left[here] if sides[at] == 0 else right[here]
        sides[at] += 1
        last = 0
        for level in range(at, 0, -1):
            if of[level] == column[here]:
                last = level
                break
        at += 1
        of[at], before[child], node[at], sides[at] = column[here], last, child, 0
        known = share[last]
        share[at] = known * (cover[child] / (cover[left[here]] + cover[right[here]]))
        amount = value[child] if left[child] < 0 else 1.0
        for k in range(many):
            t = points[k]
            new, old = t + (1 - t) * share[at], t + (1 - t) * known
            stays, leaves, left_before = new / old, (1 - t) * share[at] / old, share[at] / known
            taken = (1 - known) / old
            both, left_here = weights[k] * ((1 - share[at]) / new - taken), weights[k] * (-1 / (1 - t) - taken)
            if left[child] < 0:
                both, left_here = both * amount * stays, left_here * amount * leaves
            factors[child, k, 0] = amount * stays
            factors[child, k, 1] = amount * leaves
            factors[child, k, 2] = amount * left_before
            factors[child, k, 3] = both
            factors[child, k, 4] = left_here
    return before, factors


def _walk(  # noqa: PLR0915 one loop, that numba compiles as one
    left: Array,
    right: Array,
    column: Array,
    threshold: Array,
    missing_left: Array,
    before: Array,
    factors: Array,
    depth: int,
    known: Array,
    holes: Array,
    block: int,
    found: Array,
) -> None:
    """Add one tree's contributions to `found` (columns, rows): products down and sums of leaves up, depth first, by blocks."""
    if left[0] < 0:
        return
    many, rows = factors.shape[1], known.shape[1]
    product = np.empty((depth + 1, many, block))
    total = np.empty((depth + 1, many, block))
    along = np.empty((depth + 1, block))  # 1 where a row meets all that the path asks of the last edge's column
    node = np.zeros(depth + 1, dtype=np.int64)
    sides = np.zeros(depth + 1, dtype=np.int64)
    for start in range(0, rows, block):
        size = min(block, rows - start)
        product[0], along[0], total[0] = 1.0, 1.0, 0.0
        node[0] = sides[0] = 0
        at = 0
        while at >= 0:
            here = node[at]
            name = column[here]
            if sides[at] == 2:
                if at > 0:
                    line = found[column[node[at - 1]], start : start + size]
                    now, then = along[at], along[before[here]]
                    for k in range(many):
                        both, left_here = factors[here, k, 3], factors[here, k, 4]
                        up, below = total[at - 1, k], total[at, k]
                        for i in range(size):
                            kept = left_here if then[i] == 1.0 else 0.0
                            kept = both if now[i] == 1.0 else kept
                            line[i] += kept * below[i]
                            up[i] += below[i]
                at -= 1
                continue
            goes_left = sides[at] == 0
            child = left[here] if goes_left else right[here]
            sides[at] += 1
            now, then, row = along[at + 1], along[before[child]], known[name, start : start + size]
            edge = threshold[here]
            if holes[name]:
                lost = 1.0 if missing_left[here] == goes_left else 0.0
                for i in range(size):
                    number = row[i]
                    goes = lost if np.isnan(number) else (1.0 if (number <= edge) == goes_left else 0.0)
                    now[i] = goes * then[i]
            elif goes_left:
                for i in range(size):
                    now[i] = then[i] if row[i] <= edge else 0.0
            else:
                for i in range(size):
                    now[i] = then[i] if row[i] > edge else 0.0
            if left[child] < 0:
                line = found[name, start : start + size]
                for k in range(many):
                    stays, leaves, left_before = factors[child, k, 0], factors[child, k, 1], factors[child, k, 2]
                    both, left_here = factors[child, k, 3], factors[child, k, 4]
                    above, up = product[at, k], total[at, k]
                    for i in range(size):
                        factor = leaves if then[i] == 1.0 else left_before
                        factor = stays if now[i] == 1.0 else factor
                        kept = left_here if then[i] == 1.0 else 0.0
                        kept = both if now[i] == 1.0 else kept
                        up[i] += factor * above[i]
                        line[i] += kept * above[i]
            else:
                at += 1
                node[at], sides[at] = child, 0
                for k in range(many):
                    stays, leaves, left_before = factors[child, k, 0], factors[child, k, 1], factors[child, k, 2]
                    above, below, started = product[at - 1, k], product[at, k], total[at, k]
                    for i in range(size):
                        factor = leaves if then[i] == 1.0 else left_before
                        below[i] = (stays if now[i] == 1.0 else factor) * above[i]
                        started[i] = 0.0
