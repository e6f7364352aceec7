"""Runs the pipeline beside this file on this machine, or on Dask: each step in a process of its own.

    python run.py [--set NAME=VALUE] [--jobs N] [--dask [ADDRESS]]

Steps that do not wait for each other run at the same time. What a step gave is kept by its code, its inputs, its
parameters, the files it has read and the environment: run again, only what changed is run, and after a failure or an
interruption it goes on from there. With `MLFLOW_TRACKING_URI` set a run of MLflow is made of it.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from .executors import Executor, Job, executor
from .log import facts_of, log_to_mlflow
from .passing import MANIFEST, CannotPass, read_manifest
from .step import Failed, content_hash, parameters

__all__ = ["Runner", "main"]

HERE = Path(__file__).resolve().parent
SEEN = "seen.json"
LAST = "last.json"
"""What the last run came to, for whoever opens one of its steps."""
KEPT = 5
"""How many results of a step are kept."""
POLL_SECONDS = 0.02
Event = dict[str, Any]


def main(words: list[str] | None = None) -> int:
    """Run the pipeline as the command line says; 0 if every step is done, 1 if one failed, 130 if interrupted."""
    parser = argparse.ArgumentParser(description="Run the pipeline, each step in a process of its own.")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter")
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="steps at the same time; by default one a core"
    )
    parser.add_argument(
        "--dask",
        nargs="?",
        const="local",
        default="",
        metavar="ADDRESS",
        help="run on Dask: on processes here, or the cluster at ADDRESS, which sees the same folders",
    )
    parser.add_argument("--fresh", action="store_true", help="run every step, whatever is kept")
    parser.add_argument("--allow-pickle", action="store_true", help="pickle what has no format of its own")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="the folder to run in; by default the notebook's")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where results are kept; by default .cache in that folder"
    )
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="write the metrics to this file")
    parser.add_argument("--events", action="store_true", help="print JSON, a line an event")
    given = parser.parse_args(words)
    description = json.loads((HERE / "pipeline.json").read_text(encoding="utf-8"))
    folder = (given.folder or HERE / description["runs_in"]).resolve()
    folder = folder if folder.is_dir() else HERE
    cache = (given.cache or folder / ".cache" / "mlops-steps" / HERE.name).expanduser().absolute()
    tell = _print_json if given.events else _print_line
    try:
        runner = Runner(
            description, folder, cache, parameters(description, given.set), tell=tell, fresh=given.fresh,
            allow_pickle=given.allow_pickle, given=given.set,
        )  # fmt: skip
        with executor(given.dask, given.jobs) as where:
            done = runner.run(where, given.jobs or os.cpu_count() or 1)
    except Failed as error:
        tell({"event": "error", "message": str(error)})
        return 2
    except KeyboardInterrupt:
        tell(
            {
                "event": "interrupted",
                "message": "interrupted: what is done is kept, and the next run goes on from there",
            }
        )
        return 130
    if given.metrics is not None and done:
        given.metrics.write_text(json.dumps(runner.metrics, indent=2) + "\n", encoding="utf-8")
    run = ""
    if done and not given.events:  # who asks for events logs by itself
        run = log_to_mlflow(description, runner.metrics, runner.parameters, runner.done)
    tell({"event": "end", "ok": done, "metrics": runner.metrics, "parameters": runner.parameters, "run": run})
    return 0 if done else 1


class Runner:
    """One run of the pipeline.

    Parameters
    ----------
    cache
        Where results are kept: ``STEP/KEY/``.
    parameters
        Every parameter's value.
    tell
        Is handed each event.
    """

    def __init__(
        self,
        description: Mapping[str, Any],
        folder: Path,
        cache: Path,
        parameters: Mapping[str, Any],
        *,
        given: list[str],
        tell: Callable[[Event], None],
        fresh: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        self.description = description
        self.folder = folder
        self.cache = cache
        self.parameters = parameters
        self.given = given
        self.tell = tell
        self.fresh = fresh
        self.allow_pickle = allow_pickle
        self.nodes: dict[str, dict[str, Any]] = {node["name"]: node for node in description["graph"]}
        self.places: dict[str, Path] = {}
        self.manifests: dict[str, dict[str, Any]] = {}
        self.metrics: dict[str, float] = {}
        self.done: list[dict[str, Any]] = []
        self.failed: dict[str, str] = {}
        """What failed, and why."""
        self._changed: dict[str, int] = {}
        self._code = step_code(HERE / "pipeline.py", description)
        self._environment = environment(description)

    def run(self, where: Executor, jobs: int) -> bool:
        """Run what must be run; True if every step is done."""
        self.cache.mkdir(parents=True, exist_ok=True)
        ignore = self.cache.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        waiting = dict(self.nodes)
        running: dict[str, tuple[Job, Path, Path, float]] = {}
        failed = False
        try:
            while waiting or running:
                for name in [n for n, node in waiting.items() if not failed and self._ready(node)]:
                    node, place = waiting[name], self._place(waiting[name])
                    if not self.fresh and self._kept(place):
                        del waiting[name]
                        self._finish(name, place, "cached", 0.0, [])
                    elif len(running) < jobs:
                        del waiting[name]
                        running[name] = self._start(where, node, place)
                if failed and not running:
                    break
                for name, (job, place, new, began) in list(running.items()):
                    code = job.poll()
                    if code is None:
                        continue
                    del running[name]
                    failed = not self._ended(name, code, place, new, time.monotonic() - began) or failed
                if running and not any(self._ready(node) for node in waiting.values() if len(running) < jobs):
                    time.sleep(POLL_SECONDS)
        finally:
            for job, _, new, _ in running.values():
                job.end()
                shutil.rmtree(new, ignore_errors=True)
            self._remember()
        for name in waiting:
            self.tell({"event": "step", "step": name, "state": "not run"})
        self.metrics = {
            k: v for name in self.nodes if name in self.manifests for k, v in self.manifests[name]["metrics"].items()
        }
        return not failed

    def _ready(self, node: Mapping[str, Any]) -> bool:
        return all(other in self.places for other in node["after"])

    def _place(self, node: Mapping[str, Any]) -> Path:
        """Where what this step gives is kept: a folder named by everything it depends on."""
        inputs = {}
        for name, producer in node["inputs"].items():
            value = self.manifests[producer]["values"].get(name) if producer else None
            inputs[name] = value["hash"] if value else repr(self.parameters.get(name))
        before = node["random_from"]
        told = {
            "code": self._code[node["name"]],
            "inputs": inputs,
            "random": self.manifests[before]["random"]["hash"] if before else "",
            "after": {other: self.manifests[other]["files_written"] for other in node["after"]},
            "environment": self._environment,
            "pickle": self.allow_pickle,
        }
        text = json.dumps(told, sort_keys=True, default=str)
        kept: Path = self.cache / node["name"] / hashlib.sha256(text.encode()).hexdigest()[:24]
        return kept

    def _kept(self, place: Path) -> bool:
        """Whether the result is there and the files it was made from, and those it has made, are as they were."""
        try:
            manifest = read_manifest(place)
            seen = json.loads((place / SEEN).read_text())
        except (CannotPass, OSError, ValueError):
            return False
        for told in (manifest["files_read"], manifest["files_written"]):
            for name, known in told.items():
                path = self.folder / name
                if seen.get(name) != _stat(path) and content_hash(path) != known:
                    return False
        self.manifests[place.parent.name] = manifest
        return True

    def _start(self, where: Executor, node: Mapping[str, Any], place: Path) -> tuple[Job, Path, Path, float]:
        new = place.with_name(f".{place.name}.{os.getpid()}")
        shutil.rmtree(new, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-u",
            str(HERE / "step.py"),
            node["name"],
            "--outputs",
            str(new),
            "--folder",
            str(self.folder),
        ]
        for other in self.places.values():
            command += ["--inputs", str(other)]
        for text in self.given:
            command += ["--set", text]
        command += ["--allow-pickle"] if self.allow_pickle else []
        self.tell(
            {
                "event": "step",
                "step": node["name"],
                "state": "running",
                "number": self._number(node["name"]),
                "of": len(self.nodes),
            }
        )
        return where.start(command, place.with_name(f"{place.name}.log")), place, new, time.monotonic()

    def _ended(self, name: str, code: int, place: Path, new: Path, seconds: float) -> bool:
        log = place.with_name(f"{place.name}.log")
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        if code != 0 or not (new / MANIFEST).exists():
            shutil.rmtree(new, ignore_errors=True)
            why = next((line.strip() for line in reversed(lines) if line.strip()), f"the process ended with {code}")
            self.failed[name] = why
            self.tell(
                {
                    "event": "step",
                    "step": name,
                    "state": "failed",
                    "seconds": seconds,
                    "message": why,
                    "code": code,
                    "log": str(log),
                    "tail": lines[-12:],
                }
            )
            return False
        manifest = read_manifest(new)
        stats = {path: _stat(self.folder / path) for told in ("files_read", "files_written") for path in manifest[told]}
        (new / SEEN).write_text(json.dumps(stats))
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(FileExistsError):
            new.rename(place)
        shutil.rmtree(new, ignore_errors=True)
        self.manifests[name] = manifest
        notes = [line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: ")]
        self._finish(name, place, "ran", seconds, notes)
        self._prune(place)
        return True

    def _finish(self, name: str, place: Path, state: str, seconds: float, notes: list[str]) -> None:
        self.places[name] = place
        with contextlib.suppress(OSError):
            os.utime(place)
        facts = facts_of(self.nodes[name], self.manifests[name])
        self.done.append({"name": name, "state": state, "seconds": seconds, "folder": str(place), **facts})
        self.tell(
            {
                "event": "step",
                "step": name,
                "state": state,
                "seconds": seconds,
                "notes": notes,
                "number": self._number(name),
                "of": len(self.nodes),
                "folder": str(place),
                **facts,
            }
        )

    def _remember(self) -> None:
        """Keep where the results of this run are, and what failed."""
        places = {name: str(place) for name, place in self.places.items()}
        told = {"places": places, "failed": self.failed, "set": self.given, "folder": str(self.folder)}
        new = self.cache / f".{LAST}.{os.getpid()}"
        new.write_text(json.dumps(told, indent=1), encoding="utf-8")
        new.replace(self.cache / LAST)

    def _number(self, name: str) -> int:
        return list(self.nodes).index(name) + 1

    def _prune(self, place: Path) -> None:
        """Let go of all but the newest results of a step."""
        kept = [path for path in place.parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
        for old in sorted(kept, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
            old.with_name(f"{old.name}.log").unlink(missing_ok=True)


# what a result depends on


def step_code(pipeline: Path, description: Mapping[str, Any]) -> dict[str, str]:
    """For each step the hash of its code, of what stands at the module's top, and of the project's own modules.

    Comments, docstrings and the layout of the text do not count.
    """
    tree = ast.parse(pipeline.read_text(encoding="utf-8"))
    names = {node["name"] for node in description["graph"]}
    apart = names | {description["entry"], description["main"]}
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    rest = [_without_docstrings(n) for n in tree.body if getattr(n, "name", "") not in apart]
    common = [ast.dump(n) for n in rest]
    for name in description.get("modules", ()):
        place = pipeline.with_name(name)
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_name(f"{name}.py")]
        common += [content_hash(file) for file in files]
    common.append(content_hash(pipeline.with_name("random_state.json")))
    if description["form"] == "shared":
        common += [ast.dump(_without_docstrings(n)) for n in tree.body]
        functions = {}
    nodes = {node["name"]: node for node in description["graph"]}
    return {
        name: hashlib.sha256(
            "\n".join([*common, ast.dump(_without_docstrings(functions[name])) if name in functions else "", *node.get("settings", ())]).encode()
        ).hexdigest()
        for name, node in nodes.items()
    }  # fmt: skip


def _without_docstrings(tree: ast.stmt) -> ast.stmt:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            first.value.value = ""
    return tree


def environment(description: Mapping[str, Any]) -> dict[str, str]:
    """The versions of Python and of what the pipeline needs, as they are installed here."""
    found = {"python": platform.python_version()}
    for name in description["environment"]:
        if name != "python":
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = ""
    return found


def _stat(path: Path) -> list[int]:
    try:
        told = path.stat()
    except OSError:
        return []
    return [told.st_size, told.st_mtime_ns]


# what is told


def _print_json(event: Event) -> None:
    print(json.dumps(event, default=str), flush=True)


def _print_line(event: Event) -> None:
    if event["event"] == "step":
        state, name = event["state"], event["step"]
        place = f"{event['number']}/{event['of']} " if "number" in event else ""
        took = f" {event['seconds']:.1f} s" if event.get("seconds") else ""
        print(f"{place}{name}: {state}{took}", flush=True)
        for line in (*event.get("notes", ()), *event.get("tail", ())):
            print(f"    {line}")
        if state == "failed":
            print(f"    all of it: {event['log']}")
    elif event["event"] == "end":
        for name, value in event["metrics"].items():
            print(f"{name} = {value}")
        if event["run"]:
            print(f"MLflow run {event['run']}")
        print("done" if event["ok"] else "not done: mend it and run again, which goes on from there", flush=True)
    else:
        print(event["message"], file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
