"""Traffic in a worker process: which version answers a request, and how a change of that reaches a running server.

The service writes ``traffic.json`` into the generation's folder; every worker looks at it twenty times a second. A version
that is new there is loaded and warmed up beside the others before it takes part in anything; then the whole table is
exchanged in one assignment, between two requests. What a worker has loaded, and by which state of the file it routes, it
tells in ``workers/<pid>.json``; the service gives a version its share only when every worker has it.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import logging
import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from ..domain.deployment import LogRules
from ..domain.traffic import Traffic
from .liveness import Gone
from .log_frames import SHADOW
from .log_segments import Entry
from .metrics import MONITORED_FILE, Counters, openmetrics, read_counters
from .model import Answer, Ask
from .orders import TRAFFIC_FILE, WORKERS, Orders, WorkerState, replace_file
from .routing import NoVersion, Route, Slot
from .status import RELEASE

__all__ = ["Follower", "LiveRouter"]

log = logging.getLogger("jupyter_mlops.serving")

LOOK_SECONDS = 0.05
RETIRE_SECONDS = 90.0  # longer than a request may take: then nobody uses a version that was taken out
SCALE = float(1 << 64)


@dataclass(frozen=True)
class _Table:
    """How requests are routed, made whole before it is used."""

    slots: tuple[Slot, ...] = ()
    routes: tuple[Route, ...] = ()
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    shadows: tuple[tuple[Slot, float], ...] = ()
    sticky: bytes = b""
    salt: bytes = b""
    holdout: float = 0.0
    slow_seconds: float = 0.0
    places: dict[Slot, int] = field(default_factory=dict)


class LiveRouter:
    """Routes by a table that can be exchanged while requests are being answered.

    Parameters
    ----------
    counters
        Where answers are counted.
    folder
        Where the counters of all workers are.
    """

    def __init__(self, counters: Counters, folder: Path, deployment: str) -> None:
        self._counters = counters
        self._folder = folder
        self._deployment = deployment
        self._table = _Table()
        self._random = random.Random(secrets.randbits(64))  # noqa: S311 shares, no secrets
        self._flying = 0

    def slots(self) -> tuple[Slot, ...]:
        """Every loaded version, stable first."""
        return self._table.slots

    def exchange(self, traffic: Traffic, slots: Mapping[str, Slot]) -> None:
        """Route by `traffic` from now on, as far as its versions are loaded; what is not leaves its share to stable."""
        answering = [share for share in traffic.answering if share.model in slots]
        if not answering:
            self._table = _Table(slots=tuple(slots.values()))
            return
        total = sum(share.weight for share in answering if share.role != "stable")
        weights = [share.weight for share in answering]
        if answering[0].role == "stable":
            weights[0] = max(0.0, 1.0 - total)
        elif total:
            weights = [weight / total for weight in weights]
        else:
            weights = [1.0 / len(answering)] * len(answering)
        even = traffic.holdout / len(answering)
        shares = [(1 - traffic.holdout) * weight + even for weight in weights]
        edges, reached = [], 0.0
        for weight in weights:
            reached += weight
            edges.append(reached)
        order = {share.model: number for number, share in enumerate(traffic.shares)}
        loaded = sorted(slots.items(), key=lambda item: order.get(item[0], len(order)))
        self._table = _Table(
            tuple(slot for _, slot in loaded),
            tuple(Route(slots[s.model], p) for s, p in zip(answering, shares, strict=True)),
            tuple(edges),
            tuple(shares),
            tuple((slots[s.model], s.weight) for s in traffic.of_role("shadow") if s.model in slots),
            traffic.sticky.lower().encode("latin-1", "replace"),
            traffic.deployment.encode(),
            traffic.holdout,
            traffic.guard.latency_ms / 1000,
            {slot: self._counters.version(slot.ref) for _, slot in loaded},
        )

    def route(self, headers: Mapping[bytes, bytes], request_id: str) -> Route:
        """Choose a version: by the key where one is sent, else at random; a holdout's share with even chances."""
        table = self._table
        if not table.routes:
            raise NoVersion
        self._flying += 1
        if len(table.routes) == 1 and not table.sticky and not table.shadows:
            return table.routes[0]
        key = headers.get(table.sticky, b"") if table.sticky else b""
        if table.holdout and self._random.random() < table.holdout:
            number = self._random.randrange(len(table.routes))
        else:
            number = min(bisect.bisect_right(table.edges, self._draw(table, key)), len(table.routes) - 1)
            while number and not table.shares[number]:
                number -= 1
        shadows = tuple(slot for slot, share in table.shadows if share >= 1 or self._random.random() < share)
        return Route(table.routes[number].slot, table.shares[number], shadows, key.decode("latin-1"))

    def plain(self) -> Route | None:
        """The only version, where nothing about a request changes that."""
        table = self._table
        return table.routes[0] if len(table.routes) == 1 and not table.sticky and not table.shadows else None

    def began(self, requests: int) -> None:
        """Count requests that go where `plain` said."""
        self._flying += requests

    def finished_all(self, slot: Slot, done: Sequence[tuple[int, int, float]]) -> None:
        """Count several answers of one version."""
        table = self._table
        self._flying -= len(done)
        at = table.places.get(slot)
        if at is None:  # it was taken out while it answered
            at = self._counters.version(slot.ref)
        self._counters.observe_all(at, done, slow_seconds=table.slow_seconds)

    def _draw(self, table: _Table, key: bytes) -> float:
        """A number from 0 to 1, always the same for the same key of the same deployment."""
        if not key:
            return self._random.random()
        digest = hashlib.blake2b(key, digest_size=8, key=table.salt[:64]).digest()
        return int.from_bytes(digest, "big") / SCALE

    def finished(self, route: Route, status: int, rows: int, seconds: float) -> None:
        """Count an answer."""
        table = self._table
        self._flying -= 1
        at = table.places.get(route.slot)
        if at is None:  # it was taken out while it answered
            at = self._counters.version(route.slot.ref)
        self._counters.observe(at, status, rows, seconds, slow_seconds=table.slow_seconds)

    def shadowed(
        self, route: Route, shadow: Slot, ask: Ask, request_id: str, answer: Answer, copy: Answer, seconds: float
    ) -> None:
        """Keep what a shadow answered, under the id of the request that was copied."""
        self._counters.observe(self._counters.version(f"{shadow.ref} (shadow)"), copy.status, copy.rows, seconds)
        if copy.status == 200:
            now = time.time_ns() // 1_000_000
            with contextlib.suppress(OSError):  # it was never answered, so nothing is owed
                shadow.writer.append(
                    Entry(
                        request_id, now, ask.content_type, ask.body, copy.body, copy.rows, seconds * 1000,
                        route.key, 1.0, getattr(copy, "probabilities", b""), role=SHADOW,
                    )
                )  # fmt: skip

    def turned_away(self, status: int) -> None:
        """Count a request that no version was asked for."""
        self._counters.turned_away(status)

    def refused_alone(self, slot: Slot) -> None:
        """Count a request that a version refused though the stable one takes it."""
        at = self._table.places.get(slot)
        if at is not None:
            self._counters.refused_alone(at)

    def batched(self, slot: Slot, size: int) -> None:
        """Count a batch that was computed together."""
        at = self._table.places.get(slot)
        if at is not None:
            self._counters.batched(at, size)

    def tell(self) -> None:
        """Bring the counters up to date that nobody tells at a request."""
        slots = self._table.slots
        self._counters.in_flight(self._flying)
        self._counters.logged(
            sum(slot.writer.not_logged for slot in slots),
            sum(slot.writer.unnoted for slot in slots),
            max((slot.writer.written_ms for slot in slots), default=0),
            refusing=any(slot.writer.refusing for slot in slots),
        )

    def metrics(self) -> str:
        """What all workers have counted, as OpenMetrics."""
        self.tell()
        try:  # the workers' folder is that of a generation, in the deployment's
            monitored = (self._folder.parents[2] / MONITORED_FILE).read_text()
        except OSError:
            monitored = ""
        counted = list(read_counters(self._folder))
        return openmetrics(self._deployment, counted, now_ms=time.time_ns() // 1_000_000, monitored=monitored)


class Follower:
    """Follows the orders of one generation: loads what is new, exchanges the table, tells how far it is.

    Parameters
    ----------
    generation
        The generation's folder.
    load
        Loads and warms up a version: its folder, its name and the log's rules to a slot. Raises where it cannot.
    changed
        Called after every look that changed something.
    port
        The loopback port of this process alone.
    """

    def __init__(
        self,
        generation: Path,
        router: LiveRouter,
        load: Callable[[Path, str, LogRules], Slot],
        changed: Callable[[], None] = lambda: None,
        port: int = 0,
    ) -> None:
        self._generation = generation
        self._router = router
        self._load = load
        self._changed = changed
        self._port = port
        self._slots: dict[str, Slot] = {}
        self._failed: dict[str, str] = {}
        self._retired: list[tuple[float, Slot]] = []
        self._seen: tuple[int, int] = (0, 0)
        self._rotated = 0
        self._gone = Gone(generation.parent)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="traffic", daemon=True)

    def begin(self) -> None:
        """Load everything that is ordered now, then go on looking in a thread.

        Raises
        ------
        Exception
            The stable version cannot be loaded.
        """
        orders = Orders.read(self._generation)
        if orders is None:
            raise FileNotFoundError(self._generation / TRAFFIC_FILE)
        stable = orders.traffic.stable.model
        self._slots[stable] = self._load(self._generation / orders.places[stable], stable, orders.log)
        self._look()
        self._thread.start()

    def close(self) -> None:
        """Stop looking, and close what was retired."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for _, slot in self._retired:
            slot.writer.close()
        self._retired.clear()
        (self._generation / WORKERS / f"{os.getpid()}.json").unlink(missing_ok=True)

    def _follow(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self._look()
                self._router.tell()
                self._retire()
            except Exception:
                if self._gone.look():  # somebody has removed the whole deployment, or its project
                    log.error("%s is gone, so nothing is to be served", self._generation)  # noqa: TRY400 no fault of ours
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                log.exception("the traffic cannot be followed")
                self._stop.wait(1.0)

    def _look(self) -> None:
        found = (self._generation / TRAFFIC_FILE).stat()
        seen = (found.st_mtime_ns, found.st_ino)
        if seen == self._seen:
            return
        orders = Orders.read(self._generation)
        if orders is None:
            return
        wanted = {share.model: share for share in orders.traffic}
        for model in wanted:
            if model not in self._slots:
                try:
                    self._slots[model] = self._load(self._generation / orders.places[model], model, orders.log)
                    self._failed.pop(model, None)
                except Exception as error:
                    log.exception("%s cannot be loaded", model)
                    self._failed[model] = " ".join(f"{error}".split())[:500]
        self._router.exchange(orders.traffic, {m: slot for m, slot in self._slots.items() if m in wanted})
        for model in [m for m in self._slots if m not in wanted]:
            slot = self._slots.pop(model)
            slot.writer.rotate()  # what it still answers begins another segment
            self._retired.append((time.monotonic() + RETIRE_SECONDS, slot))
        self._failed = {m: why for m, why in self._failed.items() if m in wanted}
        if orders.rotate != self._rotated:
            for slot in (*self._slots.values(), *(slot for _, slot in self._retired)):
                slot.writer.rotate()
            self._rotated = orders.rotate
        self._tell(orders)
        self._seen = seen
        self._changed()

    def _tell(self, orders: Orders) -> None:
        state = WorkerState(
            os.getpid(),
            orders.number,
            {model: getattr(slot.model, "path", "") for model, slot in self._slots.items()},
            self._failed,
            {m: s.model.path_reason for m, s in self._slots.items() if getattr(s.model, "path_reason", "")},
            self._rotated,
            self._port,
            RELEASE,
        )
        path = self._generation / WORKERS / f"{os.getpid()}.json"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(path, orjson.dumps(state.to_dict()).decode())

    def _retire(self) -> None:
        now = time.monotonic()
        for due, slot in self._retired:
            if due <= now:
                slot.writer.close()
        self._retired = [(due, slot) for due, slot in self._retired if due > now]
