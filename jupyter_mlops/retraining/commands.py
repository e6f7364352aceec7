"""The commands of the retraining stage."""

from __future__ import annotations

import time
from typing import Annotated

from ..domain.alert import RetrainRules
from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.retrain import Retrain, RetrainTable
from ..errors import InvalidArgument
from ..monitoring.retrain_choices import Folder, Frozen, Length, Target, checked_choices

__all__ = ["RetrainingCommands"]

LOOK_SECONDS = 0.5


class RetrainingCommands(CommandSet):
    """Alert to retrained run."""

    @command("retrain", stage="retraining", changes=True)
    def retrain(
        self,
        model: Annotated[str, Arg(complete="deployments", metavar="MODEL")],
        *,
        pipeline: Folder = "",
        frozen: Frozen = "",
        target: Target = "",
        metric: Annotated[str, Arg(metavar="NAME")] = "",
        promote: bool = False,
        canary_for: Length = "1h",
        no_wait: bool = False,
        allow_pickle: bool = False,
    ) -> Retrain:
        """Train a challenger on the labels that have come, and compare it with the champion on rows neither has seen.

        The older labelled predictions are added to the champion's training data; the newest three tenths are left aside
        for the comparison, which is a paired one. The challenger is registered. If it is better beyond chance it gets
        the alias ``challenger`` and is proposed, or with `promote` brought in by a canary. A retrain that fails leaves
        champion and traffic as they are.

        Parameters
        ----------
        model
            A deployment or the model it serves.
        pipeline
            The folder of an exported pipeline that takes its table as a parameter, the path of a CSV or Parquet file;
            by default the version's own estimator is fitted again.
        frozen
            A labelled data version on which the two are compared besides.
        target
            The column of truth in the training data, where it is not clear.
        metric
            What decides: by default the area under the ROC curve, the accuracy, or the root mean squared error.
        promote
            Bring a better challenger in: it answers a tenth of the requests under a guard, then all.
        canary_for
            How long the canary must stand its guard.
        no_wait
            Come back at once; `retrains` tells how it goes.
        allow_pickle
            Load a model that is stored as a pickle.

        Examples
        --------
        %mlops retrain adult-clf
        %mlops retrain adult-clf --pipeline pipeline --frozen adult-test@v1 --promote
        """
        rules = RetrainRules(
            pipeline=checked_choices(pipeline, canary_for),
            frozen=frozen,
            target=target,
            metric=metric,
            promote=promote,
            canary_for=canary_for,
            allow_pickle=allow_pickle,
        )
        job = Retrain.from_dict(self.context.call("retraining.retrain", name=model, rules=rules.to_dict()))
        try:
            shown = ""
            while not no_wait and job.state in ("waiting", "training"):
                time.sleep(LOOK_SECONDS)
                found = self.context.call("retraining.job", id=job.id, lines=1)
                job = Retrain.from_dict(found["job"])
                said = (found["said"] or [""])[0]
                if said and said != shown:
                    shown = said
                    self.context.progress(said)
        except KeyboardInterrupt:
            self.context.call("retraining.cancel", id=job.id)
            raise
        return job

    @command("retrains", stage="retraining", changes=False)
    def retrains(
        self, model: Annotated[str, Arg(complete="deployments", metavar="MODEL")] = "", *, limit: int = 20
    ) -> RetrainTable:
        """List retrains, newest first.

        Parameters
        ----------
        model
            Only those of this deployment or model.
        limit
            How many at the most.

        Examples
        --------
        %mlops retrains adult-clf
        """
        if limit < 1:
            raise InvalidArgument(f"--limit takes a number from 1 on, not {limit}.")
        return RetrainTable.from_dict(self.context.call("retraining.retrains", name=model, limit=limit))
