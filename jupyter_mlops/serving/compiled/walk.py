"""Walk: large forests, laid out for one row's way through every tree and walked by machine code that LLVM makes of ``walk.ll``.

ONNX Runtime keeps some 300 bytes a node. A forest of full-grown trees then fits no cache, and a row costs a memory access at
nearly every node. Here a node is 16 bytes, and the one that a comparison leads to on its left is the next. llvmlite alone is
ready in a few hundredths of a second; numba, which brings it along, takes more than one to load a function it has compiled.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from .trees import LESS, Forest, Tree

__all__ = ["Walk", "lay_out", "walkable"]

Array = np.ndarray[Any, Any]

LARGE = 50_000
"""Nodes from which on a forest is walked: below, ONNX Runtime's copy stays in a core's cache."""

NODE = np.dtype([("split", "f8"), ("feature", "i4"), ("right", "i4")])
"""Of a leaf `split` is its value, `feature` below 0 and `right` its target."""

MISSING_LEFT = 1 << 30  # added to the feature's number
MOST_NODES = 2**31 - 1
LLVM = (0, 45)  # the llvmlite from which on LLVM reads pointers without a type
SIGNATURE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, ctypes.c_int64, ctypes.c_void_p, *[ctypes.c_int64] * 2, ctypes.c_void_p, ctypes.c_int64)  # fmt: skip


def walkable(forest: Forest) -> bool:
    """Whether a forest is large enough to be walked, and LLVM is there to compile that."""
    if not LARGE <= forest.nodes <= MOST_NODES:
        return False
    try:
        version = metadata.version("llvmlite")
    except metadata.PackageNotFoundError:
        return False
    return tuple(int(part) for part in version.split(".")[:2]) >= LLVM


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
        self._where = (self._nodes.ctypes.data, self._roots.ctypes.data, len(self._roots))
        _, self._walk = _compiled()

    def sums(self, features: Array) -> Array:
        """What the leaves add up to: rows x targets, float64; trees in their order, as the library adds them."""
        rows = np.ascontiguousarray(features, dtype=np.float64)
        found = np.zeros((len(rows), self.targets))
        self._walk(*self._where, rows.ctypes.data, *rows.shape, found.ctypes.data, self.targets)
        return found


@cache
def _compiled() -> tuple[Any, Any]:
    """What owns the machine code of ``walk.ll``, and its function, which lets other threads run."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(Path(__file__).with_name("walk.ll").read_text())
    module.verify()
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine(opt=3))
    engine.finalize_object()
    return engine, SIGNATURE(engine.get_function_address("walk"))
