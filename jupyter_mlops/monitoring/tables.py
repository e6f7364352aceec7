"""Tables: the drift of one table from another, whatever they are given as."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..domain.context import Context
from ..domain.drift_report import DriftReport
from .compare import compare
from .large import large_source
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
) -> DriftReport:
    """The report on two tables; those larger than memory are read in parts."""
    sides = [_source(context, table) for table in given]
    report = compare(sides[0], sides[1], called=called, thresholds=thresholds, detectors=detectors)
    if not multivariate:
        return report
    from .multivariate import MULTIVARIATE
    from .multivariate.encoding import encoded

    frames = encoded(sides[0].sampled(), sides[1].sampled())
    found = tuple(measure(*frames) for measure in MULTIVARIATE.values())
    return replace(report, together=tuple(one for one in found if one is not None))


def _source(context: Context, table: Any) -> Source:
    from ..datasets.tables import as_table

    return large_source(table) or FrameSource(as_table(context, table))
