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


def main() -> int:
    """Run, compare, tell."""
    parser = argparse.ArgumentParser(description="Run the pipeline and compare its results with the notebook's.")
    parser.add_argument("--folder", type=Path, help="the folder to run in; by default the notebook's")
    parser.add_argument("--json", type=Path, help="write the verdict to this file")
    given = parser.parse_args()
    description = json.loads((HERE / "pipeline.json").read_text())
    expected = json.loads((HERE / "expected.json").read_text())
    report = given.json.resolve() if given.json else None
    os.environ.setdefault("MPLBACKEND", "Agg")
    folder = given.folder or HERE / description["runs_in"]
    if folder.is_dir():
        os.chdir(folder)
    sys.path.append(str(Path.cwd()))
    verdict = check(description, expected)
    if report is not None:
        report.write_text(json.dumps(verdict))
    if verdict["error"]:
        print(f"FAIL: {verdict['error']}")
    for found in verdict["checks"]:
        print(f"{'ok  ' if found['ok'] else 'FAIL'} {found['step']}: {found['variable']} {found['message']}".rstrip())
    same = not verdict["error"] and all(found["ok"] for found in verdict["checks"])
    print(f"{'PASS' if same else 'FAIL'} in {verdict['seconds']:.1f} s")
    return 0 if same else 1


def check(description: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Run every step, keep what it gives, and compare that at the end, as the notebook's values are those at its end."""
    from fingerprint import difference, versions

    started = time.perf_counter()
    verdict: dict[str, Any] = {"checks": [], "error": "", "step": "", "seconds": 0.0}
    verdict["versions"] = versions([p for p in description["environment"] if p != "python"])
    given: dict[tuple[str, str], Any] = {}
    at = {"step": ""}
    try:
        module = importlib.import_module("pipeline")
        for step in description["steps"]:
            setattr(module, step["name"], recording(getattr(module, step["name"]), step, given, at))
        getattr(module, description["entry"])()
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        last = traceback.format_exception_only(error)[-1].strip()
        verdict["step"] = at["step"]
        verdict["error"] = f"step {at['step']!r} failed: {last}" if at["step"] else f"pipeline.py failed: {last}"
    else:
        for result in expected["results"]:
            key = (result["step"], result["variable"])
            if key in given:
                told = difference(result["fingerprint"], given[key], HERE / "expected")
            else:
                told = "the step no longer gives it"
            found = {"step": key[0], "variable": key[1], "kind": result["kind"], "ok": not told, "message": told}
            verdict["checks"].append(found)
    verdict["seconds"] = time.perf_counter() - started
    return verdict


def recording(function: Any, step: dict[str, Any], given: dict[tuple[str, str], Any], at: dict[str, str]) -> Any:
    """The step's function, which also keeps what it returns."""

    @functools.wraps(function)
    def run(*args: Any, **keywords: Any) -> Any:
        at["step"] = step["name"]
        returned = function(*args, **keywords)
        values = (returned,) if len(step["outputs"]) == 1 else returned or ()
        for name, value in zip(step["outputs"], values, strict=True):
            given[step["name"], name] = value
        at["step"] = ""
        return returned

    return run


if __name__ == "__main__":
    sys.exit(main())
