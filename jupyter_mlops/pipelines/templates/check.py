"""Runs the pipeline beside this file and compares what it gives with what the notebook gave.

    python check.py

Exit code 0 when every result is the same, 1 when one differs or a step fails. Needs nothing but the pipeline's own
requirements (and pyarrow, to read kept tables).
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOTHING = object()
SHOWN = {"same": "ok  ", "differs": "FAIL", "not comparable": "-   "}


def main() -> int:
    """Run, compare, tell."""
    parser = argparse.ArgumentParser(description="Run the pipeline and compare its results with the notebook's.")
    parser.add_argument("--folder", type=Path, help="the folder to run in; by default the notebook's")
    parser.add_argument(
        "--stands-for", type=Path, help="the folder whose path texts are to hold in place of that one's"
    )
    parser.add_argument("--json", type=Path, help="write the verdict to this file")
    given = parser.parse_args()
    description = json.loads((HERE / "pipeline.json").read_text())
    expected = json.loads((HERE / "expected.json").read_text())
    seed = description.get("hash_seed", "")
    if seed and os.environ.get("PYTHONHASHSEED") != seed:  # the order of sets of texts depends on it
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": seed})  # noqa: S606 this very program
    report = given.json.resolve() if given.json else None
    os.environ.setdefault("MPLBACKEND", "Agg")
    folder = given.folder or HERE / description["runs_in"]
    if folder.is_dir():
        os.chdir(folder)
    sys.path.append(str(Path.cwd()))
    if given.stands_for:
        from fingerprint import PLACES

        PLACES[str(Path.cwd())] = str(given.stands_for)
    verdict = check(description, expected)
    if report is not None:
        report.write_text(json.dumps(verdict))
    if verdict["error"]:
        print(f"FAIL: {verdict['error']}")
    for found in verdict["checks"]:
        print(f"{SHOWN[found['verdict']]} {found['step']}: {found['variable']} {found['message']}".rstrip())
    same = not verdict["error"] and all(found["verdict"] != "differs" for found in verdict["checks"])
    print(f"{'PASS' if same else 'FAIL'} in {verdict['seconds']:.1f} s")
    return 0 if same else 1


def outside(module: Any, key: tuple[str, str], description: dict[str, Any]) -> Any:
    """A value that no step returns: a constant of the module, a parameter, or what steps share."""
    step, name = key
    if step and description.get("form") != "shared":
        return NOTHING
    for parameter in description["parameters"]:
        if parameter["name"] == name:
            return parameter["default"]
    return vars(module).get(name, NOTHING)


def apart(result: dict[str, Any], value: Any) -> bool:
    """Whether a number is the same within the tolerance alone, which for a time is seconds."""
    was = result["fingerprint"]
    return was.get("type") == "float" and isinstance(was.get("value"), float) and bool(was["value"] != value)


def check(description: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Run every step, keep what it gives, and compare that at the end, as the notebook's values are those at its end."""
    from fingerprint import compare, versions

    started = time.perf_counter()
    verdict: dict[str, Any] = {"checks": [], "error": "", "step": "", "seconds": 0.0}
    verdict["versions"] = versions([p for p in description["environment"] if p != "python"])
    given: dict[tuple[str, str], Any] = {}
    at = {"step": ""}
    try:
        module = importlib.import_module("pipeline")
        for step in description["steps"]:
            outputs = [] if description.get("form") == "shared" else step["outputs"]
            setattr(module, step["name"], recording(getattr(module, step["name"]), step["name"], outputs, given, at))
        getattr(module, description["entry"])()
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        last = traceback.format_exception_only(error)[-1].strip()
        verdict["step"] = at["step"]
        verdict["error"] = f"step {at['step']!r} failed: {last}" if at["step"] else f"pipeline.py failed: {last}"
    else:
        for result in expected["results"]:
            key = (result["step"], result["variable"])
            value = given[key] if key in given else outside(module, key, description)
            told = result.get("not_comparable", "")
            same = "not comparable" if told else "same"
            digest = ""
            if not told:
                told = result.get("unmade", "the step no longer gives it")
                if value is not NOTHING:
                    told, digest = compare(result["fingerprint"], value, HERE / "expected")
                same = "differs" if told else "same"
            found = {"step": key[0], "variable": key[1], "kind": result["kind"], "verdict": same, "message": told}
            verdict["checks"].append({**found, "digest": digest, "apart": same == "same" and apart(result, value)})
    verdict["seconds"] = time.perf_counter() - started
    return verdict


def recording(
    function: Any, step: str, outputs: list[str], given: dict[tuple[str, str], Any], at: dict[str, str]
) -> Any:
    """The step's function, which also keeps what it returns."""

    @functools.wraps(function)
    def run(*args: Any, **keywords: Any) -> Any:
        at["step"] = step
        returned = function(*args, **keywords)
        values = (returned,) if len(outputs) == 1 else returned or ()
        for name, value in zip(outputs, values, strict=True):
            given[step, name] = value
        at["step"] = ""
        return returned

    return run


if __name__ == "__main__":
    sys.exit(main())
