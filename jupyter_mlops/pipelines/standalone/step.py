"""Runs one step of the pipeline beside this file, in a process of its own.

    python step.py NAME --inputs DIR --outputs DIR [--set NAME=VALUE] [--allow-pickle]
    python step.py --list

The values it needs are read from what earlier steps have left: DIR is such a folder, or one that holds theirs by name;
the option may be given several times. What it gives is written to the folder of `--outputs`, `values.json` last. A value
that cannot be written, as an open file or a generator, is made anew by whoever needs it: the step that gives it is run
once more there. Needs nothing but the pipeline's own requirements.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .passing import MANIFEST, SCHEMA, CannotPass, Reader, Writer, file_hash, read_manifest
from .passing_objects import random_states, restore_random_states

__all__ = ["Failed", "find_outputs", "main", "metrics_of", "open_step", "parameters", "run_step"]

HERE = Path(__file__).resolve().parent
FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
MADE_BY_TOOLS = frozenset({"__pycache__", ".ipynb_checkpoints"})
"""What comes to be in a folder by running code, and says nothing of what was read."""


class Failed(Exception):
    """A step that cannot be run, and why."""


def main(words: list[str] | None = None) -> int:
    """Run one step as the command line says; 0 if it has given what it should."""
    parser = argparse.ArgumentParser(description="Run one step of the pipeline.")
    parser.add_argument("name", nargs="?", default="", help="the step")
    parser.add_argument("--list", action="store_true", help="tell what steps there are")
    parser.add_argument(
        "--inputs", type=Path, action="append", default=[], metavar="DIR", help="what earlier steps gave"
    )
    parser.add_argument("--outputs", type=Path, metavar="DIR", help="where to write what it gives")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter")
    parser.add_argument("--allow-pickle", action="store_true", help="pickle what has no format of its own")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="the folder to run in; by default the notebook's")
    parser.add_argument("--lifeline", type=int, default=-1, metavar="FD", help="end when nobody holds this pipe open")
    given = parser.parse_args(words)
    description = json.loads((HERE / "pipeline.json").read_text(encoding="utf-8"))
    if given.list:
        for node in description["graph"]:
            print(node["name"], *(f"<- {other}" for other in node["after"]))
        return 0
    seed = description.get("hash_seed", "")
    if seed and os.environ.get("PYTHONHASHSEED") != seed:  # the order of sets of texts depends on it
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": seed})  # noqa: S606 this very program
    if given.lifeline >= 0:
        threading.Thread(target=_end_with, args=(given.lifeline,), daemon=True).start()
    try:
        node = find_node(description, given.name)
        if given.outputs is None:
            raise Failed("no folder to write to: `--outputs DIR`")
        inputs = [path.expanduser().absolute() for path in given.inputs]
        outputs = given.outputs.expanduser().absolute()
        set_parameters = parameters(description, given.set)
        folder = given.folder or HERE / description["runs_in"]
        if folder.is_dir():
            os.chdir(folder)
        for path in (str(Path.cwd()), str(HERE)):
            if path not in sys.path:
                sys.path.append(path)
        os.environ.setdefault("MPLBACKEND", "Agg")
        notes = run_step(description, node, inputs, outputs, set_parameters, allow_pickle=given.allow_pickle)
    except Failed as error:
        print(f"step {given.name or '?'}: {error}", file=sys.stderr)
        return 2
    for note in notes:
        print(f"{given.name}: {note}")
    return 0


def _end_with(lifeline: int) -> None:
    """End, with every process of this step, when the other end of a pipe is closed, as it is when the runner is gone."""
    os.set_inheritable(lifeline, False)
    while os.read(lifeline, 1):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def find_node(description: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The step of this name, as the graph tells it."""
    for node in description["graph"]:
        if node["name"] == name:
            return dict(node)
    known = ", ".join(node["name"] for node in description["graph"])
    raise Failed(f"there is no step {name!r}; there are {known}" if name else f"name a step: {known}")


def parameters(description: Mapping[str, Any], given: list[str]) -> dict[str, Any]:
    """The parameters' values: their defaults, and what was set, read as the default's type."""
    known = {p["name"]: p for p in description["parameters"]}
    values = {name: p["default"] for name, p in known.items()}
    for text in given:
        name, equals, value = text.partition("=")
        name = next((n for n in known if n.lower().strip("_").replace("_", "-") == name.lower().strip("_").replace("_", "-")), name)  # fmt: skip
        if not equals or name not in known:
            raise Failed(
                f"no parameter {text!r}; there are {', '.join(f'{n}={v!r}' for n, v in values.items()) or 'none'}"
            )
        kind = known[name]["type"]
        try:
            values[name] = _read(kind, value)
        except (ValueError, KeyError):
            raise Failed(f"{name} takes a value of type {kind}, not {value!r}") from None
    return values


def _read(kind: str, text: str) -> Any:
    if kind == "bool":
        return FLAGS[text.lower()]
    return int(text) if kind == "int" else float(text) if kind == "float" else text


def run_step(
    description: Mapping[str, Any],
    node: Mapping[str, Any],
    inputs: list[Path],
    outputs: Path,
    given: Mapping[str, Any],
    *,
    allow_pickle: bool = False,
) -> list[str]:
    """Run a step, in the current folder, and write what it gives; returns what is worth saying."""
    if outputs.exists() and any(outputs.iterdir()) and not (outputs / MANIFEST).exists():
        raise Failed(f"{outputs} holds something else")
    seen = FilesSeen(Path.cwd(), [HERE, outputs, *inputs])
    with seen.watching():
        module = importlib.import_module("pipeline")
        work = _Work(description, module, inputs, given, allow_pickle=allow_pickle)
        taken = work.inputs(node)
        work.settings(node)
        work.restore(node)
        before = random_states()
        values = work.call(node, taken)
        after = random_states()
    new = outputs.with_name(f".{outputs.name}.{os.getpid()}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        writer = Writer(new, allow_pickle=allow_pickle)
        notes = list(work.notes)
        for name, value in values.items():
            if not writer.add(name, value):
                notes.append(f"{name} is not passed on: it is {writer.entries[name]['why']}")
                continue
            same = next(
                (n for n, other in taken.items() if value is other and node["inputs"][n] and n not in values), ""
            )
            if same and work.hashes[same] == writer.entries[name]["hash"]:  # one object under two names stays one
                writer.entries[name]["same"] = [node["inputs"][same], same]
        _settle_unpassed(writer.entries, node, given, work.hashes)
        state = Writer(new)
        state.add("random", after)
        drew = any(str(before[name]) != str(after[name]) for name in before)
        if drew and not node["random"]:
            notes.append("it drew from the global random generators though its text does not tell: set a seed in it")
        told = {
            "schema": SCHEMA,
            "step": node["name"],
            "values": writer.entries,
            "random": state.entries["random"] if node["random"] else None,
            "metrics": metrics_of({n: v for n, v in values.items() if n in description["results"]}),
            "files_read": seen.read(),
            "files_written": seen.written(),
        }
        (new / MANIFEST).write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")
        _put_in_place(new, outputs)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return notes


def open_step(name: str, inputs: list[str], *, folder: str = "", given: list[str] | None = None) -> dict[str, Any]:
    """What a step needs, read as it would be for its run, in the folder it runs in, with the random generators set.

    Parameters
    ----------
    inputs
        What earlier steps have left.
    given
        Parameters that are set, ``NAME=VALUE``.
    """
    description = json.loads((HERE / "pipeline.json").read_text(encoding="utf-8"))
    node = find_node(description, name)
    if folder:
        os.chdir(folder)
    module = importlib.import_module("pipeline")
    work = _Work(description, module, list(map(Path, inputs)), parameters(description, given or []), allow_pickle=False)
    taken = work.inputs(node)
    work.settings(node)
    work.restore(node)
    for note in work.notes:
        print(note)
    return taken


def _settle_unpassed(
    entries: dict[str, dict[str, Any]], node: Mapping[str, Any], given: Mapping[str, Any], hashes: Mapping[str, str]
) -> None:
    """Give what was not written a hash by what it is made from."""
    taken = {name: str(given.get(name)) for name, step in node["inputs"].items() if not step}
    made_from = json.dumps([node["name"], taken, dict(hashes)], sort_keys=True)
    for name, entry in entries.items():
        if not entry["hash"]:
            entry["hash"] = hashlib.sha256(f"{made_from} {name}".encode()).hexdigest()


def _put_in_place(new: Path, outputs: Path) -> None:
    """Move what was written to where it belongs, what makes it count last."""
    if not outputs.exists():
        new.rename(outputs)
        return
    (outputs / MANIFEST).unlink(missing_ok=True)
    for old in outputs.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for path in sorted(new.iterdir(), key=lambda p: p.name == MANIFEST):
        path.rename(outputs / path.name)


class _Work:
    """Reads what a step needs, and calls it."""

    def __init__(
        self,
        description: Mapping[str, Any],
        module: Any,
        folders: list[Path],
        given: Mapping[str, Any],
        *,
        allow_pickle: bool,
    ) -> None:
        self.description = description
        self.module = module
        self.folders = folders
        self.given = given
        self.allow_pickle = allow_pickle
        self.notes: list[str] = []
        self.hashes: dict[str, str] = {}
        self._readers: dict[str, tuple[dict[str, Any], Reader]] = {}
        self._made: dict[str, dict[str, Any]] = {}

    def inputs(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """What a step needs, by name."""
        taken = {}
        for name, producer in node["inputs"].items():
            taken[name] = self.value(node["name"], producer, name) if producer else self.given[name]
            if producer:
                self.hashes[name] = self.reader(node["name"], producer)[0]["values"][name]["hash"]
        return taken

    def value(self, reader: str, producer: str, name: str) -> Any:
        """A value that a step gives: read, or made anew."""
        manifest, values = self.reader(reader, producer)
        entry = manifest["values"].get(name)
        if entry is None:
            raise Failed(f"{producer} has given no {name!r}")
        if "same" in entry:
            return self.value(reader, *entry["same"])
        try:
            return values.value(name)
        except CannotPass as cause:
            if "node" in entry:
                raise Failed(f"{name} of {producer} cannot be read: it is {cause}") from cause
            self.notes.append(f"{name} is {cause}: {producer} is run again here to make it")
            return self._remade(producer)[name]
        except ImportError as error:
            raise Failed(f"{name} of {producer} cannot be read: {error}") from error

    def _remade(self, producer: str) -> dict[str, Any]:
        if producer not in self._made:
            node = find_node(self.description, producer)
            again = _Work(self.description, self.module, self.folders, self.given, allow_pickle=self.allow_pickle)
            taken = again.inputs(node)  # read apart, as the step may change them
            again.settings(node)
            again.restore(node)
            self._made[producer] = again.call(node, taken)
        return self._made[producer]

    def reader(self, asked_by: str, producer: str) -> tuple[dict[str, Any], Reader]:
        """What a step has left."""
        if producer not in self._readers:
            place = find_outputs(self.folders, producer)
            if place is None:
                told = ", ".join(map(str, self.folders)) or "no folder was given"
                raise Failed(f"{asked_by} needs what {producer} gives, and that is not in {told}: run {producer} first")
            try:
                manifest = read_manifest(place)
            except CannotPass as error:
                raise Failed(str(error)) from error
            self._readers[producer] = (manifest, Reader(place, manifest["values"], allow_pickle=self.allow_pickle))
        return self._readers[producer]

    def settings(self, node: Mapping[str, Any]) -> None:
        """Carry out what earlier steps have set for the whole process."""
        for text in node.get("settings", ()):
            exec(compile(text, "<settings of earlier steps>", "exec"), vars(self.module))  # noqa: S102 the pipeline's own statements

    def restore(self, node: Mapping[str, Any]) -> None:
        """Put the random generators where the last step that drew has left them."""
        before = node["random_from"]
        if not before:
            return
        place = find_outputs(self.folders, before)
        state = self.reader(node["name"], before)[0]["random"]
        if place is None or state is None:
            raise Failed(f"{before} has left no state of the random generators")
        restore_random_states(Reader(place, {"random": state}).value("random"))

    def call(self, node: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
        """Call the step's function; gives its outputs by name."""
        if self.description["form"] == "shared":
            returned = getattr(self.module, self.description["entry"])()
            return {name: returned[name] for name in node["outputs"] if returned.get(name) is not None}
        function = getattr(self.module, node["name"])
        returned = function(**taken)
        names = list(node["outputs"])
        values = (returned,) if len(names) == 1 else (returned or ())
        return dict(zip(names, values, strict=True))


def find_outputs(folders: list[Path], step: str) -> Path | None:
    """Where a step's outputs are: one of the folders, or the one of its name inside of one."""
    for folder in folders:
        if (folder / step / MANIFEST).is_file():
            return folder / step
        with contextlib.suppress(OSError, ValueError):
            if json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("step") == step:
                return folder
    return None


def metrics_of(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among results, those in dicts by ``name.key``; no tables, models or texts."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= metrics_of({f"{name}.{key}": item for key, item in value.items()})
            continue
        plain = (
            value.item()
            if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 and hasattr(value, "item")
            else value
        )
        if isinstance(plain, (int, float)) and not isinstance(plain, bool):
            found[name] = plain
    return found


class FilesSeen:
    """The files that Python opens below a folder while a step runs: what it has read, what it has written.

    Files that only a library in C opens are not seen; of those the graph knows what the step's text names.
    """

    def __init__(self, folder: Path, besides: list[Path]) -> None:
        self.folder = folder
        self._besides = [f"{path}{os.sep}" for path in besides if path != folder and not folder.is_relative_to(path)]
        self._read: dict[str, None] = {}
        self._written: dict[str, None] = {}
        self._on = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look on; what happens afterwards is not noted."""
        self._on = True
        sys.addaudithook(self._hook)
        try:
            yield
        finally:
            self._on = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or event not in ("open", "sqlite3.connect", "os.listdir", "os.scandir"):
            return
        given = arguments[0] if arguments else None
        if not isinstance(given, (str, os.PathLike)):
            return
        path = os.path.abspath(os.fspath(given))  # noqa: PTH100 a hook must be quick
        if not isinstance(path, str) or not path.startswith(f"{self.folder}{os.sep}") or self._is_ours(path):
            return
        mode = arguments[1] if event == "open" and len(arguments) > 1 else "r"
        flags = arguments[2] if event == "open" and len(arguments) > 2 else 0
        writes = any(c in mode for c in "wax+") if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))
        (self._written if writes else self._read).setdefault(os.path.relpath(path, self.folder))

    def _is_ours(self, path: str) -> bool:
        hidden = any(part in path for part in ("__pycache__", "/site-packages/", "/.venv/", "/.mlops/", "/.cache/"))
        beside = any(f"{path}{os.sep}".startswith(other) for other in self._besides)
        return hidden or beside or path.endswith((".pyc", ".so"))

    def read(self) -> dict[str, str]:
        """What was read and not written, with the hash of each; a folder's is that of its names."""
        return self._hashed([path for path in self._read if path not in self._written])

    def written(self) -> dict[str, str]:
        """What was written, with the hash of each as it is now."""
        return self._hashed(self._written)

    def _hashed(self, paths: Any) -> dict[str, str]:
        return {path: told for path in sorted(paths) if (told := content_hash(self.folder / path))}


def content_hash(path: Path) -> str:
    """SHA-256 of a file, or of a folder's names; empty where there is neither."""
    if path.is_dir():
        names = sorted(p.name for p in path.iterdir() if p.name not in MADE_BY_TOOLS)
        return hashlib.sha256("\0".join(names).encode()).hexdigest()
    return file_hash(path) if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
