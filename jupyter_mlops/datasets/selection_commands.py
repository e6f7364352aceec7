"""The command that chooses features by several methods and shows what each is worth."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.feature_selection import FeatureSelection
from ..errors import InvalidArgument
from .check_commands import known_column
from .tables import as_table

__all__ = ["SelectionCommands"]


class SelectionCommands(CommandSet):
    """Feature selection: a command of the group ``data``."""

    @command("data select", stage="datasets", changes=True)
    def select(
        self,
        table: Annotated[Any, Arg(value="table", complete="data", metavar="DF")],
        *,
        target: Annotated[str, Arg(metavar="COLUMN")],
        method: Annotated[
            list[str] | None, Arg(choices=("mutual-information", "rfe", "permutation", "shap", "pca"))
        ] = None,
        columns: Annotated[list[str] | None, Arg(metavar="COLUMN")] = None,
        keep: int = 0,
        variance: float = 0.95,
        folds: int = 3,
        seed: int = 0,
        model: Annotated[Any, Arg(value="object", metavar="ESTIMATOR")] = None,
    ) -> FeatureSelection:
        """Choose features by several methods, and compare on the same folds what a model makes of what each kept.

        On every fold each method chooses anew from the training rows, so no score has seen its test rows. The result is a
        run with a child for each method: what it kept, its scores, a picture of them. `.transformer("rfe")` is the fitted
        scikit-learn transformer to put first in a pipeline. The same seed gives the same result.

        Parameters
        ----------
        table
            A DataFrame, a CSV or Parquet file, or a data version.
        target
            The column to be predicted: few different values are classes, else it is a number.
        method
            Methods to compare; by default all: mutual information, recursive elimination, permutation importance, SHAP
            values, and PCA.
        columns
            The columns to choose from; by default all others.
        keep
            How many columns stay; by default half of them.
        variance
            The share of the variance that PCA keeps, above 0 to below 1.
        folds
            How many folds.
        seed
            Of everything that is drawn.
        model
            The estimator to rank and to measure with; it takes numbers. By default randomised trees.

        Examples
        --------
        %mlops data select train --target y --keep 8
        %mlops data select train --target y --method rfe --method pca --variance 0.9
        """
        from .selection import METHODS, Problem
        from .selection.selecting import recorded, select

        frame = as_table(self.context, table)
        known_column(frame, target)
        wanted = columns or [str(c) for c in frame.columns if c != target]
        for name in wanted:
            known_column(frame, name)
        asked = method or list(METHODS)
        inputs = _usable(frame[wanted])
        if inputs.shape[1] < 2:
            raise InvalidArgument(
                "there are fewer than two columns to choose from.", hint="Name others with --columns."
            )
        if not 0 <= keep <= inputs.shape[1]:
            raise InvalidArgument(f"--keep takes a number up to {inputs.shape[1]}, the columns there are, not {keep}.")
        if not 0 < variance < 1:
            raise InvalidArgument(f"--variance is a share above 0 and below 1, not {variance:g}.")
        count = keep or -(-inputs.shape[1] // 2)
        problem = Problem(inputs, frame[target], count, variance, seed, model)
        found = select(problem, asked, folds=folds, name=target, progress=self.context.progress)
        with tempfile.TemporaryDirectory(prefix="mlops-selection-") as place:
            return recorded(found, self.context.hooks["record"], Path(place))


def _usable(frame: Any) -> Any:
    """The columns that can be ranked: numbers and words.

    Raises
    ------
    InvalidArgument
        A column holds times or objects.
    """
    import pandas as pd

    for name in frame.columns:
        kind = frame[name].dtype
        times = pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind)
        held = pd.api.types.infer_dtype(frame[name], skipna=True) if pd.api.types.is_object_dtype(kind) else ""
        if times or held not in ("", "string", "boolean", "empty"):
            raise InvalidArgument(
                f"{name} holds {held or 'times'}, which cannot be ranked.",
                hint="Turn it into numbers, or name the columns to choose from with --columns.",
            )
    return frame
