"""Dossier: everything that is known of one model version, gathered once; what its card and its evidence are written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .data_version import DataVersion
from .evaluation import Evaluation
from .gate import AliasMove, Approval, GateReport
from .model_version import ModelVersion
from .record import Record
from .run import Run

__all__ = ["DataFile", "Dossier"]


@dataclass(frozen=True)
class DataFile(Record):
    """A data version the model was trained on, and the file by which it is held.

    Parameters
    ----------
    uri
        Where the file that says what the version consists of lies: its manifest, or the one file it was saved as.
    sha256
        Of that file; empty where it cannot be read.
    checks
        What its checks said: ``{"errors": 0, "warnings": 2}``; None where none were made.
    """

    version: DataVersion
    uri: str = ""
    file: str = ""
    sha256: str = ""
    bytes: int = 0
    checks: dict[str, Any] | None = None


@dataclass(frozen=True)
class Dossier(Record):
    """What is known of a model version.

    Parameters
    ----------
    model
        The version, with what its files say.
    digest
        SHA-256 of its model file.
    size_bytes
        What its files take together.
    run
        The run that made it, with its code; None where none did.
    environment
        Every distribution that was installed then, pinned, as pip reads it; empty where nobody knows.
    requirements
        Those that the model itself needs, as MLflow stored them with it.
    evaluations
        Newest first.
    moves
        Every move of the name's aliases that concerns this version, newest first.
    data
        The data versions it was trained on that are still there.
    unsaved
        Tables that it was trained on and that are no data version, or no longer one.
    pipeline
        Whether the pipeline with its run was verified; None where nobody verified one.
    roles
        Who may speak as what, as the project declares.
    card
        The card as stored with the version; empty for none.
    """

    model: ModelVersion
    digest: str = ""
    size_bytes: int | None = None
    run: Run | None = None
    environment: str = ""
    requirements: tuple[str, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    gates: tuple[GateReport, ...] = ()
    approvals: tuple[Approval, ...] = ()
    moves: tuple[AliasMove, ...] = ()
    data: tuple[DataFile, ...] = ()
    unsaved: tuple[str, ...] = ()
    pipeline: dict[str, Any] | None = None
    roles: dict[str, Any] = field(default_factory=dict)
    card: str = ""
    store: str = ""
    project: str = ""
    made_ms: int = 0
    made_by: str = ""

    @property
    def evaluation(self) -> Evaluation | None:
        """The newest evaluation."""
        return self.evaluations[0] if self.evaluations else None

    def with_part(self, part: str) -> Evaluation | None:
        """The newest evaluation that looked at a part: ``slices``, ``fairness``, ``robustness``."""
        return next((e for e in self.evaluations if getattr(e, part)), None)

    @property
    def owners(self) -> tuple[str, ...]:
        """Who answers for it: the declared owners, else who registered it."""
        declared = self.roles.get("owner") or ()
        return tuple(str(name) for name in declared) or ((self.model.created_by,) if self.model.created_by else ())

    @property
    def packages(self) -> dict[str, str]:
        """The pinned distributions of `environment` by name."""
        lines = (line.partition("==") for line in self.environment.splitlines() if not line.startswith("#"))
        return {name.strip(): version.strip() for name, mark, version in lines if mark}

    def energy(self) -> tuple[float, float | None, str] | None:
        """What training took in Wh, the CO2 in grams, and how that was worked out; None where it was not measured."""
        facts = self.run.facts if self.run is not None else {}
        used = _number(facts.get("energy", ""))
        return None if used is None else (used, _number(facts.get("CO2", "")), facts.get("energy method", ""))


def _number(text: str) -> float | None:
    """The number before a unit.

    Examples
    --------
    >>> _number("0.012500 Wh"), _number("")
    (0.0125, None)
    """
    try:
        return float(text.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return None
