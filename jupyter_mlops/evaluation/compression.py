"""Compression: a model made smaller by each way that fits it, and what every way takes and costs.

Half of the rows make the smaller models (teach the student, choose how many trees or which columns stay), the other half
measures all of them, the model as it is included. Time and memory are those of a process of its own.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..domain.compression import Compression, Smaller
from ..domain.context import Context
from ..domain.evaluation import HEADLINE
from ..errors import InvalidArgument, MLOpsError, NotReady
from . import footprint
from .candidates import halves, register_model, rows_of, taken_rows
from .measuring import value_of
from .paired import paired_difference, taken
from .smaller import WAYS, Made, Maker
from .subject import Subject

__all__ = ["compressed"]

Array = np.ndarray[Any, Any]

AS_IS = "as it is"
MEASURED = 2000  # rows that the processes answer
PROVEN = 20_000
SECONDS = 300.0


def compressed(
    context: Context,
    subject: Subject,
    ways: Sequence[str],
    *,
    metric: str = "",
    tolerance: float = 0.01,
    name: str = "",
    edge: str = "",
    level: float = 0.95,
    seed: int = 0,
) -> Compression:
    """Make a model smaller in the given ways.

    Parameters
    ----------
    ways
        Of `WAYS`.
    tolerance
        How much of the metric leaving out trees or columns may cost on the rows that choose them.
    name
        Register every candidate under it.
    edge
        Write the ONNX file there, if it answers every row as the model does.

    Raises
    ------
    InvalidArgument
        The metric is none of the task's, or the model is no estimator.
    NotReady
        The edge file does not answer as the model does.
    """
    estimator = subject.model.estimator
    if estimator is None or hasattr(estimator, "data"):
        raise InvalidArgument("what is made smaller is a fitted estimator.", hint="Give the model it was made from.")
    subject.check_columns("making it smaller")
    metric = metric or HEADLINE[subject.rows.task][0]
    fit_on, on = halves(subject, seed)
    before = taken(subject.rows, on)
    value_of(metric, before)  # raises for one that there is not
    maker = Maker(subject, fit_on, metric, tolerance, seed, context.hooks.get("final"))
    notes: list[str] = []
    made: dict[str, Made] = {AS_IS: Made("", estimator)}
    for way in ways:
        context.progress(f"making it smaller: {way}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made[way] = WAYS[way](maker)
        except (InvalidArgument, NotReady) as error:
            notes.append(f"{way}: {error.message}")
    found = []
    for way, each in made.items():
        context.progress(f"measuring {way}")
        rows = before if way == AS_IS else rows_of(each.estimator, subject, on)
        took = _footprint(context, each, taken_rows(subject.inputs, on[:MEASURED]))[0]
        agree = float(np.mean(np.asarray(rows.prediction) == np.asarray(before.prediction)))
        if subject.rows.task == "regression":
            near = np.isclose(np.asarray(rows.prediction), np.asarray(before.prediction), rtol=1e-6, atol=1e-9)
            agree = float(np.mean(near))
        version = "" if way == AS_IS else register_model(context, each.estimator, subject, name, each.onnx)
        found.append(
            Smaller(
                way,
                each.change,
                took["bytes"],
                took["row_ms"],
                took["thousand_ms"],
                took["memory_bytes"],
                value_of(metric, rows),
                None if way == AS_IS else paired_difference(metric, rows, before, level, seed),
                agree,
                version,
            )
        )
    told = Compression(subject.model.name, metric, len(on), tuple(found), notes=tuple(notes))
    if not edge:
        return told
    file = Path(edge).expanduser()
    proof = write_edge(context, made.get("onnx") or WAYS["onnx"](maker), estimator, subject.inputs, file)
    return replace(told, edge=str(file), proof=proof)


def write_edge(context: Context, made: Made, estimator: Any, inputs: Any, file: Path) -> str:
    """Write the single file, once it is proven that it answers as the model does; give the proof in words.

    Raises
    ------
    NotReady
        It answers some row otherwise; nothing is written.
    """
    some = inputs[:PROVEN]
    context.progress(f"asking the edge file for {len(some):,} rows where no scikit-learn is")
    _, labels, probabilities = _footprint(context, made, some)
    wanted = np.asarray(estimator.predict(some))
    classes = hasattr(estimator, "classes_")
    same = labels.astype(str) == wanted.astype(str) if classes else np.isclose(labels, wanted, rtol=1e-6, atol=1e-9)
    if not same.all():
        raise NotReady(
            f"the edge file answers {int((~same).sum()):,} of {len(some):,} rows otherwise than the model, so it is not written.",
            hint="Look at `--ways onnx,float32` to see by how much, and deploy the model itself.",
        )
    proof = f"predicts the same in {len(some):,} of {len(some):,} rows, in a process without scikit-learn and pandas"
    if classes and hasattr(estimator, "predict_proba"):
        far = float(np.max(np.abs(probabilities - estimator.predict_proba(some))))
        proof += f"; probabilities at most {far:.1g} apart"
    file.parent.mkdir(parents=True, exist_ok=True)
    arriving = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        arriving.write_bytes(made.onnx)
        arriving.replace(file)
    finally:
        arriving.unlink(missing_ok=True)
    return proof


def _footprint(context: Context, made: Made, inputs: Any) -> tuple[dict[str, Any], Array, Array]:
    """What a model takes in a process of its own, and what it answers there."""
    with tempfile.TemporaryDirectory() as held:
        place = Path(held)
        if made.onnx:
            from .onnx_model import feeds_of, opened_told

            model, rows, kind = place / "model.onnx", place / "rows.npz", "onnx"
            model.write_bytes(made.onnx)
            feeds: dict[str, Any] = feeds_of(inputs, opened_told(made.onnx))
            np.savez(rows, **{f"column {k}": v for k, v in feeds.items()})
        else:
            from ..tracking.model_file import store_estimator

            model, rows, kind = place / "model.skops", place / "rows.pkl", "skops"
            model.write_bytes(store_estimator(made.estimator)[0].data)
            rows.write_bytes(pickle.dumps(inputs))
        size = model.stat().st_size
        done = subprocess.run(
            [
                context.interpreter or sys.executable,
                footprint.__file__,
                kind,
                str(model),
                str(rows),
                str(place / "a.npz"),
            ],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            cwd=held,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise MLOpsError(f"the {kind} model cannot be asked in a process of its own: {last}.")
        answers = np.load(place / "a.npz")
        return {**json.loads(done.stdout), "bytes": size}, answers["labels"], answers["probabilities"]
