"""Outside: what code does to files and to the global random generators, by which statements depend on each other unseen."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from .known_calls import DRAWS, DRAWS_ALONE, RANDOM_CALLS, READS_FILE, SEEDS, WRITES_FILE, WRITES_NAMED

__all__ = ["ANY_FILE", "GENERATORS", "Outside", "depends_on_file", "generators_seeded"]

ANY_FILE = "*"
GENERATORS = ("random", "numpy")
NAMES_FILE = ("file", "filename", "fname", "out_file", "path", "path_or_buf", "buf")


@dataclass
class Outside:
    """What a piece of code does to the world outside its variables.

    Parameters
    ----------
    files_read, files_written
        By the texts they are called by; `ANY_FILE` where that is worked out by the code.
    files_appended
        Of those written the ones that keep what they had: what comes of it depends on that.
    saves
        It writes a file, wherever: the folder must be there.
    makes_folder
        It makes a folder.
    draws
        It may draw from the global random generators.
    unseeded
        The calls that give other results each time unless a seed is set.
    """

    files_read: set[str] = field(default_factory=set)
    files_written: set[str] = field(default_factory=set)
    files_appended: set[str] = field(default_factory=set)
    saves: bool = False
    makes_folder: bool = False
    seeds: bool = False
    seeded: set[str] = field(default_factory=set)
    """Which generators a seed is set of: ``random``, ``numpy``."""
    draws: bool = False
    unseeded: list[str] = field(default_factory=list)

    def add(self, other: Outside) -> None:
        """Take in what a called function does."""
        self.files_read |= other.files_read
        self.files_written |= other.files_written
        self.files_appended |= other.files_appended
        self.saves = self.saves or other.saves
        self.makes_folder = self.makes_folder or other.makes_folder
        self.seeds = self.seeds or other.seeds
        self.seeded |= other.seeded
        self.draws = self.draws or other.draws
        self.unseeded += other.unseeded

    def note(self, node: ast.Call, dotted: str) -> bool:
        """Take in one call; True if it writes a file."""
        first, last = dotted.partition(".")[0], dotted.rpartition(".")[2]
        writes = self._note_files(node, first, last)
        if last == "seed" and all(map(_is_none, (*node.args, *(k.value for k in node.keywords)))):
            self.draws = True  # it takes a seed from the system, and NumPy goes on from where it stands
            return writes
        if last in SEEDS:
            self.seeds = True
            self.seeded |= generators_seeded(dotted)
            return writes
        random = ".random." in f".{dotted}"
        if last in RANDOM_CALLS or last in DRAWS or random or dotted in DRAWS_ALONE:
            fixed = any(k.arg in ("random_state", "seed") and not _is_none(k.value) for k in node.keywords)
            fixed = fixed or (last in ("default_rng", "RandomState") and bool(node.args))
            self.draws = self.draws or not (fixed or last == "default_rng")
            if not fixed and (last in RANDOM_CALLS or random):
                self.unseeded.append(last)
        return writes

    def _note_files(self, node: ast.Call, first: str, last: str) -> bool:
        named = {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
        named |= {
            k.value.value
            for k in node.keywords
            if k.arg in NAMES_FILE and isinstance(k.value, ast.Constant) and isinstance(k.value.value, str)
        }
        if last == "savefig":  # a figure whose name is worked out is hardly ever read again
            self.files_written |= named
            self.saves = True
            return True
        if last in ("to_sql", "read_sql", "read_sql_query", "read_sql_table"):
            named = set()  # which tables a query reads is not looked into
        mode = [a for a in node.args[1:2] if last == "open"] + [k.value for k in node.keywords if k.arg == "mode"]
        modes = {str(m.value) for m in mode if isinstance(m, ast.Constant)}
        writes = last in WRITES_FILE or (last == "open" and any(c in m for m in modes for c in "wax+"))
        writes = writes or (last in WRITES_NAMED and bool(named))
        if last in ("copy", "move", "rename") and first not in ("shutil", "os"):
            writes = False  # a table's copy
        if last in ("mkdir", "makedirs"):
            self.makes_folder = True
        elif writes:
            self.saves = True
        if writes:
            self.files_written |= named - modes or {ANY_FILE}
            if any(c in m for m in modes for c in "a+"):
                self.files_appended |= named - modes or {ANY_FILE}
        elif last.startswith("read_") or last in READS_FILE:
            self.files_read |= named - modes or {ANY_FILE}
        return writes


def generators_seeded(dotted: str) -> set[str]:
    """The global generators that a call sets the seed of.

    Examples
    --------
    >>> generators_seeded("np.random.seed"), generators_seeded("random.seed"), sorted(generators_seeded("set_seed"))
    ({'numpy'}, {'random'}, ['numpy', 'random'])
    """
    owner = dotted.rpartition(".")[0]
    return {"random"} if owner == "random" else {"numpy"} if owner.endswith(".random") else set(GENERATORS)


def depends_on_file(read: set[str], written: set[str]) -> bool:
    """Whether code that reads these files may need code that writes those.

    Examples
    --------
    >>> depends_on_file({"a.csv"}, {"b.csv"}), depends_on_file({"a.csv"}, {ANY_FILE})
    (False, True)
    """
    return bool(read) and bool(written) and (ANY_FILE in read | written or bool(read & written))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
