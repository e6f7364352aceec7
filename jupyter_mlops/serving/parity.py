"""Parity: a model's features by the object that was trained, by its stored file, and by the servers that answer for it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..domain.parity import ColumnGap, ParityWay
from ..errors import Unavailable, VerificationFailed
from .client import body_of, connect
from .deployment_folder import StoredDeployment
from .features import unpacked

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Features", "batch_features", "compared", "served_features", "views_of"]

CELLS_A_REQUEST = 200_000
WORKER_SECONDS = 600.0
PATIENCE = 60.0

Features = tuple[Any, list[str]]
"""A matrix and the columns' names."""


def batch_features(python: str, model: Path, rows: pd.DataFrame, *, root: Path, allow_pickle: bool) -> Features:
    """The features by the stored model in a new process, which reads the rows from Parquet as a batch job does.

    Raises
    ------
    VerificationFailed
        The process failed; with the end of what it said.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-parity-") as place:
        given, out = Path(place) / "rows.parquet", Path(place) / "features.json"
        rows.to_parquet(given, index=False)
        words = [python, "-m", "jupyter_mlops.serving.features", str(model), str(given), str(out)]
        words += ["--allow-pickle"] if allow_pickle else []
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=WORKER_SECONDS, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise VerificationFailed(f"the stored model cannot compute its features in a new process: {said}")
        matrix, names, _ = unpacked(out.read_bytes())
        return matrix, names


def served_features(stored: StoredDeployment, token: str, rows: pd.DataFrame, model: str) -> tuple[Features, str]:
    """The features by a deployment's server, over HTTP, and by which of its ways.

    Raises
    ------
    Unavailable
        The server does not answer, or another version answered.
    VerificationFailed
        It turned the rows down.
    """
    import numpy as np

    parts: list[Any] = []
    names: list[str] = []
    way, size = "", 200
    connection = connect(stored, PATIENCE)
    try:
        at = 0
        while at < len(rows):
            piece = rows.iloc[at : at + size]
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", "X-Model": model}
            connection.request("POST", "/features", body_of(piece), headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise VerificationFailed(f"{stored.name} turned rows {at} to {at + len(piece) - 1} down: {_said(body)}")
            matrix, names, way = unpacked(body)
            parts.append(matrix)
            at += len(piece)
            size = max(1, min(5_000, CELLS_A_REQUEST // max(matrix.shape[1], 1)))
    except (OSError, HTTPException) as error:
        raise Unavailable(f"the server of {stored.name} does not answer at {stored.url}: {error}.") from error
    finally:
        connection.close()
    return (np.concatenate(parts), names), way


def compared(
    name: str, how: str, expected: Features, got: Features, tolerance: float, places: Sequence[int]
) -> ParityWay:
    """One way against the first, feature by feature.

    Parameters
    ----------
    places
        Each row's place in the table that was given.
    """
    import numpy as np

    if expected[0].shape != got[0].shape:
        note = f"{got[0].shape[1]} features of {got[0].shape[0]} rows, not {expected[0].shape[1]} of {expected[0].shape[0]}"
        return ParityWay(name, how, "FAIL", len(places), note=note)
    gaps, rows, most = [], np.zeros(len(places), dtype=bool), 0.0
    for number, column in enumerate(expected[1]):
        one, other = expected[0][:, number], got[0][:, number]
        differs, distance = _differing(one, other, tolerance)
        finite = distance[np.isfinite(distance)]
        most = max(most, float(finite.max()) if len(finite) else 0.0)
        if differs.any():
            first = int(np.flatnonzero(differs)[0])
            there = distance[differs]
            largest = float(there.max()) if np.isfinite(there).all() else None
            gaps.append(
                ColumnGap(
                    column, int(differs.sum()), largest, int(places[first]), _shown(one[first]), _shown(other[first])
                )
            )
            rows |= differs
    note = "" if expected[1] == got[1] else "the features are called differently"
    gaps.sort(key=lambda gap: -gap.rows)
    return ParityWay(name, how, "FAIL" if gaps else "PASS", int(rows.sum()), most, tuple(gaps), note)


def _differing(one: Any, other: Any, tolerance: float) -> tuple[Any, Any]:
    """Where two columns differ, and by how much; infinite where that is no number."""
    import numpy as np

    if one.dtype.kind == "f" and other.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            distance = np.abs(one - other)
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        distance = np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))
        return distance > tolerance * np.maximum(1.0, np.where(np.isfinite(one), np.abs(one), 1.0)), distance
    same = np.array([_alike(a, b, tolerance) for a, b in zip(one, other, strict=True)], dtype=bool)
    return ~same, np.where(same, 0.0, np.inf)


def _alike(a: Any, b: Any, tolerance: float) -> bool:
    missing = [v is None or v != v for v in (a, b)]  # noqa: PLR0124 not a number
    if any(missing):
        return all(missing)
    try:
        return abs(float(a) - float(b)) <= tolerance * max(1.0, abs(float(a)))
    except (TypeError, ValueError):
        return str(a) == str(b)


def _shown(value: Any) -> str:
    return f"{value:.17g}" if isinstance(value, float) else str(value)


def _said(body: bytes) -> str:
    try:
        return " ".join(str(orjson.loads(body)["message"]).split())
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


def views_of(estimator: Any) -> tuple[str, ...]:
    """The feature views that the parts of a model's transformation are called after."""
    found: dict[str, None] = {}
    waiting: list[Any] = [estimator]
    while waiting:
        one = waiting.pop()
        one = getattr(one, "best_estimator_", one)
        waiting.extend(step for _, step in getattr(one, "steps", None) or ())
        for name, part, *_ in getattr(one, "transformers", None) or ():
            ref = str(name).partition(" ")[0]
            if "@v" in ref:
                found[ref] = None
            waiting.append(part)
    return tuple(found)
