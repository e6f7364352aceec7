"""Walk: large forests, laid out for one row's way through every tree and walked by machine code that LLVM makes of ``walk.ll``.

ONNX Runtime keeps some 300 bytes a node. A forest of full-grown trees then fits no cache, and a row costs a memory access at
nearly every node. Here a node is 16 bytes, the two beneath it lie side by side, and many ways are walked abreast. llvmlite
alone is ready in a few hundredths of a second; numba, which brings it along, takes more than one to load a function it has
compiled.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
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

NODE = np.dtype([("split", "f8"), ("column", "i4"), ("first", "i4")])
"""As ``walk.ll`` reads it; of a leaf `split` is its value."""

MOST_NODES = 2**31 - 1
LLVM = (0, 45)  # the llvmlite from which on LLVM reads pointers without a type
SIGNATURE = ctypes.CFUNCTYPE(
    None,
    *[ctypes.c_void_p] * 3,
    ctypes.c_int64,
    ctypes.c_void_p,
    *[ctypes.c_int64] * 2,
    ctypes.c_bool,
    ctypes.c_void_p,
    ctypes.c_int64,
)


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
        parts.append(_laid(tree, at, forest))
        roots.append(at)
        at += len(tree.left)
    starts, targets = (np.asarray(of, dtype=np.int64) for of in (roots, [tree.target for tree in forest.trees]))
    return msgspec.msgpack.encode(
        {
            "features": forest.features,
            "targets": forest.targets,
            "roots": starts.tobytes(),
            "target": targets.tobytes(),
            "nodes": np.concatenate(parts).tobytes(),
        }
    )


def _laid(tree: Tree, at: int, forest: Forest) -> Array:
    """A tree's nodes from place `at` on: the root, then the two beneath each inner node, in the inner nodes' order.

    The second of two is taken where a cell is at least `split`, so never for a missing value. Where that goes to the right,
    the right one is the first, and the feature's negative is compared.
    """
    count, features = len(tree.left), forest.features
    inner = np.flatnonzero(~tree.leaf)
    missing_left = tree.missing_left[inner]
    pair = 1 + 2 * np.arange(len(inner))
    place = np.zeros(count, dtype=np.int64)
    place[tree.left[inner]] = pair + ~missing_left
    place[tree.right[inner]] = pair + missing_left
    most = tree.split[inner]  # what still goes to the left
    if forest.mode == LESS:
        most = np.nextafter(most, -np.inf)
    above = np.nextafter(most, np.inf)
    above[np.isposinf(most)] = np.nan  # above it there is nothing
    nodes = np.empty(count, dtype=NODE)
    nodes["split"][place] = tree.value
    nodes["column"] = 2 * features
    nodes["first"] = np.arange(at, at + count)
    inside = place[inner]
    nodes["split"][inside] = np.where(missing_left, above, -most)
    nodes["column"][inside] = tree.feature[inner] + features * ~missing_left
    nodes["first"][inside] = at + pair
    return nodes


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
        self._cells = 2 * int(told["features"]) + 1  # that hold no sum
        self._width = self._cells + int(told["targets"])
        self._roots = np.frombuffer(told["roots"], dtype=np.int64)
        self._sums = np.frombuffer(told["target"], dtype=np.int64) + self._cells
        self._nodes = np.frombuffer(_on_large_pages(told["nodes"]), dtype=NODE)
        self._where = (self._nodes.ctypes.data, self._roots.ctypes.data, self._sums.ctypes.data, len(self._roots))
        _, self._walk = _compiled()

    def sums(self, features: Array, *, single: bool = False) -> Array:
        """What the leaves add up to: rows x targets, float64; trees in their order, as the library adds them.

        Parameters
        ----------
        single
            Whether features are rounded to float32 first.
        """
        if features.dtype != np.float64 or not features.flags.c_contiguous:
            features = np.ascontiguousarray(features, dtype=np.float64)
        rows = np.empty((len(features), self._width))
        self._walk(*self._where, features.ctypes.data, *features.shape, single, rows.ctypes.data, self._width)
        return rows[:, self._cells :]


def _on_large_pages(held: bytes) -> mmap.mmap:
    """A copy on pages of 2 MB where the system has such: on those of 4 kB a row's way touches another at nearly every node."""
    memory = mmap.mmap(-1, len(held), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    memory[:] = held
    return memory


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
