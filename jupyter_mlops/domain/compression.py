"""Compression: a model made smaller in several ways, and for each what it takes and what it costs in quality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .display import Displayed, byte_size, table
from .evaluation import Difference
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Compression", "Smaller"]


@dataclass(frozen=True)
class Smaller(Record):
    """One way to make a model smaller, or the model as it is.

    Parameters
    ----------
    method
        ``as it is``, ``onnx``, ``float32``, ``int8``, ``distil``, ``trees``, ``features``.
    bytes
        Of the stored model file.
    row_ms, thousand_ms
        Median time to predict one row, and a thousand, in milliseconds.
    memory_bytes
        The most that a process of its own took that loaded the file and predicted, libraries included.
    value
        The metric on the rows left aside; `difference` is after minus before, paired on the same rows.
    agree
        Share of these rows on which it predicts what the model as it is predicts.
    version
        The candidate's version, where it was registered.
    """

    method: str
    change: str
    bytes: int
    row_ms: float
    thousand_ms: float
    memory_bytes: int
    value: float
    difference: Difference | None = None
    agree: float = 1.0
    version: str = ""


@dataclass(frozen=True)
class Compression(Displayed, Record):
    """What became of a model by each way to make it smaller, measured on rows that none of them was fitted on.

    Parameters
    ----------
    edge
        The single file that needs no scikit-learn, where one was asked for.
    proof
        In how many rows that file gave what the model gives, in a process without scikit-learn.
    """

    model: str
    metric: str
    rows: int
    ways: tuple[Smaller, ...]
    edge: str = ""
    proof: str = ""
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Smaller]:
        return iter(self.ways)

    def __len__(self) -> int:
        return len(self.ways)

    def __getitem__(self, method: str) -> Smaller:
        return next(way for way in self.ways if way.method == method)

    def to_pandas(self) -> pd.DataFrame:
        """One row a way."""
        import pandas as pd

        return pd.DataFrame(
            {
                **{key: value for key, value in way.to_dict().items() if key != "difference"},
                "difference": way.difference.value if way.difference else 0.0,
                "low": way.difference.low if way.difference else 0.0,
                "high": way.difference.high if way.difference else 0.0,
            }
            for way in self.ways
        )

    def lines(self) -> tuple[list[str], list[list[str]]]:
        """Heads and cells of the table."""
        heads = ["way", "size", "1 row", "1,000 rows", "memory", self.metric, "difference", "same", "version"]
        cells = []
        for way in self.ways:
            d = way.difference
            cells.append(
                [
                    way.method,
                    byte_size(way.bytes),
                    f"{way.row_ms:.2f} ms",
                    f"{way.thousand_ms:.1f} ms",
                    byte_size(way.memory_bytes),
                    f"{way.value:.4f}",
                    "" if d is None else f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]",
                    f"{way.agree:.1%}",
                    way.version,
                ]
            )
        return heads, cells

    def text(self) -> str:
        head = f"{self.model} made smaller, measured on {self.rows:,} rows left aside"
        changes = [f"{way.method}: {way.change}" for way in self.ways if way.change]
        edge = [f"edge file {self.edge}: {self.proof}"] if self.edge else []
        return "\n".join([head, table(*self.lines()), *changes, *edge, *(f"note: {note}" for note in self.notes)])
