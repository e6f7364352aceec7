"""Tables: the drift of one table from another, whatever they are given as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import Context
from ..domain.drift_report import DriftReport
from ..errors import InvalidArgument
from .compare import compare
from .large import MEMORY, large_source
from .sources import FrameSource, Source
from .thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["compared_tables"]


def compared_tables(
    context: Context,
    given: tuple[Any, Any],
    *,
    called: tuple[str, str],
    thresholds: Thresholds,
    detectors: Sequence[str] = (),
    multivariate: bool = False,
    memory: int | None = None,
) -> DriftReport:
    """The report on two tables; those larger than memory are read in parts, within a budget in bytes."""
    sides = [_source(context, table, memory) for table in given]
    report = compare(sides[0], sides[1], called=called, thresholds=thresholds, detectors=detectors)
    if not multivariate:
        return report
    from .multivariate import MULTIVARIATE
    from .multivariate.encoding import encoded

    frames = encoded(sides[0].sampled(), sides[1].sampled())
    found = tuple(measure(*frames) for measure in MULTIVARIATE.values())
    return replace(report, together=tuple(one for one in found if one is not None))


def _source(context: Context, table: Any, memory: int | None) -> Source:
    from ..datasets.tables import as_table

    large = large_source(table, memory=memory or MEMORY)
    if large is not None:
        return large
    if memory and isinstance(table, (str, Path)) and (path := Path(table).expanduser()).is_file():
        size = path.stat().st_size
        if size > memory:
            raise InvalidArgument(
                f"{path} of {size:,} bytes is no Parquet file, and cannot be read within {memory:,} bytes.",
                hint="Write it as Parquet, or leave --memory out.",
            )
    return FrameSource(as_table(context, table))
