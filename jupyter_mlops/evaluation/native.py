"""Native: functions over arrays, compiled by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["native"]


def native(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """A function as numba compiles it; what was compiled is kept for the next process where there is a place for it.

    Parameters
    ----------
    settings
        Of ``numba.njit``, beside those that every function here has.

    Examples
    --------
    >>> native(lambda a, b: a + b)(2, 3)
    5
    """
    import numba

    settings = {"nogil": True, "error_model": "numpy", **settings}
    try:
        return numba.njit(cache=True, **settings)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep it
        return numba.njit(**settings)(function)  # type: ignore[no-any-return]
