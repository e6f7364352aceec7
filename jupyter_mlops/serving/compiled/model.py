"""Compiled model: answers requests by a plan: rows straight from JSON to features, features to predictions."""

from __future__ import annotations

import contextlib
import logging
import math
import struct
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from ..model import Answer, Ask, encode, read, unpredictable
from ..signature import BAD_REQUEST, Refused, Signature
from .by_row import FEW as FEW_BY_ROW
from .by_row import ByRow
from .plan import Plan
from .rows import Decoder, Rows

if TYPE_CHECKING:
    from ..contracted import Held

__all__ = ["CompiledModel"]

log = logging.getLogger("jupyter_mlops.serving")

LARGEST_SINGLE = float(np.finfo(np.float32).max)
LARGEST = LARGEST_SINGLE**2
FEW = 512  # rows that may be computed on the event loop
EMPTY = "Encountered an unexpected error while evaluating the model. Error: ValueError: Found array with 0 sample(s)"


class CompiledModel:
    """A pipeline that was compiled.

    Parameters
    ----------
    plan
        With an operation.
    signature
        What the model takes.
    original
        Loads the model as it was stored; called when it is needed.
    """

    def __init__(self, plan: Plan, signature: Signature, original: Callable[[], Any]) -> None:
        if plan.operation is None:
            raise ValueError("the plan has no operation")
        self.plan = plan
        self.path, self.path_reason = plan.path, plan.reason
        self.signature = signature
        self.held: Held | None = None
        self._operation = plan.operation
        self._final = plan.final
        self._by_row = ByRow(plan.operation) if plan.by_row else None
        self._decoder = Decoder(signature)
        self._load = original
        self._original: Any = None
        self._lock = threading.Lock()
        self.quick = plan.final is not None
        self.classes: Sequence[str] = ()
        if plan.final is not None:
            plan.final.start(plan.trees)
            self._labels = [orjson.dumps(label) for label in plan.final.classes]
            self._alone_bodies = [b'{"predictions":[' + label + b"]}" for label in self._labels]
            self.classes = tuple(str(label) for label in plan.final.classes) if self._has("predict_proba") else ()
        else:
            self.original()

    def original(self) -> Any:
        """The model as it was stored, loaded once."""
        with self._lock:
            if self._original is None:
                self._original = self._load()
            return self._original

    def answer(self, body: bytes, content_type: str) -> Answer:
        """Predict for one request."""
        return self.answer_many([Ask(body, content_type)])[0]

    def answer_now(self, asks: Sequence[Ask]) -> Sequence[Answer | None]:
        """Predict for the requests that are plainly right, all at once."""
        taken: list[tuple[int, Rows, str]] = []
        for number, ask in enumerate(asks):
            found = self._found(ask)
            if found is not None and len(found[0]) <= FEW:
                taken.append((number, *found))
        if len(taken) == len(asks) and self.held is None:
            return self._together(taken)
        answers: list[Answer | None] = [None] * len(asks)
        taken = self._kept(taken, answers)
        if taken:
            for (number, _, _), answer in zip(taken, self._together(taken), strict=True):
                answers[number] = answer
        return answers

    def answer_many(self, asks: Sequence[Ask]) -> list[Answer]:
        """Predict for any requests; what this model cannot take is answered as MLflow does."""
        answers: list[Answer | None] = [None] * len(asks)
        taken: list[tuple[int, Rows, str]] = []
        for number, ask in enumerate(asks):
            found = self._found(ask)
            if found is not None:
                taken.append((number, *found))
                continue
            try:
                answers[number] = self._read(ask)
            except Exception as error:  # a body nobody has thought of must not harm those beside it
                log.exception("a request could not be read")
                answers[number] = Answer.error(400, BAD_REQUEST, f"Invalid input. {type(error).__name__}: {error}")
        taken = self._kept(taken, answers)
        if taken:
            for (number, rows, method), answer in zip(taken, self._together(taken), strict=True):
                answers[number] = answer if answer is not None else self._alone(rows, method)
        return [answer for answer in answers if answer is not None]

    def _kept(self, taken: list[tuple[int, Rows, str]], answers: list[Answer | None]) -> list[tuple[int, Rows, str]]:
        """The requests that keep the contract; the others have their answers now."""
        if self.held is None:
            return taken
        for number, rows, _ in taken:
            answers[number] = self.held.rows(rows)
        return [each for each in taken if answers[each[0]] is None]

    def columns(self, data: Any) -> list[Any]:
        """The columns, in the signature's order, of a table or array that `Signature.enforce` has let through."""
        if isinstance(data, np.ndarray):
            return list(data.T.tolist())
        names = [column.name for column in self.signature.columns]
        missing = {name for name in names if name not in data.columns}
        if missing:
            raise Refused(f"columns are missing: {missing}")
        return [data[name].tolist() for name in names]

    def features(self, columns: Sequence[Sequence[Any]]) -> Any:
        """What the estimator is given."""
        return self._operation.run(columns)

    def compute(self, columns: Sequence[Sequence[Any]], method: str) -> Any:
        """Predictions or probabilities as scikit-learn gives them, for columns of the signature's types.

        Raises
        ------
        Refused
            The model takes no such values.
        """
        self._check(columns)
        features = self._operation.run(columns)
        if self._final is None:
            return getattr(_last(self.original()), method)(features)
        if _beyond(features, whole=self._final.whole):
            return getattr(self.original(), method)(self.signature.table(columns))
        sums = self._final.sums(features)
        if method == "predict_proba":
            return self._final.probabilities(sums)
        if self._final.classes:
            return np.asarray(self._final.classes)[self._final.choices(sums)]
        return self._final.values(sums)

    def _found(self, ask: Ask) -> tuple[Rows, str] | None:
        """The rows of a request that is plainly right; any other is read by way of pandas, which may yet take it."""
        try:
            return self._decoded(ask)
        except Exception:
            log.exception("a request could not be decoded")
            return None

    def _decoded(self, ask: Ask) -> tuple[Rows, str] | None:
        if ask.content_type != "application/json" and not ask.content_type.startswith("application/json;"):
            return None
        if ";" in ask.content_type and ask.content_type.partition(";")[2].strip().lower() != "charset=utf-8":
            return None
        found = self._decoder.decode(ask.body)
        if found is None:
            return None
        method = ask.method or found[1] or self.plan.method
        if not self._has(method) or (self.plan.refuses_missing and (b"null" in ask.body or b"NaN" in ask.body)):
            return None
        if self.plan.refuses_infinite and b"Infinity" in ask.body:
            return None
        return found[0], method

    def _has(self, method: str) -> bool:
        if self._final is None:
            return method in ("predict", "predict_proba") and hasattr(_last(self.original()), method)
        return method == "predict" or (
            method == "predict_proba" and self._final.link not in ("none", "identity", "exp")
        )

    def _together(self, taken: Sequence[tuple[int, Rows, str]]) -> Sequence[Answer | None]:
        """Answers to requests that were decoded; None for each where one of them holds what the model refuses."""
        rows = taken[0][1] if len(taken) == 1 else [row for _, some, _ in taken for row in some]
        try:
            features = self._by_row.run(rows) if self._by_row is not None and len(rows) <= FEW_BY_ROW else None
            by_row = features is not None
            if not by_row:
                features = self._operation.run(list(zip(*rows, strict=True)))
            if self._final is not None:
                if _beyond(features, whole=self._final.whole):
                    return [None] * len(taken)
                return self._answers(taken, features, by_row=by_row)
            return self._asked(taken, features)
        except Exception:
            return [None] * len(taken)

    def _answers(self, taken: Sequence[tuple[int, Rows, str]], features: Any, *, by_row: bool) -> list[Answer]:
        final = self._final
        assert final is not None  # noqa: S101 for the type checker
        if (
            by_row
            and self.classes
            and (taken[0][2] == "predict" if len(taken) == 1 else all(method == "predict" for _, _, method in taken))
        ):
            two = final.two(features)
            if two is not None:
                return self._two(taken, *two)
        sums = final.sums(features)
        labels, choices, values = self._labels, [], []
        if any(method == "predict" for _, _, method in taken):
            if labels:
                choices = final.choices(sums).tolist()
            else:
                values = final.values(sums).tolist()
        shares = final.probabilities(sums) if self.classes else sums
        at, made = 0, []
        for _, rows, method in taken:
            end = at + len(rows)
            if method != "predict":
                made.append(encode(shares[at:end]))
            elif labels:
                body = b'{"predictions":[' + b",".join([labels[c] for c in choices[at:end]]) + b"]}"
                told = shares[at:end].tobytes() if self.classes else b""
                made.append(Answer(200, body, rows=end - at, probabilities=told))
            elif all(map(math.isfinite, values[at:end])):
                made.append(Answer(200, orjson.dumps({"predictions": values[at:end]}), rows=end - at))
            else:
                made.append(encode(values[at:end]))
            at = end
        return made

    def _two(self, taken: Sequence[tuple[int, Rows, str]], choices: list[int], shares: list[float]) -> list[Answer]:
        """A few rows of two classes."""
        labels, at, made = self._labels, 0, []
        pack = struct.pack
        for _, rows, _ in taken:
            count = len(rows)
            if count == 1:
                body = self._alone_bodies[choices[at]]
            else:
                body = b'{"predictions":[' + b",".join([labels[c] for c in choices[at : at + count]]) + b"]}"
            told = pack(f"<{2 * count}d", *shares[2 * at : 2 * (at + count)])
            made.append(Answer(200, body, rows=count, probabilities=told))
            at += count
        return made

    def _asked(self, taken: Sequence[tuple[int, Rows, str]], features: Any) -> list[Answer]:
        """By scikit-learn's own estimator, one call a method."""
        estimator = _last(self.original())
        results = {method: getattr(estimator, method)(features) for method in {m for _, _, m in taken}}
        at, made = 0, []
        for _, rows, method in taken:
            made.append(encode(results[method][at : at + len(rows)]))
            at += len(rows)
        return made

    def _alone(self, rows: Rows, method: str) -> Answer:
        return self._computed(list(zip(*rows, strict=True)), method)

    def _read(self, ask: Ask) -> Answer:
        """By way of pandas: another format, a mistake, or what is not plainly right."""
        data, method, refused = read(ask, self.signature, self.plan.method)
        if refused is not None:
            return refused
        if not len(data):
            return Answer.error(400, BAD_REQUEST, EMPTY)
        refused = None if self.held is None else self.held.table(data)
        if refused is not None:
            return refused
        if not self._has(method):
            return self._by_original(data, method)
        try:
            columns = self.columns(data)
        except Refused as error:
            return Answer.error(400, error.code, error.message)
        return self._computed(columns, method)

    def _computed(self, columns: Sequence[Sequence[Any]], method: str) -> Answer:
        try:
            return encode(self.compute(columns, method))
        except Refused as error:
            return Answer.error(400, error.code, error.message)
        except Exception as error:
            return unpredictable(error)

    def _by_original(self, data: Any, method: str) -> Answer:
        try:
            return encode(getattr(self.original(), method)(data))
        except Exception as error:
            return unpredictable(error)

    def _check(self, columns: Sequence[Sequence[Any]]) -> None:
        for what, where in (("NaN", self.plan.refuses_missing), ("infinity", self.plan.refuses_infinite)):
            for number in where:
                for value in columns[number]:
                    missing = value is None or value != value  # noqa: PLR0124 NaN is not equal to itself
                    infinite = isinstance(value, float) and math.isinf(value)
                    if missing if what == "NaN" else infinite:
                        name = self.signature.columns[number].name if self.signature.columns else str(number)
                        raise Refused(
                            "Encountered an unexpected error while evaluating the model. Verify that the serialized input "
                            f"Dataframe is compatible with the model for inference. Error: ValueError: Input X contains "
                            f"{what} in column {name}, and the model takes none."
                        )


def _beyond(features: Any, *, whole: bool) -> bool:
    """Whether a feature is infinite or beyond float32, or missing where all have to be there: what steps refuse they know."""
    flat = features.ravel()
    with np.errstate(over="ignore"):
        if float(np.dot(flat, flat)) < LARGEST:  # the sum of squares, which is the quickest way to look at all
            return False
    return bool((np.abs(flat) >= LARGEST_SINGLE).any() or (whole and np.isnan(flat).any()))


def _last(estimator: Any) -> Any:
    """The estimator that a pipeline ends in."""
    with contextlib.suppress(AttributeError):
        estimator = estimator.best_estimator_
    steps = getattr(estimator, "steps", None)
    return _last(steps[-1][1]) if steps else estimator
