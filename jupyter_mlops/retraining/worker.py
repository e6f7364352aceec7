"""Worker: one retrain, in a process of its own: new data in, a challenger out, compared with the champion on rows neither saw.

It touches neither traffic nor the champion: it registers a version and writes what it found into its folder, and the
service decides.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.saving import save_table
from ..datasets.tables import as_table, load_version
from ..domain.context import Context
from ..domain.retrain import Compared, Retrain
from ..errors import InvalidArgument, MLOpsError, NotReady
from ..evaluation.measures import measure_names
from ..evaluation.paired import paired_difference
from ..evaluation.subject import model_of, predicted
from ..monitoring.labels import plain
from ..monitoring.performance import headline_of
from ..pipelines.export import read_description
from ..registry.commands import RegistryCommands
from ..tracking.process_start import start_time
from .jobs import FEWEST_FRESH, PROCESS, write_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["work"]

HELD_OUT = 0.3
SHOWN = ("roc_auc", "accuracy", "log_loss", "rmse", "mae")
SUFFIXES = (".csv", ".parquet", ".csv.gz")


@dataclass
class Tables:
    """What a challenger is trained on and compared on.

    Parameters
    ----------
    training
        The champion's training data and the older labelled rows.
    fresh
        The newest labelled rows; neither model has seen them.
    """

    inputs: list[str]
    target: str
    training: pd.DataFrame
    fresh: pd.DataFrame
    notes: list[str]
    refs: list[str]


def work(context: Context, folder: Path) -> None:
    """Carry out the retrain in a folder, and write ``result.json`` there whatever happens."""
    context.progress = _say
    write_json(folder / PROCESS, {"pid": os.getpid(), "started": start_time(os.getpid()) or ""})
    job = Retrain.from_dict(json.loads((folder / "job.json").read_text()))
    try:
        result = _work(context, folder, job)
    except MLOpsError as error:
        traceback.print_exc()
        result = {"error": f"{error.message} {error.hint}".strip()}
    except BaseException as error:
        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    write_json(folder / "result.json", result)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _work(context: Context, folder: Path, job: Retrain) -> dict[str, Any]:
    rules = job.rules
    champion = model_of(context, job.model, allow_pickle=rules.allow_pickle)
    data = json.loads((folder / "data.json").read_text())
    tables = _tables(context, champion.estimator, data, folder, rules.target)
    context.progress(f"training on {len(tables.training):,} rows")
    if rules.pipeline:
        challenger, how = _run_pipeline(Path(rules.pipeline), tables, folder), f"ran the pipeline {rules.pipeline}"
    else:
        from sklearn.base import clone

        challenger = clone(champion.estimator).fit(tables.training[tables.inputs], tables.training[tables.target])
        how = f"fitted the {type(challenger).__name__} of {job.model} again"
    fresh = _compare(context, challenger, champion.estimator, tables, tables.fresh, "fresh")
    compared = [fresh]
    if rules.frozen:
        frozen = as_table(context, rules.frozen)
        if tables.target not in frozen.columns:
            raise InvalidArgument(
                f"the frozen table {rules.frozen} has no column {tables.target!r}.",
                hint="Give it with --frozen, labelled.",
            )
        compared.append(_compare(context, challenger, champion.estimator, tables, frozen, f"frozen ({rules.frozen})"))
    metric = rules.metric or fresh.differences[0].metric
    decides = fresh.of(metric)
    if decides is None:
        raise InvalidArgument.unknown("--metric", metric, [d.metric for d in fresh.differences])
    worse = [
        c.on for c in compared if (d := c.of(metric)) is not None and (d.high < 0 if d.higher_is_better else d.low > 0)
    ]
    name = job.model.partition("@")[0]
    saved = save_table(context, tables.training, f"{name}-retraining", sources=tables.refs)
    version = RegistryCommands(context).register(
        challenger,
        name=name,
        data=tables.training,
        alias="challenger" if decides.better and not worse else "",
        allow_pickle=rules.allow_pickle,
    )
    return {
        "challenger": version.ref,
        "how": how,
        "metric": metric,
        "training_rows": len(tables.training),
        "better": decides.better and not worse,
        "compared": [c.to_dict() for c in compared],
        "notes": [*tables.notes, f"trained on {saved.ref}"],
    }


def _tables(context: Context, champion: Any, data: dict[str, Any], folder: Path, target: str) -> Tables:
    """The training data of the champion with the older labelled rows, and the newest labelled rows aside."""
    import pandas as pd

    labelled = pd.read_parquet(folder / "labelled.parquet")
    if len(labelled) < FEWEST_FRESH:
        raise NotReady(
            f"{len(labelled)} labelled predictions are too few to train and compare on; at least {FEWEST_FRESH}.",
            hint="Bring more with `%mlops label`.",
        )
    inputs, notes, frames = [str(c) for c in labelled.columns if c != LABEL], [], []
    for ref in data["data"]:
        frame, _ = load_version(context, ref)
        left = [str(c) for c in frame.columns if str(c) not in inputs]
        column = target or (left[0] if len(left) == 1 else "")
        if column in frame.columns and set(inputs) <= set(map(str, frame.columns)):
            target = column
            frames.append(frame[[*inputs, column]].dropna(subset=[column]))
        else:
            notes.append(f"{ref} was left out: it does not say which column is the target (--target)")
    target = target or "target"
    labelled = labelled.rename(columns={LABEL: target})
    known = list(getattr(champion, "classes_", ()))
    if known:
        by_text = {plain(v): v for v in known}
        labelled[target] = [by_text.get(plain(v), v) for v in labelled[target]]
    elif not pd.api.types.is_numeric_dtype(labelled[target]):
        labelled[target] = pd.to_numeric(labelled[target])
    cut = int(len(labelled) * (1 - HELD_OUT))
    new, fresh = labelled.iloc[:cut], labelled.iloc[cut:].reset_index(drop=True)
    if not frames:
        notes.append(
            "the champion's own training data is not a saved data version: trained on labelled predictions alone"
        )
    training = pd.concat([*frames, new], ignore_index=True)
    if known:
        training[target] = training[target].astype(pd.Series(known).dtype)
    notes.append(f"{len(new):,} of {len(training):,} training rows are new; the newest {len(fresh):,} were left aside")
    return Tables(inputs, target, training, fresh, notes, list(data["data"]))


LABEL = "mlops.label"


def _run_pipeline(directory: Path, tables: Tables, folder: Path) -> Any:
    """Run an exported pipeline on the training table, put in the place of the file that it reads; give its model."""
    description = read_description(directory)
    files = [p for p in description["parameters"] if str(p["default"]).endswith(SUFFIXES)]
    if len(files) != 1:
        there = ", ".join(p["name"] for p in files) or "none"
        raise InvalidArgument(
            f"the pipeline must take its table as one parameter, the path of a file; it has {there}.",
            hint="Put the path into a variable of its own in the notebook, and export it again.",
        )
    suffix = next(s for s in reversed(SUFFIXES) if str(files[0]["default"]).endswith(s))
    table = folder / f"training{suffix}"
    if suffix == ".parquet":
        tables.training.to_parquet(table)
    else:
        tables.training.to_csv(table, index=False)
    runs_in = directory / str(description["runs_in"])
    os.chdir(runs_in if runs_in.is_dir() else directory)
    sys.path.insert(0, str(directory))
    module = importlib.import_module("pipeline")
    results = getattr(module, description["entry"])(**{files[0]["name"]: str(table)})
    models = {name: value for name, value in results.items() if callable(getattr(value, "predict", None))}
    if len(models) != 1:
        raise InvalidArgument(
            f"the pipeline must give one model among its results; it gives {', '.join(models) or 'none'}.",
            hint="Export it with `--targets` naming the model.",
        )
    return next(iter(models.values()))


def _compare(
    context: Context, challenger: Any, champion: Any, tables: Tables, frame: pd.DataFrame, on: str
) -> Compared:
    """Both on the same rows, metric by metric; what decides comes first."""
    context.progress(f"comparing on {len(frame):,} {on} rows")
    truth = frame[tables.target]
    ours, _, _ = predicted(challenger, frame[tables.inputs], truth)
    theirs, _, _ = predicted(champion, frame[tables.inputs], truth)
    probable = ours.probabilities is not None and theirs.probabilities is not None
    first = headline_of(ours.task, probabilities=probable)
    if first == "roc_auc" and len(np.unique(ours.target)) < 2:
        first = "accuracy"
    usable = [m for m in SHOWN if m in measure_names(ours.task) and (probable or m not in ("roc_auc", "log_loss"))]
    names = dict.fromkeys([first, *(m for m in usable if first != "accuracy" or m != "roc_auc")])
    return Compared(on, len(frame), tuple(paired_difference(m, ours, theirs) for m in names))
