"""The whole life of a model in the notebook: runs, data versions, models, deployments, drift, pipelines.

``%load_ext jupyter_mlops`` gives ``%mlops`` and ``%%mlops``; ``import jupyter_mlops as mlops`` gives the same commands
as functions. Everything is written to an MLflow store through MLflow's own API.
"""

from __future__ import annotations

import sys
import types
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .domain import display as _display

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .session import Session as Session

__version__ = "0.1.0"

__all__ = ["Session", "__version__", "current", "errors"]


def current() -> Session:
    """The session of this process: the kernel's where the extension is loaded, else one on the current folder."""
    found: Session = import_module(".session", __name__).current()
    return found


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext jupyter_mlops``."""
    import_module(".magics", __name__).load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext jupyter_mlops``."""
    import_module(".magics", __name__).unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "jupyter_mlops.server", "app": import_module(".server.app", __name__).MLOpsExtension}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-mlops"}]


def _draw(thing: _display.Displayed) -> Mapping[str, Any]:
    drawn: Mapping[str, Any] = import_module(".widgets", __name__).draw(thing)
    return drawn


_display.set_draw(_draw)


class _Package(types.ModuleType):
    """The package with its commands as functions: ``mlops.runs()``, ``mlops.data.save(...)``.

    Two commands share their name with a folder of ours. Python sets a folder's name on the package when it is
    imported; a property keeps the command there, and ``from jupyter_mlops.audit import ...`` works as ever.
    """

    audit = property(lambda _: current().audit, lambda *_: None)
    service = property(lambda _: current().service, lambda *_: None)

    def __getattr__(self, name: str) -> Any:
        if name == "errors":
            return import_module(".errors", __name__)
        if not name.startswith("_"):
            module = import_module(".session", __name__)
            if name == "Session":
                return module.Session
            if module.offers(name):
                return getattr(current(), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*__all__, *import_module(".session", __name__).offered()})


sys.modules[__name__].__class__ = _Package
