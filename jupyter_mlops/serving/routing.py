"""Routing: which loaded model version answers a request; the application asks a router and tells it how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .load import ModelFolder
from .log_segments import LogWriter
from .model import Answer, Ask, ServedModel

__all__ = ["NoVersion", "OneSlot", "Route", "Router", "Slot"]


class NoVersion(Exception):
    """No version is ready to answer: status 503."""


@dataclass(eq=False)
class Slot:
    """One loaded model version.

    Parameters
    ----------
    ref
        What it is called: ``clf@7``.
    model
        The loaded model.
    writer
        Where its answers are logged.
    ready
        Whether it may be given requests.
    inputs, outputs
        The signature's inputs and outputs as MLflow writes them; empty where the model states none.
    files
        The model on disk; None where it has none.
    """

    ref: str
    model: ServedModel
    writer: LogWriter
    ready: bool = True
    inputs: str = ""
    outputs: str = ""
    files: ModelFolder | None = None
    header: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.header = self.ref.encode("latin-1", "replace")

    @property
    def name(self) -> str:
        """The model's name: ``clf``."""
        return self.ref.partition("@")[0]

    @property
    def version(self) -> str:
        """The version's number or alias: ``7``."""
        return self.ref.partition("@")[2]


@dataclass(frozen=True)
class Route:
    """Where one request goes.

    Parameters
    ----------
    slot
        The version that answers.
    propensity
        With which probability this version was chosen, from above 0 to 1.
    shadows
        Versions that are asked the same after the answer has left; theirs is never sent.
    key
        By what the choice was made sticky; empty for none.
    """

    slot: Slot
    propensity: float = 1.0
    shadows: tuple[Slot, ...] = ()
    key: str = ""


class Router(Protocol):
    """Chooses a version for every request; asked on the event loop, so it must be quick and never wait."""

    def slots(self) -> tuple[Slot, ...]:
        """Every loaded version, the one that answers most first."""

    def route(self, headers: Mapping[bytes, bytes], request_id: str) -> Route:
        """Choose a version.

        Parameters
        ----------
        headers
            The request's, names in lower case.

        Raises
        ------
        NoVersion
            None is ready.
        """

    def plain(self) -> Route | None:
        """Where every request goes as things are; None where each is to be asked for with `route`."""

    def began(self, requests: int) -> None:
        """Take note of requests that go where `plain` said."""

    def finished_all(self, slot: Slot, done: Sequence[tuple[int, int, float]]) -> None:
        """Take note of several answers of one version, each by its status, rows and seconds; see `finished`."""

    def finished(self, route: Route, status: int, rows: int, seconds: float) -> None:
        """Take note of an answer: its HTTP status, how many rows it holds, and how long it took from body to answer."""

    def shadowed(
        self, route: Route, shadow: Slot, ask: Ask, request_id: str, answer: Answer, copy: Answer, seconds: float
    ) -> None:
        """Take note of what a shadow answered (`copy`) beside what was sent (`answer`); called in a thread."""

    def turned_away(self, status: int) -> None:
        """Take note of a request that no version was asked for, by its HTTP status."""

    def refused_alone(self, slot: Slot) -> None:
        """Take note of a request that a version refused though the one that answers most takes it."""

    def batched(self, slot: Slot, size: int) -> None:
        """Take note of how many requests a version was asked together."""

    def metrics(self) -> str:
        """What has been counted, over all workers, in the OpenMetrics text format."""


class OneSlot:
    """A router with one version.

    Parameters
    ----------
    slot
        The version.
    """

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._route = Route(slot)

    def slots(self) -> tuple[Slot, ...]:
        """The one version."""
        return (self._slot,)

    def route(self, headers: Mapping[bytes, bytes], request_id: str) -> Route:
        """The one version, if it is ready."""
        if not self._slot.ready:
            raise NoVersion
        return self._route

    def plain(self) -> Route | None:
        """The one version, if it is ready."""
        return self._route if self._slot.ready else None

    def began(self, requests: int) -> None:
        """Nothing is counted here."""

    def finished_all(self, slot: Slot, done: Sequence[tuple[int, int, float]]) -> None:
        """Nothing is counted here."""

    def finished(self, route: Route, status: int, rows: int, seconds: float) -> None:
        """Nothing is counted here."""

    def shadowed(
        self, route: Route, shadow: Slot, ask: Ask, request_id: str, answer: Answer, copy: Answer, seconds: float
    ) -> None:
        """There are no shadows."""

    def turned_away(self, status: int) -> None:
        """Nothing is counted here."""

    def refused_alone(self, slot: Slot) -> None:
        """There is no other version."""

    def batched(self, slot: Slot, size: int) -> None:
        """Nothing is counted here."""

    def metrics(self) -> str:
        """Nothing is counted here."""
        return "# EOF\n"
