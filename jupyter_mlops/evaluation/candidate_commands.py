"""Commands that make a candidate out of a model, and that plan and read A/B tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ..domain.candidate import AbPlan, AbResult, Candidate
from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.reference import check_name
from ..errors import InvalidArgument

__all__ = ["CandidateCommands"]


class CandidateCommands(CommandSet):
    """Evaluation to candidate."""

    @command("recalibrate", stage="evaluation", changes=True)
    def recalibrate(
        self,
        model: Annotated[Any, Arg(value="object", complete="model-versions", metavar="MODEL")],
        *,
        data: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")],
        target: Annotated[str, Arg(metavar="COLUMN")] = "",
        method: Literal["isotonic", "sigmoid"] = "isotonic",
        name: Annotated[str, Arg(complete="models", metavar="NAME")] = "",
        seed: int = 0,
        allow_pickle: bool = False,
    ) -> Candidate:
        """Make a model's probabilities what is observed: a calibrator over it, as a new version.

        The calibrator is fitted on half of the table's rows and measured on the other half; the model itself stays as it
        is. The table must not be the one the model was trained on.

        Parameters
        ----------
        model
            A fitted classifier, a model version or a run.
        data
            Rows the model has not seen, with the target.
        target
            The column of truth; by default the one column that the model does not take.
        method
            ``isotonic`` from about 1,000 rows on, ``sigmoid`` for fewer.
        name
            The name to register the candidate under; empty registers nothing.
        seed
            Of the split into halves.
        allow_pickle
            Load a model that is stored as a pickle.

        Examples
        --------
        %mlops recalibrate adult-clf@champion --data holdout --name adult-clf
        """
        from .candidates import recalibrated

        subject = self._subject(model, data, target, name, allow_pickle=allow_pickle)
        return recalibrated(self.context, subject, method, name, seed=seed)

    @command("mitigate", stage="evaluation", changes=True)
    def mitigate(
        self,
        model: Annotated[Any, Arg(value="object", complete="model-versions", metavar="MODEL")],
        *,
        data: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")],
        by: Annotated[str, Arg(metavar="COLUMN")],
        target: Annotated[str, Arg(metavar="COLUMN")] = "",
        method: Literal["reweighing", "thresholds"] = "reweighing",
        criterion: Literal["demographic_parity", "equalized_odds", "true_positive_rate_parity"] = "equalized_odds",
        strength: float = 1.0,
        name: Annotated[str, Arg(complete="models", metavar="NAME")] = "",
        seed: int = 0,
        allow_pickle: bool = False,
    ) -> Candidate:
        """Treat groups more alike, as a new version: fitted anew with weights, or with a threshold for each group.

        Reweighing fits the model anew with groups and classes weighted as if they were independent. Thresholds leave it as
        it is and choose from which probability on each group gets a yes, by fairlearn's optimiser; then the trade-off of
        accuracy against the gap is shown. Half of the rows are fitted on, the other half tells what became of both.

        Parameters
        ----------
        model
            A classifier, a model version or a run.
        data
            The table to fit on, with the target.
        by
            The column whose groups are to be treated alike.
        target
            The column of truth; by default the one column that the model does not take.
        method
            Weights at the fit, or thresholds after it.
        criterion
            What thresholds are to make alike, and by what it is told whether groups are treated more alike beyond chance:
            the share of yes, the errors of both kinds, or the share of right yeses.
        strength
            How far thresholds go, from 0 (0.5 for everybody) to 1.
        name
            The name to register the candidate under; empty registers nothing.
        seed
            Of the split into halves.
        allow_pickle
            Load a model that is stored as a pickle.

        Examples
        --------
        %mlops mitigate adult-clf@champion --data adult@v3 --by sex --name adult-clf
        %mlops mitigate clf@champion --data adult@v3 --by sex --method thresholds
        """
        if method == "reweighing" and strength != 1:
            raise InvalidArgument(
                "--strength is how far thresholds go.", hint="Add --method thresholds, or leave it out."
            )
        subject = self._subject(model, data, target, name, allow_pickle=allow_pickle)
        if method == "thresholds":
            from .mitigation import thresholded

            return thresholded(self.context, subject, by, name, criterion=criterion, strength=strength, seed=seed)
        from .candidates import reweighed

        return reweighed(self.context, subject, by, name, criterion=criterion, seed=seed)

    @command("harden", stage="evaluation", changes=True)
    def harden(
        self,
        model: Annotated[Any, Arg(value="object", complete="model-versions", metavar="MODEL")],
        *,
        data: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")],
        target: Annotated[str, Arg(metavar="COLUMN")] = "",
        name: Annotated[str, Arg(complete="models", metavar="NAME")] = "",
        seed: int = 0,
        allow_pickle: bool = False,
    ) -> Candidate:
        """Train a classifier adversarially, as a new version: fitted also on rows that a small move turned.

        Half of the rows are fitted on; on the other half both models are attacked, and accuracy is compared.

        Parameters
        ----------
        model
            A classifier, a model version or a run.
        data
            The table to fit on, with the target.
        target
            The column of truth; by default the one column that the model does not take.
        name
            The name to register the candidate under; empty registers nothing.
        seed
            Of the split into halves and of the attacks.
        allow_pickle
            Load a model that is stored as a pickle.

        Examples
        --------
        %mlops harden adult-clf@champion --data adult@v3 --name adult-clf
        """
        from .mitigation import hardened

        subject = self._subject(model, data, target, name, allow_pickle=allow_pickle)
        return hardened(self.context, subject, name, seed=seed)

    @command("abtest", stage="evaluation", changes=False)
    def abtest(
        self,
        data: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")] = None,
        *,
        arm: Annotated[str, Arg(metavar="COLUMN")] = "arm",
        outcome: Annotated[str, Arg(metavar="COLUMN|right|LABEL")] = "",
        served: Annotated[str, Arg(complete="deployments", metavar="NAME")] = "",
        versions: Annotated[list[str] | None, Arg(complete="model-versions", metavar="MODEL@VERSION")] = None,
        rate: float | None = None,
        effect: float | None = None,
        power: float = 0.8,
        level: float = 0.95,
    ) -> AbPlan | AbResult:
        """Plan an A/B test, or read one: on outcomes in the order in which they came, at any time and as often as you like.

        Parameters
        ----------
        data
            One row an outcome, oldest first; without it the test is planned.
        arm
            The column that names one of two arms.
        outcome
            The column of outcomes, each from 0 to 1, `outcome` by default. Of served traffic: `right` (the default) for
            whether the prediction came true, or a label for whether that came.
        served
            A deployment: its versions are compared by the labels of the predictions in its inference log.
        versions
            Which two of them; the two with the most labels by default.
        rate
            To plan: the rate there is, 0 to 1.
        effect
            To plan: the smallest change of the rate that is to be found.
        power
            The probability of finding it; of a test, of finding the smallest effect that is told.
        level
            1 minus the probability of calling a difference where there is none.

        Examples
        --------
        %mlops abtest --rate 0.10 --effect 0.02
        %mlops abtest outcomes --arm version --outcome bought
        %mlops abtest --served adult-clf
        """
        from .ab import ab_test, plan

        for name, value in (("level", level), ("power", power)):
            if not 0 < value < 1:
                raise InvalidArgument(f"the {name} is between 0 and 1, not {value:g}.")
        if (served or data is not None) and (rate is not None or effect is not None):
            raise InvalidArgument(
                "--rate and --effect plan a test, and outcomes that have come are read.",
                hint="Leave them out, or leave out the table and --served.",
            )
        if served:
            if data is not None:
                raise InvalidArgument("--served reads the inference log, so no table goes with it.")
            return self._of_traffic(served, outcome or "right", versions, level, power)
        if versions:
            raise InvalidArgument("--versions chooses two of a deployment's.", hint="Name it with --served.")
        if data is not None:
            from ..datasets.tables import as_table

            return ab_test(as_table(self.context, data), arm, outcome or "outcome", level=level, power=power)
        if rate is None or effect is None:
            raise InvalidArgument(
                "a plan needs --rate and --effect, a test a table of outcomes.",
                hint="As in `%mlops abtest --rate 0.10 --effect 0.02`.",
            )
        return plan(rate, effect, level=level, power=power)

    def _of_traffic(self, name: str, outcome: str, versions: list[str] | None, level: float, power: float) -> AbResult:
        """Two versions of a deployment by the labels that have come."""
        import pandas as pd

        from .ab import ab_test

        told = self.context.call("monitoring.arms", name=name, outcome=outcome, models=versions)
        what = "right" if outcome == "right" else f"label {outcome}"
        frame = pd.DataFrame({"version": told["arm"], what: told["outcome"]})
        return ab_test(frame, "version", what, level=level, power=power)

    def _subject(self, model: Any, data: Any, target: str, name: str, *, allow_pickle: bool) -> Any:
        from .subject import model_of, subject_of

        if name:
            check_name(name, "model")
        found = model_of(self.context, model, allow_pickle=allow_pickle)
        return subject_of(self.context, found, data, target=target)
