"""Model version: a registered model, its list, and the decision that moves an alias."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .display import Displayed, ago, table
from .gate import GateResult
from .record import Record
from .signature import SignatureColumn

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ModelTable", "ModelVersion", "Promotion"]


@dataclass(frozen=True)
class ModelVersion(Displayed, Record):
    """One version of a registered model.

    Parameters
    ----------
    format
        How the model is stored: ``skops`` (no pickle), ``pickle`` or another MLflow flavour's own.
    profile
        Whether the training data's reference profile is stored with it, as drift needs.
    """

    name: str
    version: int
    aliases: tuple[str, ...] = ()
    run_id: str = ""
    model_id: str = ""
    flavor: str = ""
    format: str = ""
    estimator: str = ""
    inputs: tuple[SignatureColumn, ...] = ()
    outputs: tuple[SignatureColumn, ...] = ()
    data: tuple[str, ...] = ()
    profile: bool = False
    metrics: dict[str, float] = field(default_factory=dict)
    created_ms: int = 0
    created_by: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """How commands name it: ``clf@7``."""
        return f"{self.name}@{self.version}"

    def text(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        rows = [
            ("model", f"{self.ref}{aliases}"),
            ("estimator", self.estimator or self.flavor),
            ("stored as", self.format),
            ("inputs", ", ".join(f"{c.name}: {c.type}" for c in self.inputs) or "-"),
            ("data", ", ".join(self.data) or "-"),
            ("drift profile", "yes" if self.profile else "no"),
            *((f"metric {k}", f"{v:.6g}") for k, v in self.metrics.items()),
        ]
        return "\n".join([table(["", ""], rows).lstrip("\n "), *(f"note: {n}" for n in self.notes)])


@dataclass(frozen=True)
class ModelTable(Displayed, Record):
    """Model versions, by model, newest first."""

    versions: tuple[ModelVersion, ...]

    def __iter__(self) -> Iterator[ModelVersion]:
        return iter(self.versions)

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, index: int) -> ModelVersion:
        return self.versions[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a version."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "model": v.name,
                    "version": v.version,
                    "aliases": list(v.aliases),
                    "estimator": v.estimator,
                    "format": v.format,
                    "run_id": v.run_id,
                    "data": list(v.data),
                    **{f"metrics.{k}": m for k, m in v.metrics.items()},
                }
                for v in self.versions
            ]
        )

    def text(self) -> str:
        if not self.versions:
            return "no models yet; register one with `%mlops register MODEL --name NAME`."
        now = int(time.time() * 1000)
        rows = [
            [
                v.ref,
                ", ".join(v.aliases) or "-",
                v.estimator,
                v.format,
                ", ".join(v.data) or "-",
                ago(v.created_ms, now),
            ]
            for v in self.versions
        ]
        return table(["model", "aliases", "estimator", "stored as", "data", "registered"], rows)


@dataclass(frozen=True)
class Promotion(Displayed, Record):
    """An alias that moved: from which version to which."""

    model: str
    alias: str
    version: int
    previous: int | None = None
    gates: tuple[GateResult, ...] = ()
    forced: bool = False
    """Whether a gate that does not hold was overruled."""
    reason: str = ""

    def text(self) -> str:
        before = f", before that version {self.previous}" if self.previous is not None else ""
        if self.previous == self.version:
            before = ", as before"
        lines = [f"{self.model}@{self.alias} is version {self.version}{before}"]
        if self.gates:
            rows = [[g.gate, g.verdict, g.needed, g.found] for g in self.gates]
            lines.append(table(["gate", "verdict", "needed", "found"], rows))
        if self.forced:
            lines.append(f"FORCED: {self.reason}")
        return "\n".join(lines)
