"""Importing ONNX Runtime without what it tells its maker: from 1.29 on it reports every session, unless it is told not to first."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["onnxruntime"]


def onnxruntime() -> Any:
    """``onnxruntime``, which sends nothing and keeps no file of what it would have sent; whoever wants that says so before.

    Examples
    --------
    >>> onnxruntime().__name__, os.environ["ORT_DISABLE_TELEMETRY"]
    ('onnxruntime', '1')
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when the library makes its environment
    import onnxruntime

    return onnxruntime
