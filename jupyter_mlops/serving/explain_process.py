"""``python -m jupyter_mlops.serving.explain_process PLACE``: explains one version's predictions, asked over its input.

A process of its own, that stands back for others: explaining asks the model some ten thousand times for one row, and must
not hold up a prediction. It reads and writes MessagePack with its length before it, and ends with its input.
"""

from __future__ import annotations

import json
import logging
import math
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import orjson

from .model import Answer, Ask, ServedModel, read, unpredictable
from .server import Versions
from .shapley import Columns, shapley
from .signature import BAD_REQUEST, Refused, Signature

__all__ = ["Background", "Explainer", "main"]

log = logging.getLogger(__name__)

LENGTH = struct.Struct("<I")
ROWS = 20  # rows that are explained in one request
BACKGROUND = 50
TOLERANCE = 1e-6  # how far base plus values may be from what the model answers
STAND_BACK = 10


class Background:
    """Rows to compare with, drawn from the training data's profile, each column by itself.

    Parameters
    ----------
    signature
        What the model takes.
    profile
        The profile's folder.
    example
        Rows that the model takes, for the columns of which the profile knows nothing.
    """

    def __init__(self, signature: Signature, profile: Path, example: Sequence[Sequence[Any]]) -> None:
        kinds = signature.kinds()
        known = _drawn(profile, kinds)
        self.columns: list[list[Any]] = []
        for number, name in enumerate(kinds):
            cells = [row[number] for row in example]
            self.columns.append(known.get(name) or [cells[i % len(cells)] for i in range(BACKGROUND)])
        missing = [name for name in kinds if name not in known]
        self.told = "training profile, column by column" if len(missing) < len(kinds) else "input example"
        if known and missing:
            self.told += f"; input example for {', '.join(missing)}"


def _drawn(profile: Path, kinds: dict[str, str]) -> dict[str, list[Any]]:
    """For each column of the profile as many values as a background has, as often as they were there in training."""
    from ..datasets.profile import Profile
    from .compiled.verify import as_kind

    try:
        columns = Profile.read(profile).columns
    except Exception:  # none, or of another version
        return {}
    rng = np.random.default_rng(0)
    found: dict[str, list[Any]] = {}
    for column in columns:
        values: Any = column.labels if column.kind == "categorical" else column.values
        if column.name not in kinds or column.kind not in ("numeric", "categorical") or not len(values):
            continue
        counts = np.asarray(column.counts, dtype=float)[: len(values)]
        drawn = [
            as_kind(kinds[column.name], values[i]) for i in rng.choice(len(values), BACKGROUND, p=counts / counts.sum())
        ]
        if None not in drawn:
            found[column.name] = drawn
    return found


class Explainer:
    """Explains what a model answers.

    Parameters
    ----------
    model
        The model as it is served.
    signature
        What it takes: named columns, or an array of two dimensions.
    background
        What rows are compared with.
    """

    def __init__(self, model: ServedModel, signature: Signature, background: Background) -> None:
        self._model = model
        self._signature = signature
        self._background = background
        self._names = list(signature.kinds())
        self._method = "predict_proba"
        try:
            self._ask(background.columns)
        except ValueError:
            self._method = "predict"
            self._ask(background.columns)

    def answer(self, content_type: str, body: bytes) -> Answer:
        """The explanation of a request's predictions, as a JSON object; or what refuses it."""
        data, _, refused = read(Ask(body, content_type), self._signature, "predict")
        if refused is not None:
            return refused
        columns = self._columns(data)
        rows = list(zip(*columns, strict=True))
        if not rows or len(rows) > ROWS:
            wrong = f"{len(rows)} rows are asked to be explained; from 1 to {ROWS} are at a time."
            return Answer.error(413 if rows else 400, BAD_REQUEST, wrong)
        try:
            outputs = self._ask(columns)
            found = [shapley(self._ask, row, self._background.columns) for row in rows]
        except Refused as error:
            return Answer.error(400, error.code, error.message)
        except ValueError as error:
            return Answer.error(400, BAD_REQUEST, f"This cannot be explained: {error}.")
        apart = max(
            float(np.abs(one.base + one.contributions.sum(axis=0) - output).max())
            for one, output in zip(found, outputs, strict=True)
        )
        if not apart <= TOLERANCE * max(1.0, float(np.abs(outputs).max())):
            wrong = f"The values do not add up to the answer: they are {apart:.3g} away."
            return Answer.error(500, "INTERNAL_ERROR", wrong)
        told: dict[str, Any] = {
            "output": "probability" if self._method == "predict_proba" else "prediction",
            "columns": self._names,
            "base": self._shaped(found[0].base),
            "values": [[self._shaped(value) for value in one.contributions] for one in found],
            "method": found[0].method,
            "background": {"rows": len(self._background.columns[0]), "from": self._background.told},
            "additivity_error": apart,
        }
        if self._method == "predict_proba":
            told = {"output": told.pop("output"), "classes": self._classes(), **told}
        return Answer(200, orjson.dumps(told))

    def _classes(self) -> list[Any]:
        if self._model.classes:
            return list(self._model.classes)
        estimator = getattr(self._model, "estimator", None)
        return list(np.asarray(getattr(estimator, "classes_", [])).tolist())

    def _shaped(self, values: Any) -> Any:
        return [float(v) for v in values] if self._method == "predict_proba" else float(values[0])

    def _ask(self, columns: Columns) -> Any:
        """What the model answers for columns: (rows, outputs)."""
        compute = getattr(self._model, "compute", None)
        if compute is not None and self._model.quick:
            if self._method == "predict_proba" and not self._model.classes:
                raise ValueError("the model gives no probabilities")
            found = compute(columns, self._method)
        else:
            answer = self._model.answer_many([Ask(self._body(columns), method=self._method)])[0]
            if answer.status != 200:
                raise ValueError(json.loads(answer.body)["message"])
            found = json.loads(answer.body)["predictions"]
        try:
            outputs = np.asarray(found, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError("the model gives neither probabilities nor numbers") from error
        if not np.isfinite(outputs).all():
            raise ValueError("the model's answer is not finite")
        return outputs.reshape(len(columns[0]), -1)

    def _body(self, columns: Columns) -> bytes:
        rows = [[_plain(cell) for cell in row] for row in zip(*columns, strict=True)]
        if self._signature.tensor is not None:
            return orjson.dumps({"inputs": rows})
        return orjson.dumps({"dataframe_split": {"columns": self._names, "data": rows}})

    def _columns(self, data: Any) -> list[list[Any]]:
        if isinstance(data, np.ndarray):
            return list(data.T.tolist())
        return [
            [_missing(v) for v in data[name].tolist()] if name in data else [None] * len(data) for name in self._names
        ]


def _missing(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def explainer_of(place: Path) -> Explainer:
    """What explains the version that lies in a folder.

    Raises
    ------
    ValueError
        Its predictions cannot be explained; says why.
    """
    from .compiled.build import example_rows

    settings = json.loads((place / "serving.json").read_text())
    loaded = Versions(place, lambda _line: None).read(place, settings["model"])
    signature = Signature.parse(loaded.files.inputs)
    if signature is None or not signature.kinds():
        raise ValueError("the model's signature names no columns, nor a table of numbers")
    background = Background(signature, loaded.files.path / "mlops" / "profile", example_rows(loaded.files, signature))
    return Explainer(loaded.load(), signature, background)


def main(place: str) -> int:
    """Answer until the input ends."""
    os.nice(STAND_BACK)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a model prints is no answer
    explainer: Explainer | None = None
    refused = Answer(500, b"")
    try:
        explainer = explainer_of(Path(place))
    except ValueError as error:
        refused = Answer.error(400, BAD_REQUEST, f"This cannot be explained: {error}.")
    while (raw := _take(asked)) is not None:
        content_type, body = msgspec.msgpack.decode(raw, type=tuple[str, bytes])
        try:
            answer = refused if explainer is None else explainer.answer(content_type, body)
        except Exception as error:  # a model on a row nobody has thought of: the next request is answered all the same
            log.exception("a prediction could not be explained")
            answer = unpredictable(error)
        told = msgspec.msgpack.encode(answer)
        answers.write(LENGTH.pack(len(told)) + told)
        answers.flush()
    return 0


def _take(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH.size)
    return source.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
