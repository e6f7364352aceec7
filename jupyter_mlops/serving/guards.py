"""Guards: watches a canary beside the stable version and tells when it is shown to be worse; runs inside the service.

Errors and slow requests come out of the workers' counters, predictions out of the inference log, losses from whoever has
labels. Only what both versions answered since the canary began is compared. Every check is `sequential.compare`, and they
share the guard's alpha evenly, so that looking every second raises a false alarm with probability at most alpha in all.
What has been seen is kept beside the deployment, so that a trial of weeks goes on where the service is ended or killed.
"""

from __future__ import annotations

import bisect
import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..domain.context import now_ms
from .deployment_folder import DeploymentFolder, StoredDeployment
from .inference_log import Window, end_of, read_after
from .metrics import VersionCounts, add_up, read_counters
from .orders import WORKERS, replace_file
from .sequential import Comparison, compare

__all__ = ["Watch", "Watched"]

RANKED = 500  # of the stable version's first numbers, which later ones are ranked among
KEPT_IN = "canary.json"
CLASSES = 20  # so many classes are watched, the first that are seen; each check has its share of alpha from the start


@dataclass
class Watched:
    """Sums of one version's values, each from 0 to 1.

    Parameters
    ----------
    classes
        How often each class was predicted.
    ranks
        The number and the sum of the ranks of its numbers.
    losses
        The number and the sum of its losses.
    """

    classes: Counter[str] = field(default_factory=Counter)
    ranks: list[float] = field(default_factory=lambda: [0, 0.0])
    losses: list[float] = field(default_factory=lambda: [0, 0.0])


@dataclass
class Watch:
    """One deployment's canaries under watch.

    Parameters
    ----------
    key
        What is watched: when it changes, another watch begins.
    position
        How far the inference log has been read.
    counted
        What the counters said when the watch began.
    since_ms
        When that was.
    """

    key: list[Any]
    folder: DeploymentFolder
    position: str
    counted: dict[str, VersionCounts]
    since_ms: int = 0
    watched: dict[str, Watched] = field(default_factory=dict)
    reference: list[float] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: DeploymentFolder, stored: StoredDeployment, before: Watch | None) -> Watch | None:
        """The watch over a deployment's canaries: the one before, the one that was kept, or a new one; None without any."""
        canaries = [share.model for share in stored.traffic.of_role("canary")] if stored.wanted else []
        if not canaries:
            cls.end(folder)
            return None
        key = [stored.generation, stored.model, canaries]
        if before is not None and before.key == key:
            return before
        kept = cls._kept(key, folder)
        if kept is not None:
            return kept
        return cls(key, folder, end_of(folder.log), _counted(folder, stored.generation), now_ms())

    @classmethod
    def _kept(cls, key: list[Any], folder: DeploymentFolder) -> Watch | None:
        try:
            told = json.loads((folder.path / KEPT_IN).read_text())
            if told["key"] != key:
                return None
            return cls(
                key,
                folder,
                told["position"],
                {model: VersionCounts(statuses=s, slow=n, alone=a) for model, (s, n, a) in told["counted"].items()},
                told["since_ms"],
                {model: Watched(Counter(c), r, loss) for model, (c, r, loss) in told["watched"].items()},
                told["reference"],
                told["labels"],
            )
        except (OSError, ValueError, KeyError, TypeError):  # none, or of another release
            return None

    def keep(self) -> None:
        """Write down what has been seen; where the disk takes nothing, a restart of the service begins anew."""
        told = {
            "key": self.key,
            "position": self.position,
            "since_ms": self.since_ms,
            "counted": {model: [c.statuses, c.slow, c.alone] for model, c in self.counted.items()},
            "watched": {model: [w.classes, w.ranks, w.losses] for model, w in self.watched.items()},
            "reference": self.reference,
            "labels": self.labels,
        }
        with contextlib.suppress(OSError):
            replace_file(self.folder.path / KEPT_IN, json.dumps(told))

    @staticmethod
    def end(folder: DeploymentFolder) -> None:
        """Keep nothing any more: the canary is gone, and the same version on trial again begins anew."""
        (folder.path / KEPT_IN).unlink(missing_ok=True)

    def look(self, stored: StoredDeployment) -> tuple[str, str] | None:
        """The first canary that breaks its guard, and how; None while none does."""
        guard = stored.traffic.guard
        if guard.drift or guard.outcome:  # the loss of a number is told by its rank
            window, self.position = read_after(self.folder.log, self.position)
            if len(window):
                self.add_predictions(window, stored.model)
        now = _counted(self.folder, stored.generation)
        for canary in stored.traffic.of_role("canary"):
            for told in self.checks(stored, canary.model, now):
                return canary.model, told
        return None

    def checks(self, stored: StoredDeployment, canary: str, now: Mapping[str, VersionCounts]) -> list[str]:
        """What is shown to be wrong with a canary, each in a sentence."""
        guard, stable = stored.traffic.guard, stored.model
        share = stored.traffic.of_model(canary)
        if share is not None and share.differs:
            guard = replace(guard, drift=0.0)
        active = 1 + (guard.latency_ms > 0) + (guard.drift > 0) + (guard.outcome > 0)
        alpha = guard.alpha / active / max(len(stored.traffic.of_role("canary")), 1)
        ours, theirs = self._since(now, canary), self._since(now, stable)
        told = []

        def check(
            what: str,
            mine: Sequence[float],
            other: Sequence[float],
            margin: float,
            level: float,
            *,
            both: bool,
            share: bool = True,
        ) -> None:
            found = compare(mine[0], mine[1], other[0], other[1], margin=margin, alpha=level)
            if found.above or (both and found.below):
                told.append(_sentence(what, found, mine[0], other[0], margin, share=share))

        # a model that fails answers 400, as MLflow does, and so does one that is sent nonsense: what the stable version
        # refuses too counts against neither, for a client that is wrong may stick to one version
        one, two = ((counts.requests, counts.errors + counts.alone) for counts in (ours, theirs))
        check("failed requests", one, two, guard.errors, alpha, both=False)
        if guard.latency_ms:
            one, two = (ours.requests, ours.slow), (theirs.requests, theirs.slow)
            check(f"requests over {guard.latency_ms:g} ms", one, two, guard.slow, alpha, both=False)
        mine, other = self.watched.get(canary, Watched()), self.watched.get(stable, Watched())
        if guard.drift and self.reference:
            check("the rank of its predictions", mine.ranks, other.ranks, guard.drift, alpha, both=True, share=False)
        elif guard.drift:
            for label in self.labels:
                one = (mine.classes.total(), mine.classes[label])
                two = (other.classes.total(), other.classes[label])
                check(f"predictions of {label}", one, two, guard.drift, alpha / CLASSES, both=True)
        if guard.outcome:
            check("the loss", mine.losses, other.losses, guard.outcome, alpha, both=False, share=False)
        return told

    def add_predictions(self, window: Window, stable: str) -> None:
        """Take note of what was answered: numbers by their rank among the stable version's first, else by class."""
        for model, value in zip(window.models, window.predictions, strict=True):
            watched = self.watched.setdefault(model, Watched())
            if isinstance(value, float):
                if len(self.reference) < RANKED:
                    if model == stable:
                        bisect.insort(self.reference, value)
                elif value == value:  # noqa: PLR0124 NaN has no rank
                    watched.ranks[0] += 1
                    watched.ranks[1] += self._rank(value)
            else:
                label = str(value)
                if label not in self.labels and len(self.labels) < CLASSES:
                    self.labels.append(label)
                watched.classes[label if label in self.labels else "another class"] += 1

    def loss(self, said: Any, truth: Any, *, right: bool) -> float | None:
        """What a prediction whose label has come cost, from 0 to 1; None where that cannot be told (yet).

        Of a class 0 or 1; of a number how far it and the truth are apart as ranks among the stable version's first numbers.
        """
        if not isinstance(said, float):
            return float(not right)
        if isinstance(truth, str) or said != said or truth != truth or len(self.reference) < RANKED:  # noqa: PLR0124
            return None
        return abs(self._rank(said) - self._rank(float(truth)))

    def set_losses(self, losses: Mapping[str, Sequence[float]]) -> None:
        """Take note of all losses since the watch began, by model version, in place of those told before."""
        for watched in self.watched.values():
            watched.losses = [0, 0.0]
        for model, values in losses.items():
            self.watched.setdefault(model, Watched()).losses = [len(values), sum(values)]

    def _rank(self, value: float) -> float:
        low, high = bisect.bisect_left(self.reference, value), bisect.bisect_right(self.reference, value)
        return (low + high) / 2 / len(self.reference)

    def _since(self, now: Mapping[str, VersionCounts], model: str) -> VersionCounts:
        counts, before = now.get(model, VersionCounts()), self.counted.get(model, VersionCounts())
        return VersionCounts(
            statuses=[max(a - b, 0) for a, b in zip(counts.statuses, before.statuses, strict=True)],
            slow=max(counts.slow - before.slow, 0),
            alone=max(counts.alone - before.alone, 0),
        )


def _counted(folder: DeploymentFolder, generation: str) -> dict[str, VersionCounts]:
    return add_up(list(read_counters(folder.generation(generation) / WORKERS)))


def _sentence(what: str, found: Comparison, n: float, other_n: float, margin: float, *, share: bool) -> str:
    def told(value: float) -> str:
        return f"{100 * value:.3g} %" if share else f"{value:.4g}"

    return (
        f"{what}: {told(found.mean)} of {n:.0f} against {told(found.other_mean)} of the stable version's {other_n:.0f}; "
        f"at least {told(found.apart)} apart, {told(margin)} is allowed"
    )
