"""The magics and hooks of an IPython kernel. The only folder that imports IPython."""

from __future__ import annotations

import weakref
from typing import Any

from .extension import Extension

__all__ = ["load", "unload"]

_loaded: weakref.WeakKeyDictionary[Any, Extension] = weakref.WeakKeyDictionary()


def load(shell: Any, session: Any = None) -> None:
    """Give `shell` the ``%mlops`` magic, its completion and the hooks around cells.

    Parameters
    ----------
    session
        The session to work on; by default one on the current folder.
    """
    if shell not in _loaded:
        _loaded[shell] = Extension(shell, session)


def unload(shell: Any) -> None:
    """Take away everything that `load` gave."""
    extension = _loaded.pop(shell, None)
    if extension is not None:
        extension.close()
