"""The exception tree: everything this package raises on purpose.

::

    MLOpsError                  the root; catch this to catch all of ours
    +-- InvalidArgument         an argument or option is unknown, missing or of the wrong kind
    +-- NotFound                a run, data version, model, deployment, column or file that is not there
    +-- Conflict                what was asked collides with what exists (a name, a port, a changed digest)
    +-- NotReady                what was asked for needs a step that has not been done yet
    +-- MissingDependency       an optional package is not installed
    +-- IntegrityFailure        something at rest is not what its digest says
    +-- VerificationFailed      an exported pipeline does not give the notebook's results
    +-- PredictionRefused       the model server turned an input down
    +-- PromotionRefused        a gate does not hold
    +-- Unavailable             something we depend on does not answer
        +-- StoreUnavailable    the MLflow store cannot be reached or opened
        +-- ServiceUnavailable  the workspace's background process cannot be started or reached
            +-- ServiceOutdated the process, or who asks it, runs another version of this package than the other

Every message says what was asked, what there is, and what to do next. The tree knows no HTTP and no IPython:
the surfaces turn these into a ``UsageError``, an exit code or a status code, each in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar

__all__ = [
    "Conflict",
    "IntegrityFailure",
    "InvalidArgument",
    "MLOpsError",
    "MissingDependency",
    "NotFound",
    "NotReady",
    "PredictionRefused",
    "PromotionRefused",
    "ServiceOutdated",
    "ServiceUnavailable",
    "StoreUnavailable",
    "Unavailable",
    "VerificationFailed",
    "from_dict",
]

LISTED = 8  # how many candidates an error names before it says "and N more"


class MLOpsError(Exception):
    """The root of the tree.

    Parameters
    ----------
    message
        What was asked and what there is.
    hint
        What to do next; printed after the message.

    Examples
    --------
    >>> str(MLOpsError("no such thing.", hint="Look elsewhere."))
    'no such thing. Look elsewhere.'
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        between = "\n" if "\n" in self.message else " "
        return f"{self.message}{between}{self.hint}".strip()

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the line of the user's code that asked, and what there is to say; none of our own lines."""
        at, line = self.__traceback__, 0
        while at is not None and not at.tb_frame.f_globals.get("__name__", "").startswith(__package__):
            line = at.tb_lineno
            at = at.tb_next
        return [*([f"line {line}"] if line else []), f"{type(self).__name__}: {self}"]

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data, for a wire; `from_dict` reads it back."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class InvalidArgument(MLOpsError):
    """An argument or option is unknown, missing or of the wrong kind."""

    code = "invalid-argument"

    @classmethod
    def unknown(cls, what: str, asked: str, known: Iterable[str], *, hint: str = "") -> InvalidArgument:
        """An unknown verb, option or choice, with the known ones and the nearest.

        Examples
        --------
        >>> print(InvalidArgument.unknown("verb", "dploy", ["deploy", "drift"]))
        unknown verb 'dploy'; known: deploy, drift. Did you mean 'deploy'?
        """
        return cls(f"unknown {what} {asked!r}; known: {_listed(known)}.", hint=_nearest(asked, known) or hint)


class NotFound(MLOpsError):
    """A run, data version, model, deployment, column or file that is not there."""

    code = "not-found"

    @classmethod
    def among(cls, what: str, asked: str, known: Iterable[str], *, hint: str = "") -> NotFound:
        """Something asked for by name, with what there is.

        Examples
        --------
        >>> print(NotFound.among("model", "adlt", ["adult"], hint="Register one with `%mlops register`."))
        no model 'adlt'; there is: adult. Did you mean 'adult'?
        """
        names = list(known)
        there_is = f"there is: {_listed(names)}" if names else "there is none yet"
        return cls(f"no {what} {asked!r}; {there_is}.", hint=_nearest(asked, names) or hint)


class Conflict(MLOpsError):
    """What was asked collides with what exists."""

    code = "conflict"


class NotReady(MLOpsError):
    """What was asked for needs a step that has not been done yet."""

    code = "not-ready"


class MissingDependency(MLOpsError):
    """An optional package is not installed."""

    code = "missing-dependency"

    @classmethod
    def of(cls, package: str, *, why: str, extra: str | None = None) -> MissingDependency:
        """Name the package, the reason and the command that installs it.

        Examples
        --------
        >>> print(MissingDependency.of("shap", why="to explain a prediction", extra="explain"))
        shap is needed to explain a prediction, and is not installed. Run `pip install 'jupyter-mlops[explain]'`.
        """
        target = f"'jupyter-mlops[{extra}]'" if extra else package
        return cls(f"{package} is needed {why}, and is not installed.", hint=f"Run `pip install {target}`.")


class IntegrityFailure(MLOpsError):
    """Something at rest is not what its digest says."""

    code = "integrity"


class VerificationFailed(MLOpsError):
    """An exported pipeline does not give the notebook's results."""

    code = "verification-failed"


class PredictionRefused(MLOpsError):
    """The model server turned an input down."""

    code = "prediction-refused"


class PromotionRefused(MLOpsError):
    """A gate does not hold, so the alias stays where it is."""

    code = "promotion-refused"


class Unavailable(MLOpsError):
    """Something we depend on does not answer."""

    code = "unavailable"


class StoreUnavailable(Unavailable):
    """The MLflow store cannot be reached or opened."""

    code = "store-unavailable"


class ServiceUnavailable(Unavailable):
    """The workspace's background process cannot be started or reached."""

    code = "service-unavailable"


class ServiceOutdated(ServiceUnavailable):
    """The background process, or who asks it, runs another version of this package than the other."""

    code = "service-outdated"


def from_dict(data: Mapping[str, Any]) -> MLOpsError:
    """Rebuild an error from `MLOpsError.to_dict`; an unknown code gives the root class.

    Examples
    --------
    >>> from_dict(NotFound("no run 'x'.").to_dict())
    NotFound("no run 'x'.")
    """
    found = next((cls for cls in _tree(MLOpsError) if cls.code == data.get("code")), MLOpsError)
    error = found.__new__(found)
    MLOpsError.__init__(error, str(data.get("message", "unknown error")), hint=str(data.get("hint", "")))
    return error


def _tree(cls: type[MLOpsError]) -> Iterable[type[MLOpsError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _tree(child)


def _listed(names: Iterable[str]) -> str:
    every = [str(name) for name in names]
    shown = ", ".join(every[:LISTED])
    return f"{shown} and {len(every) - LISTED} more" if len(every) > LISTED else shown or "none"


def _nearest(asked: str, names: Iterable[str]) -> str:
    close = get_close_matches(asked, [str(name) for name in names], n=1)
    return f"Did you mean {close[0]!r}?" if close else ""
