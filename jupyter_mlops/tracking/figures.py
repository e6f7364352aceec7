"""Figures: what the user's code draws during a run is stored with it, of matplotlib as PNG and of plotly as JSON.

Personal data in the texts of plotly's is hashed in what is stored by itself. Neither library is loaded for it. IPython's inline backend closes figures when a cell ends, so those that come into being
during a run are held until it does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from .patches import ImportWatch, Patches
from .recording import check_key

if TYPE_CHECKING:
    from .recording import Recording
    from .tracker import Tracker

__all__ = ["Figures"]

PLACE = "mlops/figures"
MOST = 50
LARGEST_JSON = 5_000_000


class Figures:
    """Holds the figures of the runs being recorded, and stores them."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._held: dict[str, list[Any]] = {}
        self._numbers: dict[str, int] = {}
        self._patches = Patches()
        self._imports: ImportWatch | None = None

    def begin(self) -> None:
        """Hold every figure made from now on."""
        self._held, self._numbers, self._patches = {}, {}, Patches()
        watch: dict[str, Callable[[ModuleType], None]] = {
            "matplotlib.figure": self._matplotlib,
            "plotly.basedatatypes": self._plotly,
        }
        self._imports = ImportWatch(watch)
        self._imports.begin()

    def end(self) -> None:
        """Hold no more."""
        if self._imports is not None:
            self._imports.end()
        self._patches.undo()
        self._held = {}

    def save_all(self, recording: Recording) -> None:
        """Store what was drawn in a run."""
        figures = self._held.pop(recording.key, [])
        drawn = [figure for figure in figures if _has_content(figure)]
        for figure in drawn[:MOST]:
            try:
                self.save(recording, figure)
            except Exception as error:
                recording.note(f"a figure is not stored: {type(error).__name__}: {error}")
        if len(drawn) > MOST:
            recording.note(f"{len(drawn) - MOST} of {len(drawn)} figures are not stored.")

    def save(self, recording: Recording, figure: Any, name: str = "") -> None:
        """Store one figure, by default beside those that are stored by themselves.

        Raises
        ------
        InvalidArgument
            It is no figure, or the name is none.
        """
        figure = getattr(figure, "figure", figure) if not hasattr(figure, "savefig") else figure  # axes will do
        png = hasattr(figure, "savefig")
        if not png and not hasattr(figure, "to_json"):
            raise InvalidArgument(f"a {type(figure).__name__} is no figure of matplotlib or plotly.")
        suffix = ".png" if png else ".json"
        folder, _, file = check_key(name).rpartition("/") if name else (PLACE, "", self._name(recording, figure))
        if not file.endswith((suffix, f".plotly{suffix}")):
            file += suffix if png else f".plotly{suffix}"
        staged = recording.stage(file)
        if png:
            figure.savefig(staged, format="png", bbox_inches="tight")
        else:
            text = figure.to_json()
            if not name and len(text) <= LARGEST_JSON and "masked_document" in (hooks := self._tracker.context.hooks):
                text = hooks["masked_document"](text)
            if len(text) > LARGEST_JSON and not name:
                recording.note(f"the figure {file} is not stored: it has {len(text) / 1e6:.0f} MB.")
                return
            staged.write_text(text)
        recording.staged(staged, folder)
        held = self._held.get(recording.key, [])
        if name:  # stored under the name that was asked for, so not a second time at the end
            self._held[recording.key] = [other for other in held if other is not figure]

    def _name(self, recording: Recording, figure: Any) -> str:
        number = self._numbers[recording.key] = self._numbers.get(recording.key, 0) + 1
        title = re.sub(r"[^\w-]+", "-", _title(figure)).strip("-").lower()[:60]
        return f"{number:02d}-{title}" if title else f"{number:02d}-figure"

    def _matplotlib(self, module: ModuleType) -> None:
        self._watch(module.Figure)

    def _plotly(self, module: ModuleType) -> None:
        self._watch(module.BaseFigure)

    def _watch(self, cls: type[Any]) -> None:
        before = cls.__init__

        @functools.wraps(before)
        def __init__(figure: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 it is that method
            before(figure, *args, **kwargs)
            recording = self._tracker.current
            if recording is not None:
                self._held.setdefault(recording.key, []).append(figure)

        self._patches.set(cls, "__init__", __init__)


def _has_content(figure: Any) -> bool:
    if hasattr(figure, "savefig"):
        return bool(figure.get_axes() or figure.texts or figure.images)
    return bool(figure.data)


def _title(figure: Any) -> str:
    """What a figure is about: its own title, else that of its first axes."""
    if hasattr(figure, "savefig"):
        own = figure.get_suptitle() if hasattr(figure, "get_suptitle") else ""
        axes = figure.get_axes()
        return str(own or (axes[0].get_title() if axes else ""))
    return str(getattr(figure.layout.title, "text", None) or "")
