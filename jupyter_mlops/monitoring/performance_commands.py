"""The commands about what predictions turned out to be worth: labels in, performance out."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet, now_ms
from ..domain.length import parse_length
from ..domain.performance import Labelled, Performance
from ..errors import InvalidArgument
from .stretch import parse_window

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PerformanceCommands"]

KEYS = ("id", "mlops.id")
TARGETS = ("label", "target", "y", "class", "outcome")
SHAP_SECONDS = 20.0


class PerformanceCommands(CommandSet):
    """Inference log and labels to performance."""

    @command("label", stage="monitoring", changes=True)
    def label(
        self,
        model: Annotated[str, Arg(complete="deployments", metavar="MODEL")],
        table: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")],
        *,
        on: Annotated[str, Arg(metavar="COLUMN")] = "",
        target: Annotated[str, Arg(metavar="COLUMN")] = "",
        replace: bool = False,
    ) -> Labelled:
        """Bring the ground truth of predictions, whenever it comes: it is joined to the log and kept.

        Bringing the same labels again changes nothing. A label that differs from one that is there is left out and
        counted, unless `replace` is given; rows without a prediction are counted.

        Parameters
        ----------
        model
            A deployment or the model it serves.
        table
            A DataFrame, a CSV or Parquet file, or a data version: what tells the predictions, and their labels.
        on
            The column that tells the predictions: ``id`` (the default; a table's index may be called so), ``key`` for
            the key a version was chosen by, or one of the model's inputs: its label then belongs to every prediction
            that has the value.
        target
            The column of labels; not needed where there is only one other, or one called label, target or y.
        replace
            Take labels that differ from those that are there.

        Examples
        --------
        %mlops label adult-clf outcomes
        %mlops label adult-clf outcomes.csv --on customer --target churned
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from ..datasets.tables import as_table

        frame = as_table(self.context, table)
        named = {"mlops.id": "id", "mlops.key": "key"}
        frame = frame.rename(columns={k: v for k, v in named.items() if k in frame.columns and v not in frame.columns})
        if frame.index.name in KEYS and "id" not in frame.columns:
            frame = frame.rename_axis("id").reset_index()
        join = on or next((k for k in ("id", "key") if k in frame.columns), "")
        if join not in frame.columns:
            raise InvalidArgument(
                f"which column tells the predictions? The table has {', '.join(map(str, frame.columns[:8]))}.",
                hint="Give the ids that `predict` answered as a column `id`, or name a column with --on.",
            )
        truth = _target(frame, join, target)
        folder = self.context.workspace.home / "staging" / "labels"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{uuid.uuid4().hex}.parquet"
        chosen = frame[[join, truth]].reset_index(drop=True)
        try:
            pq.write_table(pa.Table.from_pandas(_writable(chosen), preserve_index=False), file)
            answer = self.context.call(
                "monitoring.label", name=model, file=str(file), on=join, target=truth, replace=replace
            )
        finally:
            file.unlink(missing_ok=True)
        return Labelled.from_dict(answer)

    @command("performance", stage="monitoring", changes=True)
    def performance(
        self,
        model: Annotated[str, Arg(complete="deployments", metavar="MODEL")],
        *,
        window: Annotated[str, Arg(metavar="LENGTH")] = "",
        every: Annotated[str, Arg(metavar="LENGTH")] = "",
        by: Annotated[list[str] | None, Arg(metavar="COLUMN")] = None,
        version: Annotated[str, Arg(metavar="VERSION")] = "",
        why: bool = False,
        shap: bool = False,
        allow_pickle: bool = False,
    ) -> Performance:
        """Show what a deployment's predictions were worth: realised where labels have come, estimated where not.

        Realised metrics have intervals; estimates say what they assume, and how far off they were once labels come.
        Beside them stand latencies, throughput and the share of failed requests. Windows that are over are kept as
        MLflow metrics.

        Parameters
        ----------
        model
            A deployment or the model it serves.
        window
            Only a window of the log: a length up to now, ``24h``, ``7d``, or the current ``hour``, ``day``, ``week`` or
            ``month`` (UTC); everything by default.
        every
            Window by window, of this length: ``1d``, ``1h``, ``10min``.
        by
            Also by the values of these columns: their categories, or the quarters of their numbers.
        version
            Only what this version answered: ``v3``.
        why
            Also rank the columns and slices that explain a change of the loss: of the last window with labels against
            those before, or of the newer half of the log against the older.
        shap
            With `why`: also how far each column's SHAP values moved (needs the ``evaluation`` extra and the model).
        allow_pickle
            Load a model that is stored as a pickle, for `shap`.

        Examples
        --------
        %mlops performance adult-clf
        %mlops performance adult-clf --every 1d --by sex
        %mlops performance adult-clf --every 1d --why
        """
        if every and window:
            raise InvalidArgument("--window and --every exclude one another.", hint="Leave one of them out.")
        if every:
            parse_length(every)
        if window:
            parse_window(window, now_ms())
        if shap and not why:
            raise InvalidArgument("--shap goes with --why.", hint="Add --why.")
        moved = self._shap(model, allow_pickle=allow_pickle) if shap else None
        columns = list(by or ())
        answer = self.context.call(
            "monitoring.performance",
            name=model,
            window=window,
            every=every,
            by=columns,
            version=version,
            why=why,
            shap=moved,
        )
        return Performance.from_dict(answer)

    def _shap(self, model: str, *, allow_pickle: bool) -> dict[str, float]:
        """How far the mean absolute SHAP value of each column moved from the older half of the log to the newer."""
        import pandas as pd

        from ..evaluation.attribution import attribute
        from ..evaluation.loading import load_estimator

        given = self.context.call("monitoring.rows_for_shap", name=model)
        found = self.context.call("evaluation.locate", model=given["model"])
        estimator = load_estimator(Path(found["folder"]), found["ref"], allow_pickle=allow_pickle)
        at = len(estimator.classes_) - 1 if hasattr(estimator, "classes_") else -1
        means: list[dict[str, float]] = []
        for part in given["parts"]:
            frame = pd.DataFrame(part["data"], columns=part["columns"])
            told = attribute(estimator, frame, at, budget=SHAP_SECONDS / 2, progress=self.context.progress)
            size = abs(told.contributions).mean(axis=0)
            means.append(dict(zip(told.columns, map(float, size), strict=True)))
        return {name: means[1][name] - value for name, value in means[0].items() if name in means[1]}


def _target(frame: pd.DataFrame, join: str, target: str) -> str:
    columns = [str(c) for c in frame.columns if str(c) != join]
    if target:
        if target not in columns:
            raise InvalidArgument.unknown("column for --target", target, columns)
        return target
    named = [c for c in TARGETS if c in columns]
    if len(columns) == 1 or named:
        return named[0] if named else columns[0]
    raise InvalidArgument(
        f"which column holds the labels? The table has {', '.join(columns) or 'no other column'}.",
        hint="Add --target COLUMN.",
    )


def _writable(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of mixed types as text, which Arrow cannot hold otherwise."""
    import pyarrow as pa

    for name in frame.columns:
        try:
            pa.array(frame[name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            frame = frame.assign(**{name: frame[name].map(lambda v: None if v is None or v != v else str(v))})  # noqa: PLR0124
    return frame
