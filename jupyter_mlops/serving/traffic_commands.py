"""The commands that change a running deployment: traffic, rollback, its token, its logs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from ..domain.command import Arg, command
from ..domain.context import CommandSet, now_ms
from ..domain.deployment import Deployment, Erasure, Rollback
from ..domain.traffic import Guard, Share, Traffic, parse_shares
from ..errors import InvalidArgument

__all__ = ["TrafficCommands"]


class TrafficCommands(CommandSet):
    """Deployment to deployment."""

    @command("traffic", stage="serving", changes=True)
    def traffic(
        self,
        name: Annotated[str, Arg(complete="deployments", metavar="NAME")],
        shares: Annotated[list[str] | None, Arg(complete="model-versions", metavar="MODEL=SHARE")] = None,
        *,
        shadow: Annotated[list[str] | None, Arg(complete="model-versions", metavar="MODEL")] = None,
        sticky: Annotated[str | None, Arg(metavar="HEADER")] = None,
        holdout: float | None = None,
        alpha: float | None = None,
        max_errors: float | None = None,
        slow_ms: float | None = None,
        max_slow: float | None = None,
        max_drift: float | None = None,
        max_loss: float | None = None,
        reason: str = "",
    ) -> Traffic:
        """Show or change how a deployment's requests are shared among model versions; no request is lost by it.

        The largest share is the stable version's, the others are canaries beside it. A version takes requests only when
        every server process has loaded it and warmed it up. A canary that is shown to be worse than the stable version
        by more than its guard allows is taken back by itself; the tests may be looked at at any time, and over a
        canary's whole life take back one that is no worse with probability at most ``--alpha``.

        Parameters
        ----------
        name
            The deployment, or the model if only one deployment serves it.
        shares
            Versions and their shares, ``clf@champion=80% clf@challenger=20%`` or ``champion=80% challenger=20%``; none
            shows what there is.
        shadow
            A version that is asked a copy of every request, or of a share, and never answers.
        sticky
            A header, such as ``X-User``: who sends the same value always gets the same version.
        holdout
            A share, from 0 to 1, of the requests that goes to a version drawn with even chances, which are logged.
        alpha
            The probability of a false alarm, all checks of a canary together; 0.05 unless set.
        max_errors
            How much higher a canary's rate of failed requests may be; 0.01 unless set.
        slow_ms
            From which time on a request counts as slow, in milliseconds; 0 checks no latency.
        max_slow
            How much higher its rate of slow requests may be; 0.05 unless set.
        max_drift
            How much its predictions may differ: the frequency of a class, or the mean rank of a number; 0.2 unless set.
        max_loss
            How much higher its mean loss may be, from 0 to 1, once labels have come; 0.02 unless set.
        reason
            Why, for the audit trail.

        Examples
        --------
        %mlops traffic adult-clf champion=80% challenger=20%
        %mlops traffic adult-clf
        """
        now = Traffic.from_dict(self.context.call("serving.traffic", name=name))
        guards = {
            "alpha": alpha,
            "errors": max_errors,
            "latency_ms": slow_ms,
            "slow": max_slow,
            "drift": max_drift,
            "outcome": max_loss,
        }
        guard = replace(now.guard, **{key: value for key, value in guards.items() if value is not None})
        settings = (sticky, holdout, shadow, *guards.values())
        if not shares and all(value is None for value in settings):
            return now
        wanted = Traffic(
            now.deployment,
            self._shares(now, shares or [], shadow),
            now.sticky if sticky is None else sticky,
            now.holdout if holdout is None else holdout,
            _checked(guard),
        )
        answer = self.context.call("serving.set_traffic", name=name, wanted=wanted.to_dict(), reason=reason)
        done = Traffic.from_dict(answer)
        self.context.watched[done.deployment] = now_ms()
        return done

    @command("rollback", stage="serving", changes=True)
    def rollback(
        self,
        model: Annotated[str, Arg(complete="models", metavar="MODEL")],
        *,
        to: Annotated[str, Arg(complete="model-versions", metavar="VERSION")] = "",
        reason: str = "",
    ) -> Rollback:
        """Bring a model's alias back to the version it had before, and its deployments with it.

        The version before is kept loaded by the deployment's servers, so the switch takes no time and no request.

        Parameters
        ----------
        model
            The model, ``clf@alias`` for another alias than ``champion``, or a deployment.
        to
            The version or alias to go to; by default the one the alias had before.
        reason
            Why, for the audit trail and the alias's history.

        Examples
        --------
        %mlops rollback adult-clf --reason "it refuses pensioners"
        """
        return Rollback.from_dict(self.context.call("serving.rollback", model=model, to=to, reason=reason))

    @command("new-token", stage="serving", changes=True)
    def new_token(self, name: Annotated[str, Arg(complete="deployments", metavar="NAME")]) -> Deployment:
        """Give a deployment another token; the servers take the new one at once, and the old one no more.

        Parameters
        ----------
        name
            The deployment.

        Examples
        --------
        %mlops new-token adult-clf
        """
        return Deployment.from_dict(self.context.call("serving.new_token", name=name))

    @command("logs", stage="serving", changes=False)
    def logs(self, name: Annotated[str, Arg(complete="deployments", metavar="NAME")], *, lines: int = 40) -> str:
        """Show the end of what a deployment's servers wrote to their log.

        Parameters
        ----------
        name
            The deployment.
        lines
            How many lines.

        Examples
        --------
        %mlops logs adult-clf --lines 100
        """
        return str(self.context.call("serving.server_log", name=name, lines=lines))

    @command("forget", stage="serving", changes=True)
    def forget(
        self,
        name: Annotated[str, Arg(complete="deployments", metavar="NAME")],
        column: Annotated[str, Arg(metavar="COLUMN")],
        value: Annotated[str, Arg(metavar="VALUE")],
    ) -> Erasure:
        """Erase a person's rows from a deployment's inference log, also where the column is kept hashed, and their labels.

        Parameters
        ----------
        name
            The deployment, also one that was taken down.
        column
            The input by which the person is known, or ``key`` for the key that requests are made sticky by.
        value
            The person's value of it.

        Examples
        --------
        %mlops forget adult-clf customer_id 4711
        """
        told = Erasure.from_dict(self.context.call("serving.erase", name=name, column=column, value={"is": value}))
        return replace(told, labels=int(self.context.call("monitoring.forget_labels", name=name)["labels"]))

    def _shares(self, now: Traffic, texts: list[str], shadow: list[str] | None) -> tuple[Share, ...]:
        model = now.stable.model.partition("@")[0]
        shadows = now.of_role("shadow") if shadow is None else parse_shares(shadow, "shadow", model=model)
        if not texts:
            return (*now.answering, *shadows)
        given = parse_shares(texts, "canary", model=model)
        if sum(share.weight for share in given) > 1 + 1e-9:
            raise InvalidArgument(
                f"the shares make {sum(share.weight for share in given):.0%} together.", hint="They may make 100%."
            )
        if abs(sum(share.weight for share in given) - 1) > 1e-9:  # what is left stays with the stable version
            return (*given, *shadows)
        first = max(given, key=lambda share: share.weight)
        return (*(replace(s, role="stable") if s is first else s for s in given), *shadows)


def _checked(guard: Guard) -> Guard:
    if not 0 < guard.alpha < 1:
        raise InvalidArgument(f"--alpha is a probability above 0 and below 1, not {guard.alpha:g}.")
    for name in ("errors", "slow", "drift", "outcome"):
        if not 0 <= getattr(guard, name) <= 1:
            raise InvalidArgument(f"a guard's margin lies from 0 to 1, not {getattr(guard, name):g}.")
    return guard
