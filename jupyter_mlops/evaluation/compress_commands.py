"""The command that makes a model smaller."""

from __future__ import annotations

from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.compression import Compression
from ..domain.context import CommandSet
from ..domain.reference import check_name
from ..errors import InvalidArgument

__all__ = ["CompressCommands"]


class CompressCommands(CommandSet):
    """Evaluation to smaller candidates."""

    @command("compress", stage="evaluation", changes=True)
    def compress(
        self,
        model: Annotated[Any, Arg(value="object", complete="model-versions", metavar="MODEL")],
        *,
        data: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")],
        target: Annotated[str, Arg(metavar="COLUMN")] = "",
        ways: Annotated[list[str] | None, Arg(metavar="WAYS")] = None,
        metric: Annotated[str, Arg(metavar="METRIC")] = "",
        tolerance: float = 0.01,
        name: Annotated[str, Arg(complete="models", metavar="NAME")] = "",
        edge: Annotated[str, Arg(value="path", metavar="FILE.onnx")] = "",
        level: float = 0.95,
        seed: int = 0,
        allow_pickle: bool = False,
    ) -> Compression:
        """Make a model smaller, and show for each way its size, time, memory, and the metric's difference with its interval.

        `onnx` computes the same in 64 bits and `float32` in 32; `int8` writes the weights of matrix products as 8-bit
        numbers; `distil` teaches a small tree what the model says; `trees` keeps the first trees of a sum of them;
        `features` fits anew on fewer columns. Half of the rows make the candidates, the other half measures them.

        Parameters
        ----------
        model
            A fitted estimator, a model version or a run.
        data
            The table, with the target.
        target
            The column of truth; by default the one column that the model does not take.
        ways
            Which to try, `onnx,distil`; all that fit by default.
        metric
            What is compared; the task's first by default.
        tolerance
            How much of it leaving out trees or columns may cost: in points of a share, of an error in the target's units
            (mae, rmse) the part of it.
        name
            The name to register the candidates under; empty registers nothing.
        edge
            Write the model there as a single ONNX file that needs no scikit-learn, if it answers every row of the table
            as the model does; that is tried in a process without scikit-learn.
        level
            The intervals' level, 0 to 1.
        seed
            Of the split into halves.
        allow_pickle
            Load a model that is stored as a pickle; doing so runs the code in it.

        Examples
        --------
        %mlops compress adult-clf@champion --data adult@v3 --name adult-small
        %mlops compress clf --data holdout --ways onnx --edge clf.onnx
        """
        from .compression import compressed
        from .evaluating import named
        from .smaller import WAYS
        from .subject import model_of, subject_of

        wanted = named(ways) or tuple(WAYS)
        for way in wanted:
            if way not in WAYS:
                raise InvalidArgument.unknown("way to make a model smaller", way, WAYS)
        if tolerance < 0:
            raise InvalidArgument(f"--tolerance is 0 or more, not {tolerance:g}.")
        if name:
            check_name(name, "model")
        found = model_of(self.context, model, allow_pickle=allow_pickle)
        subject = subject_of(self.context, found, data, target=target)
        return compressed(
            self.context,
            subject,
            wanted,
            metric=metric,
            tolerance=tolerance,
            name=name,
            edge=edge,
            level=level,
            seed=seed,
        )
