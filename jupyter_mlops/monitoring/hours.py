"""Hours: what a deployment was asked and answered, hour by hour, as mergeable profiles on disk; a new reading takes in new rows only.

The state file names the log position that was read to and the profile of every hour; it is replaced in one step after
the profiles that it names are written, so a reader or a crash sees one reading or the next, and every row once.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..datasets.column_profile import ColumnProfile
from ..datasets.profile import Profile
from ..domain.context import now_ms
from ..errors import IntegrityFailure
from ..serving.inference_log import read, read_after
from .stretch import Span

if TYPE_CHECKING:
    from ..serving.inference_log import Window

__all__ = ["HOUR", "Hours", "joined"]

HOUR = 3_600_000
STATE = "state.json"
FORMAT = 1


class Hours:
    """The hourly profiles of one deployment's log, or those of shorter stretches.

    Parameters
    ----------
    folder
        Where they are kept; made on first use.
    profile
        Makes the profile of rows that one model version answered: ``profile(model, window)``.
    length
        Of a stretch, in milliseconds; an hour, or a part of one.
    keep_ms
        For how long a stretch is kept; None for good.
    """

    def __init__(
        self,
        folder: Path,
        profile: Callable[[str, Window], Profile],
        *,
        length: int = HOUR,
        keep_ms: int | None = None,
    ) -> None:
        self._folder = folder
        self._profile = profile
        self._length = length
        self._keep_ms = keep_ms
        self._state: dict[str, Any] = self._read_state()

    @property
    def models(self) -> list[str]:
        """The model versions that answered, sorted."""
        return sorted(self._state["hours"])

    def first_ms(self, model: str) -> int | None:
        """When the first hour with an answer of a model version began."""
        hours = self._state["hours"].get(model)
        return min(int(hour) for hour in hours) if hours else None

    def update(self, log: Path) -> int:
        """Take in what the log has had since the last time; give the number of new rows."""
        with self._locked():
            self._state = self._read_state()
            window, position = read_after(log, self._state["position"])
            if position == self._state["position"]:
                return 0
            state = {
                **self._state,
                "position": position,
                "hours": {m: dict(h) for m, h in self._state["hours"].items()},
            }
            oldest = 0 if self._keep_ms is None else now_ms() - self._keep_ms
            for model, held in state["hours"].items():
                state["hours"][model] = {hour: name for hour, name in held.items() if int(hour) >= oldest}
            if len(window):
                ms = window.times.dt.as_unit("ms").astype("int64").to_numpy() // self._length * self._length
                models = window.models.to_numpy()
                for model, hour in sorted({(str(m), int(h)) for m, h in zip(models, ms, strict=True) if h >= oldest}):
                    chosen = (models == model) & (ms == hour)
                    self._add(state, model, hour, _rows(window, chosen))
            before = self._state
            self._write_state(state)
            self._state = state
            kept = {name for hours in state["hours"].values() for name in hours.values()}
            for hours in before["hours"].values():
                for name in set(hours.values()) - kept:
                    shutil.rmtree(self._folder / name, ignore_errors=True)
            return len(window)

    def profile(self, model: str, span: Span) -> Profile | None:
        """The profile of what a model version was asked in the whole hours within a span; None for nothing."""
        names = [
            name for hour, name in sorted(self._hours(model)) if span.start <= hour and hour + self._length <= span.end
        ]
        return joined([Profile.read(self._folder / name) for name in names])

    def between(self, log: Path, model: str, span: Span) -> Profile | None:
        """The profile of what a model version was asked in a span, to the millisecond: the hours that a span begins and
        ends in are read from the log, the others as they are kept.
        """
        first, last = -(-span.start // self._length) * self._length, span.end // self._length * self._length
        edges = [span] if first >= last else [Span(span.start, first), Span(last, span.end)]
        parts = [self.profile(model, Span(first, last))] if first < last else []
        for edge in edges:
            window = read(log, since_ms=edge.start, until_ms=edge.end, models={model}) if edge.start < edge.end else ()
            if len(window):
                parts.append(self._profile(model, cast("Window", window)))
        return joined([part for part in parts if part is not None])

    def _hours(self, model: str) -> list[tuple[int, str]]:
        return [(int(hour), name) for hour, name in self._state["hours"].get(model, {}).items()]

    def _add(self, state: dict[str, Any], model: str, hour: int, window: Window) -> None:
        hours = state["hours"].setdefault(model, {})
        found = self._profile(model, window)
        earlier = hours.get(str(hour))
        if earlier is not None:
            found = joined([Profile.read(self._folder / earlier), found]) or found
        number = state["written"] = state["written"] + 1
        name = f"{number:08d}"
        shutil.rmtree(self._folder / name, ignore_errors=True)  # left behind by a reading that was cut off
        found.write(self._folder / name)
        hours[str(hour)] = name

    def _read_state(self) -> dict[str, Any]:
        file = self._folder / STATE
        if not file.exists():
            return {"format": FORMAT, "position": "", "written": 0, "hours": {}}
        try:
            state: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise IntegrityFailure(
                f"{file} cannot be read: {error}.", hint=f"Remove {self._folder}; it is made anew from the log."
            ) from error
        return state

    def _write_state(self, state: dict[str, Any]) -> None:
        temporary = self._folder / f"{STATE}.{os.getpid()}"
        with temporary.open("w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / STATE)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def joined(profiles: list[Profile]) -> Profile | None:
    """Profiles of parts as one; None for none. A column that a part lacks counts as missing there."""
    if not profiles:
        return None
    whole = profiles[0]
    for part in profiles[1:]:
        whole = _both(whole, part)
    return whole


def _both(first: Profile, second: Profile) -> Profile:
    sides = [{column.name: column for column in side.columns} for side in (first, second)]
    columns, notes = [], [*first.notes, *second.notes]
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        a, b = (
            held.get(name) or ColumnProfile(name, "categorical", "null", side.rows, side.rows)
            for held, side in zip(sides, (first, second), strict=True)
        )
        try:
            columns.append(a.merge(b))
        except ValueError as error:
            columns.append(a if a.rows >= b.rows else b)
            notes.append(f"{error}; the part with more rows was taken")
    return Profile(first.rows + second.rows, tuple(columns), notes=tuple(dict.fromkeys(notes)))


def _rows(window: Window, chosen: Any) -> Window:
    """The chosen rows of what drift reads of a window."""
    return replace(
        window,
        inputs=window.inputs[chosen],
        predictions=window.predictions[chosen],
        times=window.times[chosen],
        models=window.models[chosen],
        probabilities=None,
        latency_ms=None,
        keys=None,
        propensities=None,
    )
