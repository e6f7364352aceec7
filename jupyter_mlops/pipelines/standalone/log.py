"""Tells the metrics of a pipeline whose steps have run, and logs them to MLflow where a store is named.

    python log.py --inputs DIR [--outputs FILE] [--set NAME=VALUE]

The numbers among the results are printed and written to FILE as JSON. With `MLFLOW_TRACKING_URI` set and MLflow
installed they become a run, with a child a step and the content hashes of what went in and out; `MLFLOW_EXPERIMENT_NAME`
names the experiment, which is otherwise the pipeline's name.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .passing import CannotPass, read_manifest
from .step import Failed, find_outputs, parameters

__all__ = ["collect", "log_to_mlflow", "main"]

HERE = Path(__file__).resolve().parent
MOST_PARAM = 6000


def main(words: list[str] | None = None) -> int:
    """Tell and log as the command line says."""
    parser = argparse.ArgumentParser(description="Tell the metrics of a pipeline that has run, and log them to MLflow.")
    parser.add_argument("--inputs", type=Path, action="append", default=[], metavar="DIR", help="what the steps gave")
    parser.add_argument("--outputs", type=Path, metavar="FILE", help="write the metrics to this file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter they were run with"
    )
    given = parser.parse_args(words)
    description = json.loads((HERE / "pipeline.json").read_text(encoding="utf-8"))
    try:
        set_parameters = parameters(description, given.set)
        metrics, steps = collect(description, [path.expanduser().absolute() for path in given.inputs])
    except (Failed, CannotPass) as error:
        print(f"log: {error}", file=sys.stderr)
        return 2
    if given.outputs is not None:
        given.outputs.parent.mkdir(parents=True, exist_ok=True)
        given.outputs.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    for name, value in metrics.items():
        print(f"{name} = {value}")
    run = log_to_mlflow(description, metrics, set_parameters, steps)
    if run:
        print(f"MLflow run {run}")
    return 0


def collect(description: Mapping[str, Any], folders: list[Path]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The metrics of all steps, and of each step what it has left.

    Raises
    ------
    Failed
        A step has left nothing.
    """
    metrics: dict[str, float] = {}
    steps = []
    for node in description["graph"]:
        place = find_outputs(folders, node["name"])
        if place is None:
            raise Failed(f"what {node['name']} gives is not in {', '.join(map(str, folders)) or 'any folder given'}")
        manifest = read_manifest(place)
        metrics |= manifest["metrics"]
        steps.append({"name": node["name"], **facts_of(node, manifest)})
    return metrics, steps


def facts_of(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth keeping of a step that has run: its metrics, and the hashes of what it has read and given."""
    return {
        "metrics": manifest["metrics"],
        "reads": {**{f"{step}.{name}": "" for name, step in node["inputs"].items() if step}, **manifest["files_read"]},
        "gives": {f"{node['name']}.{name}": entry["hash"] for name, entry in manifest["values"].items()},
    }


def log_to_mlflow(
    description: Mapping[str, Any],
    metrics: Mapping[str, float],
    given: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
) -> str:
    """Make a run of it, if a store is named and MLflow is there; gives the run's id."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        return ""
    if importlib.util.find_spec("mlflow") is None:
        print("MLFLOW_TRACKING_URI is set and MLflow is not installed: nothing is logged there", file=sys.stderr)
        return ""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(tracking_uri=uri)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or description["name"]
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found is not None else client.create_experiment(name)
    now = int(time.time() * 1000)
    hashes = {name: told for step in steps for name, told in step["gives"].items()}

    def make(title: str, numbers: Mapping[str, float], params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        run = client.create_run(experiment, run_name=title, tags=dict(tags))
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(key, float(value), now, 0) for key, value in numbers.items()],
            params=[Param(key, str(value)[:MOST_PARAM]) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        return str(run.info.run_id)

    parent = make(description["name"], metrics, given, {"mlops.pipeline.name": description["name"]})
    for step in steps:
        tags = {
            "mlflow.parentRunId": parent,
            "mlops.pipeline.step": step["name"],
            "mlops.pipeline.step.state": step.get("state", "ran"),
        }
        for word, told in (("in", step["reads"]), ("out", step["gives"])):
            for value, known in list(told.items())[:50]:
                tags[f"mlops.data.{word}.{value}".replace(os.sep, "/")[:250]] = known or hashes.get(value, "")
        child = make(step["name"], step["metrics"], {}, tags)
        client.set_terminated(child, "FINISHED")
    client.set_terminated(parent, "FINISHED")
    return parent


if __name__ == "__main__":
    sys.exit(main())
