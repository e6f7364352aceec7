"""Entropy: what NumPy takes from the system as seeds while a cell runs, and whether anything comes of it."""

from __future__ import annotations

import ast
import itertools
import linecache
import sys
import traceback
from types import CodeType, FrameType
from typing import Any

__all__ = ["Entropy"]

MOST_SEEDS = 10_000
"""What NumPy takes from the system in one cell is kept up to so many times."""


class Entropy:
    """Notes what NumPy takes from the system as seeds while a cell runs.

    ``RandomState(4)`` takes some, too, and throws it away: a cell in which nothing else took any has taken none.
    """

    def __init__(self) -> None:
        self._taken: list[int] = []
        self._used = False
        self._module: Any = None
        self._original: Any = None
        self._seeds: dict[tuple[CodeType, int], CodeType | None] = {}

    def begin(self) -> None:
        """Note it from here on."""
        self.end()
        module = sys.modules.get("numpy.random.bit_generator")
        original = getattr(module, "randbits", None)
        if original is not None:
            self._module, self._original = module, original
            self._module.randbits = self._randbits

    def end(self) -> tuple[int, ...]:
        """Note no more; gives what was taken, where something came of it."""
        taken, self._taken = tuple(self._taken) if self._used else (), []
        self._used = False
        if self._module is not None and self._module.randbits == self._randbits:
            self._module.randbits = self._original
        self._module = None
        return taken

    def _randbits(self, bits: int) -> int:
        value = int(self._original(bits))
        if len(self._taken) < MOST_SEEDS and not _is_import():
            self._taken.append(value)
            self._used = self._used or not self._is_seeded(sys._getframe(1))  # noqa: SLF001 who asked NumPy
        return value

    def _is_seeded(self, frame: FrameType) -> bool:
        """Whether it is a ``RandomState`` with a seed that a line of Python makes: NumPy's own lines have no frames."""
        place = frame.f_code, frame.f_lasti
        if place not in self._seeds:
            self._seeds[place] = _seed_given(*place)
        seed = self._seeds[place]
        try:
            return seed is not None and eval(seed, frame.f_globals, frame.f_locals) is not None  # noqa: S307 a plain name
        except Exception:  # an attribute that does not like to be asked
            return False


def _seed_given(code: CodeType, at: int) -> CodeType | None:
    """The expression of the seed with which a call makes a ``RandomState``; None where it is another call, or no plain name."""
    first, last, begin, end = next(itertools.islice(code.co_positions(), at // 2, None), (None,) * 4)
    if first is None or last is None or begin is None or end is None:
        return None
    lines = [linecache.getline(code.co_filename, n).encode() for n in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    try:
        call = ast.parse(b"".join(lines).decode(), mode="eval").body
    except (SyntaxError, UnicodeDecodeError):
        return None
    if not isinstance(call, ast.Call) or not ast.unparse(call.func).endswith("RandomState"):
        return None
    seeds = [*call.args, *(k.value for k in call.keywords if k.arg == "seed")]
    plain = all(isinstance(n, (ast.Constant, ast.Name, ast.Attribute, ast.Load)) for s in seeds for n in ast.walk(s))
    return compile(ast.Expression(seeds[0]), "<seed>", "eval") if len(seeds) == 1 and plain else None


def _is_import() -> bool:
    """Whether a module is being imported: what libraries seed for themselves is theirs."""
    return any("importlib" in frame.f_code.co_filename for frame, _ in traceback.walk_stack(None))
