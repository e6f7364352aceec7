"""``python -m jupyter_mlops.serving.compiled.build MODEL PLANS``: finds the fastest way to serve a model that is exact.

Runs in a process of its own, so that the server never loads scikit-learn and pandas where it does not need them.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..load import ModelFolder
from ..model import Ask, read
from ..signature import Signature
from .encode import NotCompilable, Raw, encode, matrix
from .finals import Final, final_of
from .model import CompiledModel
from .operations import Operation
from .plan import Plan
from .proven import forget_oldest, key_of, proving
from .trees import Forest
from .verify import Differs, Samples, body_of, proven_by_row, refusals, verify
from .walk import lay_out, walkable

__all__ = ["be_builder", "build", "example_rows", "main", "plan_of", "prove"]

log = logging.getLogger("jupyter_mlops.serving")


def build(folder: ModelFolder, into: Path, *, allow_pickle: bool) -> Plan:
    """Load the model, compile it as far as that is exact, and write the plan."""
    signature = Signature.parse(folder.inputs)
    plan = plan_of(folder.estimator(allow_pickle=allow_pickle), signature, folder)
    plan.write(into)
    return plan


def plan_of(estimator: Any, signature: Signature | None, folder: ModelFolder) -> Plan:
    """The fastest plan that computes the same as the estimator."""
    method = folder.method
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    try:
        if signature is None:
            raise NotCompilable("the model has no signature")
        operation, width = _preprocessing(estimator, signature)
        rows = example_rows(folder, signature)
        samples = Samples(signature, rows, folder.path / "mlops" / "profile")

        def parse(some: list[Any]) -> Any:
            data, _, refused = read(Ask(body_of(signature, some)), signature, method)
            if refused is not None:
                raise ValueError(refused.body.decode())
            return data

        missing, infinite = refusals(samples, parse, estimator.predict)
        plan = Plan("encoder", "", operation, refuses_missing=missing, refuses_infinite=infinite, method=method)
    except (NotCompilable, ValueError) as error:
        return Plan("dataframe", str(error), method=method)
    last = _last(estimator)
    try:
        final, forest = final_of(last, width)
        if forest is not None and final.tree_width != width:
            raise NotCompilable(f"the estimator takes {final.tree_width} features and gets {width}")
        return _checked(plan, estimator, signature, samples, final, forest)
    except (NotCompilable, Differs) as error:
        reason = str(error)
    try:
        return replace(_checked(plan, estimator, signature, samples, None, None), reason=reason)
    except Differs as error:
        return Plan("dataframe", f"{reason}; {error}" if reason != str(error) else reason, method=method)


def _checked(
    plan: Plan, estimator: Any, signature: Signature, samples: Samples, final: Final | None, forest: Forest | None
) -> Plan:
    trees = b""
    if final is not None and forest is not None:
        final.walked = walkable(forest)
        trees = lay_out(forest) if final.walked else forest.onnx()
    made = replace(plan, path="compiled" if final is not None else "encoder", final=final, trees=trees)
    splits = {} if forest is None else forest.splits()
    single = type(_last(estimator)).__module__.startswith("xgboost")
    made.by_row = final is not None and proven_by_row(plan.operation, samples)
    made.checked = verify(CompiledModel(made, signature, lambda: estimator), estimator, samples, splits, single=single)
    return made


def _preprocessing(estimator: Any, signature: Signature) -> tuple[Operation, int]:
    if signature.tensor is not None:
        kind = {"float64": "double", "float32": "float", "int64": "long", "int32": "integer"}.get(
            signature.tensor.dtype
        )
        if kind is None or len(signature.tensor.shape) != 2 or signature.tensor.shape[1] < 1:
            raise NotCompilable("the model takes an array that is no table of numbers")
        width = signature.tensor.shape[1]
        source: Any = Raw(tuple(range(width)), (kind,) * width)
    else:
        if not signature.named:
            raise NotCompilable("the signature's columns have no names")
        names = tuple(column.name for column in signature.columns)
        source = Raw(tuple(range(len(names))), tuple(column.type for column in signature.columns), names)
        known = getattr(estimator, "feature_names_in_", None)
        if known is not None and list(known) != list(names):
            if set(known) - set(names):
                raise NotCompilable("the signature lacks a column that the model was trained on")
            source = source.some([names.index(name) for name in known])
    steps = [estimator]
    while hasattr(steps[-1], "steps"):
        steps[-1:] = [step for _, step in steps[-1].steps]
    for step in steps[:-1]:
        if step is not None and step != "passthrough":
            source = encode(step, source)
    last = steps[-1]
    if isinstance(source, Raw) and not source.numeric:
        raise NotCompilable(f"{type(last).__name__} takes columns that are no numbers as they are")
    made = matrix(source)
    return made.operation, made.width


def example_rows(folder: ModelFolder, signature: Signature) -> list[Any]:
    """The stored example's rows; without one, rows of zeros and of the empty text."""
    example = folder.example()
    if example is not None:
        data, _, refused = read(Ask(*example), signature, "predict")
        if refused is None and len(data):
            lists = (
                data.tolist() if hasattr(data, "tolist") else list(zip(*(data[c].tolist() for c in data), strict=True))
            )
            rows = [[None if isinstance(v, float) and math.isnan(v) else _text(v) for v in row] for row in lists]
            if signature.tensor is not None or len(rows[0]) == len(signature.columns):
                return rows * 2
    empty: dict[str, Any] = {"string": "", "boolean": False, "long": 0, "integer": 0, "datetime": "2000-01-01T00:00:00"}
    if signature.tensor is not None:
        return [[1.0] * signature.tensor.shape[1], [0.0] * signature.tensor.shape[1]]
    return [[empty.get(column.type, 0.0) for column in signature.columns]] * 2


def _text(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _last(estimator: Any) -> Any:
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator


def main(arguments: list[str] | None = None) -> int:
    """Build one model's plan, unless it is there by the time that nobody else builds it."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_mlops.serving.compiled.build", description=__doc__)
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("plans", type=Path, help="where plans are kept")
    parser.add_argument(
        "--allow-pickle", action="store_true", help="loading the model may run code that is stored in it"
    )
    parser.add_argument("--root", default="", help="the project's folder, for classes that the model is made of")
    given = parser.parse_args(arguments)
    be_builder(given.root)
    prove(given.model, given.plans, allow_pickle=given.allow_pickle)
    return 0


def be_builder(root: str, nice: int = 0) -> None:
    """Set this process up for building plans.

    Parameters
    ----------
    root
        The project's folder, for classes that a model is made of.
    nice
        How far to stand back for other processes.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    warnings.simplefilter("ignore")  # on edge rows scikit-learn has much to say
    log.setLevel(logging.ERROR)
    os.umask(0o077)
    os.nice(nice)
    if root:
        sys.path.append(root)


def prove(model: Path, plans: Path, *, allow_pickle: bool, loaded: Callable[[], None] = lambda: None) -> None:
    """Build one model's plan, unless it is there by the time that nobody else builds it.

    Parameters
    ----------
    loaded
        Waits until the libraries are loaded; called when the others know already that this process builds the plan.
    """
    folder = ModelFolder.open(model)
    if folder.native():
        plan = plans / key_of(folder)
        with proving(plan):
            if Plan.read(plan) is None:
                loaded()
                build(folder, plan, allow_pickle=allow_pickle)
                forget_oldest(plans)


if __name__ == "__main__":
    sys.exit(main())
