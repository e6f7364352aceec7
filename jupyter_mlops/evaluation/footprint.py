"""Footprint: what a stored model takes in a process of its own: time, memory; and what it answers there.

Run as ``python footprint.py KIND MODEL ROWS ANSWERS``. For an ONNX file it needs NumPy and onnxruntime alone, and
scikit-learn and pandas cannot even be imported there: what it answers is what a device without them gets.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ask_session", "open_session"]

REPEATS, BATCHES = 60, 5


def open_session(data: bytes | str) -> tuple[Any, dict[str, Any]]:
    """An ONNX file, opened on one thread, and what its metadata says of columns and classes."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as `tracking.onnx_import`, of which nothing is here
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # what is no error is of no use to whoever looks at a table
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    held = session.get_modelmeta().custom_metadata_map
    told = {key.partition(".")[2]: json.loads(value) for key, value in held.items() if key.startswith("mlops.")}
    return session, told


def ask_session(session: Any, told: dict[str, Any], feeds: dict[str, Any]) -> tuple[Any, Any]:
    """Labels and probabilities, or numbers and None."""
    number = np.float64 if told["double"] else np.float32
    if told["array"]:
        given = {"X": feeds["X"].astype(number)}
    else:
        given = {
            name: feeds[name].reshape(-1, 1).astype(object if kind == "text" else number)
            for name, kind in told["columns"]
        }
    answers = session.run(None, given)
    if not told["classes"]:
        return np.asarray(answers[0], dtype=np.float64).ravel(), None
    return np.asarray(answers[0]), np.asarray(answers[1])


def _measure(ask: Any, one: Any, many: Any) -> dict[str, float]:
    """Median times in milliseconds."""
    ask(one)
    spent: dict[str, list[float]] = {"row_ms": [], "thousand_ms": []}
    for name, rows, times in (("row_ms", one, REPEATS), ("thousand_ms", many, BATCHES)):
        for _ in range(times):
            began = time.perf_counter()
            ask(rows)
            spent[name].append((time.perf_counter() - began) * 1000)
    return {name: float(np.median(each)) for name, each in spent.items()}


def _peak() -> int:
    """The most memory this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def main(kind: str, model: str, rows: str, answers: str) -> None:
    """Load, time, answer every row, and print what it took as JSON."""
    labels: Any
    if kind == "onnx":
        for absent in ("sklearn", "pandas", "scipy"):
            sys.modules[absent] = None  # type: ignore[assignment]  # importing it fails from here on
        session, told = open_session(model)
        held = np.load(rows)
        feeds = {key.removeprefix("column "): held[key] for key in held.files}
        head = {key: value[:1] for key, value in feeds.items()}
        many = {key: np.resize(value, (1000, *value.shape[1:])) for key, value in feeds.items()}
        spent = _measure(lambda given: ask_session(session, told, given), head, many)
        labels, probabilities = ask_session(session, told, feeds)
    else:
        import pandas as pd
        import skops.io as skops  # as it is: run as a script this file is of no package

        estimator = skops.load(model, trusted=skops.get_untrusted_types(file=model))
        frame: Any = pd.read_pickle(rows)  # noqa: S301 written by us a moment ago
        take = np.resize(np.arange(len(frame)), 1000)
        thousand = frame.iloc[take] if hasattr(frame, "iloc") else frame[take]
        spent = _measure(estimator.predict, frame[:1], thousand)
        labels = estimator.predict(frame)
        probabilities = estimator.predict_proba(frame) if hasattr(estimator, "predict_proba") else None
    spent["memory_bytes"] = _peak()
    texts = labels if labels.dtype.kind in "fiub" else labels.astype(str)
    np.savez(answers, labels=texts, probabilities=np.zeros(0) if probabilities is None else probabilities)
    sys.stdout.write(json.dumps(spent))


if __name__ == "__main__":
    main(*sys.argv[1:])
