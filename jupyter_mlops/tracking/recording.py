"""Recording: the run in the kernel, from its first event to its last.

A run is recorded into the kernel's journal, so nothing that is logged waits for the store, and what was logged outlives
the kernel. The store's own id of a run is asked for only when somebody wants it.
"""

from __future__ import annotations

import re
import shutil
import struct
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..domain.context import now_ms
from ..domain.run import Run
from ..errors import Conflict, InvalidArgument, NotFound, Unavailable

if TYPE_CHECKING:
    from .journal import Journal
    from .tracker import Tracker
    from .trust import Assessment

__all__ = ["LONGEST_KEY", "LONGEST_PARAM", "Recording"]

LONGEST_KEY = 250  # MLflow's limits
LONGEST_PARAM = 6000
LONGEST_TAG = 5000
KEY = re.compile(r"[/\w.\- :]+")
WAIT_SECONDS = 30.0
RETRY_SECONDS = 3.0

Ending = Literal["FINISHED", "FAILED", "KILLED"]


class Recording:
    """One run: a context manager to record it, and the handle to log to it.

    Inside, every scikit-learn fit, metric call and figure is recorded by itself; the methods here add to that.

    Attributes
    ----------
    key
        Our own id of the run, given before the store knows it.
    name
        How the run is called.
    notes
        What could not be recorded, and why.

    Examples
    --------
    >>> import jupyter_mlops as mlops
    >>> with mlops.run("baseline") as run:  # doctest: +SKIP
    ...     run.log_metric("loss", 0.25, step=1)
    """

    def __init__(self, tracker: Tracker, name: str, source: str, namespace: dict[str, Any] | None) -> None:
        self._tracker = tracker
        self.name = name
        self.source = source
        self.namespace = namespace
        self.key = uuid.uuid4().hex
        self.parent: Recording | None = None
        self.parent_key = ""
        """The key of a run in another process that this one is a child of."""
        self.notes: list[str] = []
        self.again = ""
        self.automatic = False
        """Whether `track on` made it; then nobody waits for the store when it ends."""
        self.trust: Assessment | None = None
        self.started_ms = 0
        self.ended_ms: int | None = None
        self._status: Ending | None = None
        self._reason = ""
        self._id = ""
        self._last = 0
        self._retry_at = 0.0
        self._closed = False
        self._result: Run | None = None
        self._keys: dict[str, bytes] = {}
        self._params: dict[str, str] = {}
        self._data: set[tuple[str, str]] = set()
        self._metrics: dict[str, float] = {}

    # the context

    def __enter__(self) -> Self:
        if self.started_ms:
            raise Conflict(f"the run {self.name!r} was begun already.", hint="Make another one with `run()`.")
        self.started_ms = now_ms()
        self._tracker.begin(self)
        return self

    def begin(self, journal: Journal, number: int, parent: Recording | None, **start: Any) -> None:
        """Write the beginning into `journal`, where this run is called `number`; the tracker does."""
        self.journal, self._number, self.parent = journal, number, parent
        known = {"key": self.key, "name": self.name, "source": self.source, "started_ms": self.started_ms}
        self._first = journal.event("start", number, **known, parent=parent.key if parent else self.parent_key, **start)

    def abandon(self, error: BaseException) -> None:
        """End a run whose beginning was broken off."""
        self.failed(error)
        self.ended_ms = now_ms()
        self._last = self._write_end()
        self._closed = True

    def _write_end(self) -> int:
        ending = {"status": self._status, "reason": self._reason, "ended_ms": self.ended_ms}
        return self.journal.event("end", self._number, **ending)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.failed(error)
        self._end()

    def failed(self, error: BaseException) -> None:
        """Note that what is being run came to an end by `error`; for who cannot let it pass through the context."""
        if isinstance(error, SystemExit) and error.code in (None, 0):
            return
        text = " ".join(str(error).split())
        named = type(error).__name__ + (f": {text}" if text else "")
        killed = isinstance(error, KeyboardInterrupt)
        self._status, self._reason = ("KILLED", "interrupted") if killed else ("FAILED", named[:500])

    def _end(self) -> None:
        """Write the end down whatever happens, then wait a while for the store to have it all."""
        try:
            self._tracker.finish(self)
        finally:
            self._status = self._status or "FINISHED"
            self.ended_ms = now_ms()
            try:
                self._last = self._write_end()
            finally:
                self._closed = True
                self._keys.clear()
                self._tracker.end(self)
        if self.parent is None and not self.parent_key and not self.automatic:
            _ = self.result

    @property
    def result(self) -> Run | None:
        """The run as the store tells it, once it has ended; None before. What is kept here when the store is away."""
        if self._closed and self._result is None:
            if time.monotonic() < self._retry_at:
                return self._local()
            answer = self._tracker.flush(self, self._last, self._patience)
            if answer is None or answer["run"] is None:
                self._retry_at = time.monotonic() + RETRY_SECONDS
                return self._local()
            self._result = Run.from_dict(answer["run"])
            self._id = self._result.id
        return self._result

    @property
    def _patience(self) -> float:
        """How long to wait for the store: while it is away not at length in every cell anew."""
        return RETRY_SECONDS if self._tracker.away else WAIT_SECONDS

    @property
    def known(self) -> Run:
        """The run as far as it is known without asking anybody; its id is empty while only the store knows it."""
        return self._result or replace(self._local(), id=self._id)

    def _local(self) -> Run:
        """The run as far as it is known here, when the store is away."""
        return Run(
            id=self._id or self.key,
            name=self.name,
            status=self._status or "RUNNING",
            experiment=self._tracker.context.workspace.experiment,
            started_ms=self.started_ms,
            ended_ms=self.ended_ms,
            metrics=dict(self._metrics),
            params=dict(self._params),
            data=tuple(sorted(self.data)),
            notebook=self._tracker.context.notebook.path,
            user=self._tracker.context.actor.user,
            source=self.source,
            reason=self._reason,
            notes=tuple(self.notes),
            trust=self.trust.label if self.trust is not None else "unknown",
            trust_reasons=self.trust.reasons if self.trust is not None else {},
        )

    # what is known of it

    @property
    def active(self) -> bool:
        """Whether it has begun, has not ended, and is recorded by this process."""
        return bool(self.started_ms) and not self._closed and self.journal.mine

    @property
    def id(self) -> str:
        """MLflow's id of the run; waits for the store, which gives it.

        Raises
        ------
        Unavailable
            The store does not answer.
        """
        if not self._id:
            if not self.started_ms:
                self._check_begun()
            answer = self._tracker.ask(self.journal, self._first, self.key, self._patience)
            if not answer["run_id"]:
                raise NotFound(f"the run {self.name!r} was removed from the store.")
            self._id = str(answer["run_id"])
        return self._id

    @property
    def data(self) -> set[str]:
        """The tables that it has used so far: data versions, or names with a digest."""
        return {ref for ref, _ in self._data}

    @property
    def known_id(self) -> str:
        """MLflow's id of the run if it is known by now, else empty; asks nobody."""
        return self._id

    def __repr__(self) -> str:
        state = self._status or ("RUNNING" if self.started_ms else "not begun")
        return f"<run {self.name!r}: {state}>"

    # logging

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Log one value of a metric.

        Parameters
        ----------
        step
            Where on the curve it stands; 0 by default.

        Raises
        ------
        InvalidArgument
            The name is none that MLflow takes, or the value is no number.
        """
        name = self._keys.get(key) or self._new_key(key)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InvalidArgument(f"the metric {key!r} takes a number, not {value!r}.") from None
        try:
            self.journal.metric(self._number, name, number, int(step) if step else 0, time.time_ns() // 1_000_000)
        except (TypeError, ValueError, struct.error):
            raise InvalidArgument(f"step is a whole number, not {step!r}.") from None
        self._metrics[key] = number

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one value of each of several metrics."""
        for key, value in metrics.items():
            self.log_metric(key, value, step)

    def log_param(self, key: str, value: Any) -> None:
        """Log a parameter; its value is stored as text, cut after 6,000 characters.

        Raises
        ------
        Conflict
            It has another value already: a run's parameters do not change.
        """
        self._new_key(key)
        text = str(value)[:LONGEST_PARAM]
        known = self._params.get(key)
        if known is not None and known != text:
            raise Conflict(
                f"the parameter {key!r} of this run is {known[:80]!r} already.",
                hint="Log what changes as a metric or tag, or begin another run: `with mlops.run():`.",
            )
        if known is None:
            self._params[key] = text
            self.record("param", key=key, value=text)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log several parameters."""
        for key, value in params.items():
            self.log_param(key, value)

    def set_tag(self, key: str, value: Any) -> None:
        """Set a tag; a later value replaces an earlier one."""
        self._new_key(key)
        self.record("tag", key=key, value=str(value)[:LONGEST_TAG])

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """Store a file or a folder with the run, as it is now.

        Parameters
        ----------
        folder
            Where it goes among the run's artifacts; the top by default.

        Raises
        ------
        NotFound
            There is no such file.
        """
        given = Path(path).expanduser()
        if not given.exists():
            raise NotFound(f"there is no file {str(path)!r} to log.", hint=f"The current folder is {Path.cwd()}.")
        self._check_begun()
        staged = self.journal.stage(given.name or "artifact")
        if given.is_dir():
            shutil.copytree(given, staged)
        else:
            shutil.copy2(given, staged)
        self.record("artifact", file=self._relative(staged), path=_artifact_folder(folder))

    def log_figure(self, figure: Any, name: str = "") -> None:
        """Store a figure of matplotlib (as PNG) or plotly (as JSON) with the run.

        Parameters
        ----------
        name
            The file's name, perhaps with folders; by default it joins the figures that are recorded by themselves.

        Raises
        ------
        InvalidArgument
            It is no figure.
        """
        self._check_begun()
        self._tracker.figures.save(self, figure, name)

    # for the parts of this stage

    def record(self, kind: str, **payload: Any) -> None:
        """Append one event to the journal, see `tracking.journal` for the kinds."""
        self._check_begun()
        if kind == "data":
            used = (
                str(payload.get("ref") or f"{payload.get('name')}#{payload.get('digest')}"),
                payload.get("role", ""),
            )
            if used in self._data:
                return
            self._data.add(used)
        self.journal.event(kind, self._number, **payload)

    def note(self, text: str) -> None:
        """Note that something could not be recorded; never raises."""
        line = " ".join(text.split())[:300]
        if line in self.notes or len(self.notes) >= 20:
            return
        self.notes.append(line)
        if self.active:
            try:
                self.record("note", text=line)
            except Unavailable:  # a full disk: the note itself is what is lost
                return

    def stage(self, name: str) -> Path:
        """A path among the journal's files for what an event will speak of."""
        return self.journal.stage(name)

    def staged(self, place: Path, path: str) -> None:
        """Record a staged file as an artifact in the folder `path`."""
        self.record("artifact", file=self._relative(place), path=path)

    def _relative(self, staged: Path) -> str:
        return str(staged.relative_to(self.journal.folder))

    def _new_key(self, key: str) -> bytes:
        self._check_begun()
        if key not in self._keys:
            self._keys[key] = check_key(key).encode()
        return self._keys[key]

    def _check_begun(self) -> None:
        if not self.started_ms:
            raise Conflict("this run has not begun.", hint="Use it as `with mlops.run() as run:`.")
        if self._closed:
            raise Conflict(f"the run {self.name!r} has ended.", hint="Log inside its `with` or cell.")


def check_key(key: Any) -> str:
    """Return `key` if MLflow takes it for the name of a metric, parameter or tag, else raise.

    Examples
    --------
    >>> check_key("train/loss")
    'train/loss'
    """
    if (
        not isinstance(key, str)
        or not KEY.fullmatch(key)
        or len(key) > LONGEST_KEY
        or any(part in ("", ".", "..") for part in key.split("/"))
    ):
        raise InvalidArgument(
            f"{key!r} cannot name a metric, parameter or tag.",
            hint=f"Use letters, digits, '_', '-', '.', ' ', ':' and '/', at most {LONGEST_KEY}.",
        )
    return key


def clean_key(text: str) -> str:
    """The nearest name that `check_key` lets pass.

    Examples
    --------
    >>> clean_key("clf__C (log)")
    'clf__C _log_'
    """
    kept = re.sub(r"[^\w.\- :/]", "_", text)[:LONGEST_KEY]
    return "/".join(part if part not in ("", ".", "..") else "_" for part in kept.split("/"))


def _artifact_folder(folder: str) -> str:
    parts = [part for part in folder.split("/") if part]
    if folder.startswith("/") or ".." in parts:
        raise InvalidArgument(f"{folder!r} is no folder inside a run.", hint="Give a relative path, such as 'plots'.")
    return "/".join(parts)
