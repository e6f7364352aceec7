"""Traffic: which model versions of a deployment answer how many of its requests, and what guards a version on trial."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import InvalidArgument
from .display import Displayed, table
from .record import Record
from .reference import Reference

__all__ = ["Decision", "Guard", "Role", "Share", "Traffic", "parse_share", "parse_shares"]

Role = Literal["stable", "canary", "shadow", "kept"]
"""``stable`` answers what no other does; ``canary`` is on trial for a share; ``shadow`` is asked a copy of a share and
never answers; ``kept`` is loaded and answers nothing, so that going back to it takes no time."""


@dataclass(frozen=True)
class Share(Record):
    """One model version under a deployment.

    Parameters
    ----------
    model
        The version: ``clf@7``.
    weight
        Which share of the requests it answers (of a shadow: is asked copies of), from 0 to 1.
    asked
        As it was asked for: ``clf@challenger``.
    differs
        Whether it is meant to answer differently, as a retrained challenger is: a canary's guard then judges it by
        failed requests, latency and loss, not by the drift of its predictions.
    """

    model: str
    weight: float
    role: Role
    asked: str = ""
    differs: bool = False


@dataclass(frozen=True)
class Guard(Record):
    """When a canary is taken back by itself, compared with the stable version beside it.

    Every check is an anytime-valid sequential test: it may be looked at after every request, and over the whole life of
    a canary that is no worse than the margins allow it takes back with probability at most `alpha`, all checks together.

    Parameters
    ----------
    alpha
        The probability of a false alarm over the canary's whole life, above 0 and below 1.
    errors
        How much higher its rate of failed requests may be, as a difference of rates: those answered 500 and above, and
        those that it refuses (4xx) though the stable version, which is asked the same once the answer has left, takes
        them. What both refuse is the client's fault, and counts against neither.
    latency_ms
        From which time on a request counts as slow; 0 checks no latency.
    slow
        How much higher its rate of slow requests may be.
    drift
        How much the mean of its predictions may differ: for classes the frequency of every class, for numbers the mean
        of their ranks among the stable version's first 500, both from 0 to 1. 0 checks no drift. Not checked of a canary
        that a retrain brought in: it was found better on labelled rows because it answers differently.
    outcome
        How much higher its mean loss may be, from 0 to 1, when labels come; 0 checks none.
    """

    alpha: float = 0.05
    errors: float = 0.01
    latency_ms: float = 0.0
    slow: float = 0.05
    drift: float = 0.2
    outcome: float = 0.02


@dataclass(frozen=True)
class Decision(Record):
    """A change of traffic that was made, by whom or by which check, and why; `by_itself` where nobody asked for it."""

    time_ms: int
    what: str
    why: str
    by_itself: bool = False


@dataclass(frozen=True)
class Traffic(Displayed, Record):
    """How a deployment's requests are shared among model versions.

    Parameters
    ----------
    sticky
        The header whose value decides, so that one user always gets the same version; empty decides for every request
        by itself.
    holdout
        Which share of the requests goes to a version drawn at random with equal chances, whatever the weights and the
        key say, so that what a version is worth can be told without the feedback of its own choices; 0 to 1.
    """

    deployment: str = ""
    shares: tuple[Share, ...] = ()
    sticky: str = ""
    holdout: float = 0.0
    guard: Guard = Guard()
    decisions: tuple[Decision, ...] = ()

    def __iter__(self) -> Iterator[Share]:
        return iter(self.shares)

    @property
    def stable(self) -> Share:
        """The version that answers what no other does."""
        return next(share for share in self.shares if share.role == "stable")

    def of_role(self, role: Role) -> tuple[Share, ...]:
        """The versions with one role."""
        return tuple(share for share in self.shares if share.role == role)

    def of_model(self, model: str) -> Share | None:
        """One version's share, None if it has none."""
        return next((share for share in self.shares if share.model == model), None)

    @property
    def answering(self) -> tuple[Share, ...]:
        """The versions that answer requests, stable first."""
        return tuple(s for s in self.shares if s.role in ("stable", "canary") and (s.weight > 0 or s.role == "stable"))

    def checked(self) -> Traffic:
        """The same, with the stable version's weight as what the others leave.

        Raises
        ------
        InvalidArgument
            The shares make more than the whole, or there is not exactly one stable version.
        """
        if len(self.of_role("stable")) != 1:
            raise InvalidArgument("a deployment has exactly one stable version.")
        if len({share.model for share in self.shares}) < len(self.shares):
            raise InvalidArgument("a model version can have only one part in a deployment.")
        given = sum(share.weight for share in self.of_role("canary"))
        if given > 1 + 1e-9:
            raise InvalidArgument(
                f"the canaries are given {given:.0%} of the requests together.", hint="Give them at most 100%."
            )
        if not 0 <= self.holdout <= 1:
            raise InvalidArgument(f"--holdout is a share from 0 to 1, not {self.holdout:g}.")
        left = max(0.0, round(1 - given, 12))
        shares = [replace(s, weight=left) if s.role == "stable" else s for s in self.shares]
        order = {"stable": 0, "canary": 1, "shadow": 2, "kept": 3}
        return replace(self, shares=tuple(sorted(shares, key=lambda s: (order[s.role], s.model))))

    def told(self) -> str:
        """The shares in one line.

        Examples
        --------
        >>> Traffic("clf", (Share("clf@1", 0.9, "stable"), Share("clf@2", 0.1, "canary"))).told()
        'clf@1 0.9, clf@2 0.1 (canary)'
        """
        return ", ".join(f"{s.model} {s.weight:.4g}{'' if s.role == 'stable' else f' ({s.role})'}" for s in self)

    def facts(self) -> dict[str, Any]:
        """What the audit trail tells of it beyond the usual: the shares as they were asked for, key, holdout and guard.

        Examples
        --------
        >>> Traffic("clf", (Share("clf@2", 0.1, "canary"),), sticky="X-User").facts()["traffic"]
        'clf@2 0.1 (canary)'
        """
        usual = Guard().to_dict()
        guard = ", ".join(f"{key} {value:g}" for key, value in self.guard.to_dict().items() if value != usual[key])
        facts = {"traffic": self.told(), "sticky": self.sticky, "holdout": self.holdout, "guard": guard}
        return {key: value for key, value in facts.items() if value}

    def with_decision(self, decision: Decision, keep: int = 8) -> Traffic:
        """The same with one decision more; only the newest are kept."""
        return replace(self, decisions=(*self.decisions, decision)[-keep:])

    def text(self) -> str:
        rows = [[s.model, s.role, f"{s.weight:.4g}" if s.role != "kept" else "", s.asked] for s in self.shares]
        told = [f"{self.deployment}", table(["model", "part", "share", "asked for"], rows)]
        if self.sticky:
            told.append(f"one {self.sticky} always gets the same version")
        if self.holdout:
            told.append(f"{self.holdout:.4g} of the requests are drawn at random among the versions")
        told += [f"{d.what}: {d.why}" for d in reversed(self.decisions)]
        return "\n".join(told)


def parse_share(text: str, role: Role, whole: float = 1.0) -> Share:
    """Read ``clf@challenger=10%``, ``clf@8=0.1`` or ``clf@8``, which is given `whole`.

    Raises
    ------
    InvalidArgument
        The text is not of this form.

    Examples
    --------
    >>> share = parse_share("clf@challenger=10%", "canary")
    >>> share.model, share.weight, share.role
    ('clf@challenger', 0.1, 'canary')
    """
    name, equals, amount = text.partition("=")
    asked = str(Reference.parse(name.strip(), "model version"))
    if not equals:
        return Share(asked, whole, role, asked)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", amount)
    weight = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= weight <= 1:
        raise InvalidArgument(
            f"{amount!r} is no share of the requests.", hint="Write a percentage such as 10%, or a share such as 0.1."
        )
    return Share(asked, weight, role, asked)


def parse_shares(texts: Sequence[str], role: Role, whole: float = 1.0, *, model: str) -> tuple[Share, ...]:
    """Read several shares; what names no model, such as ``challenger=10%``, is a version of `model`.

    Examples
    --------
    >>> [share.model for share in parse_shares(["challenger=10%", "other@3"], "shadow", model="clf")]
    ['clf@challenger', 'other@3']
    """
    return tuple(parse_share(text if "@" in text else f"{model}@{text}", role, whole) for text in texts)
