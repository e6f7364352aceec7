"""Which types a skops file may make objects of: a file that names its own types as trusted could name `os.system` as well.

skops makes objects of the types that it knows, and of those that it is told to trust. MLflow keeps the latter in the
model's own MLmodel file, so whoever made the model has chosen them. What counts here is only what the libraries define
themselves and what does no harm whatever it is called with; anything else asks for the user's consent, as a pickle does.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

__all__ = ["check_homes", "unknown_types"]

LIBRARIES = ("sklearn", "imblearn", "xgboost", "lightgbm", "catboost", "category_encoders")
PARTS = (
    "scipy.interpolate",
    "scipy.sparse",
    "scipy.spatial",
    "scipy.special",
    "scipy.stats",
    "numpy.random",
    "numpy.polynomial",
)
NOT_IN = frozenset(
    {"tests", "testing", "_testing", "conftest", "datasets", "externals", "_build_utils", "dask", "spark"}
)
"""Parts of those libraries that read and write files, start processes or run what they are given."""
NUMPY = ("numpy.", "scipy._lib.array_api_compat.numpy.")
NUMPY_FUNCTIONS = frozenset(
    """
    abs absolute amax amin angle argmax argmin argsort around array asarray atleast_1d atleast_2d bool_ broadcast_to clip
    complex128 complex64 concatenate cumprod cumsum datetime64 diff digitize dot dtype expand_dims flip float16 float32 float64
    full_like hstack i0 imag int16 int32 int64 int8 interp isclose isin max maximum mean median min minimum nan_to_num nanmax
    nanmean nanmedian nanmin nanpercentile nanquantile nanstd nansum nanvar ndarray ones_like percentile prod ptp quantile
    ravel real repeat reshape roll round searchsorted sign sinc sort squeeze stack std str_ sum take timedelta64 transpose
    uint16 uint32 uint64 uint8 unwrap var vstack where zeros_like
    """.split()  # noqa: SIM905 a list of a hundred names is easier to read so
)
"""What NumPy computes from arrays alone."""
PLAIN = frozenset(
    [f"collections.{name}" for name in ("Counter", "OrderedDict", "defaultdict", "deque")]
    + [f"builtins.{name}" for name in ("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "set",
                                       "slice", "str", "tuple", "object", "range", "len", "abs", "max", "min", "sum", "round")]
    + [f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")]
    + ["jupyter_mlops.evaluation.group_thresholds.GroupThresholds"]  # what `mitigate` makes
    + ["decimal.Decimal", "fractions.Fraction", "functools.partial", "uuid.UUID"]
)  # fmt: skip


def unknown_types(named: Iterable[str]) -> list[str]:
    """Those of the types, by their full names, that nobody but the file itself vouches for.

    Examples
    --------
    >>> unknown_types(["sklearn._loss.link.LogitLink", "posix.system", "numpy.load", "mine.Twice"])
    ['posix.system', 'numpy.load', 'mine.Twice']
    """
    return [name for name in named if not _known(name)]


def check_homes(named: Iterable[str]) -> None:
    """Raise where a library's name stands for what another defines: what it imports is not its own.

    Raises
    ------
    ValueError
        With the first such name.

    Examples
    --------
    >>> check_homes(["sklearn.utils.discovery.all_estimators"])
    >>> check_homes(["sklearn.utils.discovery.import_module"])
    Traceback (most recent call last):
    ...
    ValueError: sklearn.utils.discovery.import_module is importlib's
    """
    for name in named:
        module, _, own = name.rpartition(".")
        top = module.partition(".")[0]
        if top not in LIBRARIES:
            continue
        home = str(getattr(getattr(importlib.import_module(module), own, None), "__module__", None) or "")
        if home.partition(".")[0] != top or NOT_IN.intersection(home.split(".")):
            raise ValueError(f"{name} is {home.partition('.')[0] or 'nobody'}'s")


def _known(name: str) -> bool:
    parts = name.split(".")
    if NOT_IN.intersection(parts):
        return False
    if parts[0] in LIBRARIES or name in PLAIN or any(name.startswith(f"{part}.") for part in PARTS):
        return True
    return name.startswith(NUMPY) and parts[-1] in NUMPY_FUNCTIONS
