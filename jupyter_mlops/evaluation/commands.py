"""The commands of the evaluation stage."""

from __future__ import annotations

from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.evaluation import Evaluation, EvaluationTable
from ..domain.model_comparison import ModelComparison
from ..errors import InvalidArgument

__all__ = ["EvaluationCommands"]


class EvaluationCommands(CommandSet):
    """Data version and model to evaluation."""

    @command("evaluate", stage="evaluation", changes=True)
    def evaluate(
        self,
        model: Annotated[Any, Arg(value="object", complete="model-versions", metavar="MODEL")],
        *,
        data: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")],
        target: Annotated[str, Arg(metavar="COLUMN")] = "",
        positive: Annotated[str, Arg(metavar="CLASS")] = "",
        slices: Annotated[list[str] | None, Arg(metavar="COLUMNS|auto")] = None,
        fairness: Annotated[list[str] | None, Arg(metavar="COLUMNS")] = None,
        calibration: bool = False,
        cost: Annotated[list[str] | None, Arg(metavar="fp=MONEY,fn=MONEY")] = None,
        cv: Annotated[int, Arg(metavar="FOLDS")] = 0,
        learning_curve: bool = False,
        explain: bool = False,
        explain_row: Annotated[int | None, Arg(metavar="ROW")] = None,
        robustness: bool = False,
        against: Annotated[Any, Arg(value="object", complete="model-versions", metavar="MODEL")] = None,
        refit: bool = False,
        metric: Annotated[str, Arg(metavar="METRIC")] = "",
        level: float = 0.95,
        seed: int = 0,
        allow_pickle: bool = False,
        store: bool = True,
    ) -> Evaluation | ModelComparison:
        """Measure what a model is worth on a table: every metric of its task with an interval, and what is asked besides.

        The evaluation is kept with the model: as metrics of its run and logged model, and as small artifacts there;
        `evaluations` lists them and `evaluation` shows one again.

        Parameters
        ----------
        model
            A fitted estimator, a model version (``clf@7``), a run, or an array of predictions.
        data
            The table to measure on, with the target in it.
        target
            The column of truth; by default the one column that the model does not take.
        positive
            Which of two classes is the positive one; by default the model's second.
        slices
            Parts of the rows to look at, by columns (``sex,race``), or ``auto`` to search for the worst.
        fairness
            Columns whose groups are compared, ``sex,race``.
        calibration
            Look at whether probabilities are what is observed.
        cost
            What a false positive and a false negative cost, ``fp=5,fn=100``: the cheapest threshold is chosen.
        cv
            Cross-validate a clone of the model over so many folds of the table.
        learning_curve
            With --cv, also fit on a tenth to all of each fold's rows.
        explain
            What drives the model: SHAP values, permutation importance, partial dependence.
        explain_row
            Explain also this row, counted from 0.
        robustness
            What noise, missing values, wrong units, unknown categories, swapped columns and attacks do to it.
        against
            Another model, to compare with on the same rows instead; it is told where they differ beyond chance.
        refit
            With --against, also the 5x2cv test, which fits both models ten times.
        metric
            What slices are judged by: accuracy or log_loss, mae or rmse; with --against any metric of the task, also for --refit.
        level
            The intervals' level, 0 to 1.
        seed
            Of every random draw.
        allow_pickle
            Load a model that is stored as a pickle; doing so runs the code in it.
        store
            Keep the evaluation.

        Examples
        --------
        %mlops evaluate clf --data holdout
        %mlops evaluate adult-clf@champion --data adult@v3 --slices auto --fairness sex,race --calibration
        %mlops evaluate clf --data holdout --cost fp=5,fn=100 --cv 5
        %mlops evaluate clf@challenger --against clf@champion --data holdout --slices sex
        """
        from .against import compare
        from .evaluating import Asked, evaluate, keep, named
        from .slices import AUTO
        from .subject import model_of, subject_of
        from .threshold import parse_costs

        if learning_curve and not cv:
            raise InvalidArgument("--learning-curve goes with --cv.", hint="As in --cv 5 --learning-curve.")
        asked = Asked(
            slices=named(slices),
            fairness=named(fairness),
            calibration=calibration,
            costs=parse_costs(cost),
            folds=cv,
            learning_curve=learning_curve,
            explain=explain or explain_row is not None,
            explain_row=explain_row,
            robustness=robustness,
            metric=metric,
            level=level,
            seed=seed,
        )
        found = model_of(self.context, model, allow_pickle=allow_pickle)
        subject = subject_of(self.context, found, data, target=target, positive=positive)
        if against is not None:
            other = model_of(self.context, against, allow_pickle=allow_pickle)
            second = subject_of(self.context, other, data, target=subject.target, positive=positive)
            named_columns = [column for column in asked.slices if column != AUTO]
            return compare(
                subject,
                second,
                slices=named_columns,
                refit=refit,
                metric=metric,
                level=level,
                seed=seed,
                progress=self.context.progress,
            )
        if refit:
            raise InvalidArgument("--refit goes with --against.", hint="Name the model to compare with.")
        evaluation = evaluate(self.context, subject, asked)
        return keep(self.context, evaluation, subject) if store else evaluation

    @command("evaluations", stage="evaluation", changes=False)
    def evaluations(
        self, model: Annotated[str, Arg(complete="model-versions", metavar="MODEL")] = "", *, limit: int = 20
    ) -> EvaluationTable:
        """List the evaluations that were made, newest first; `evaluation` shows one in full.

        Parameters
        ----------
        model
            Only those of this model, version or run; empty for all.
        limit
            How many at the most.

        Examples
        --------
        %mlops evaluations adult-clf
        """
        if limit < 1:
            raise InvalidArgument(f"--limit takes a number from 1 on, not {limit}.")
        return EvaluationTable.from_dict(self.context.call("evaluation.list", model=model, limit=limit))

    @command("evaluation", stage="evaluation", changes=False)
    def evaluation(self, id_: Annotated[str, Arg(metavar="ID")]) -> Evaluation:
        """Show an evaluation that was made before, as it was then.

        Parameters
        ----------
        id_
            The evaluation's id or the beginning of it, see `evaluations`.

        Examples
        --------
        %mlops evaluation 018bcfe5
        """
        return Evaluation.from_dict(self.context.call("evaluation.show", id=id_))
