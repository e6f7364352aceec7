"""The gates: one file each, in the order in which they are judged and shown."""

from __future__ import annotations

from ..gate import Gate
from . import (
    approvals,
    attack,
    better,
    calibrated,
    data_checks,
    fairness,
    latency,
    looks,
    membership,
    pipeline,
    robust,
    size,
    slices,
    trust,
)

__all__ = ["GATES"]

GATES: dict[str, Gate] = {
    module.GATE.name: module.GATE
    for module in (
        better,
        slices,
        fairness,
        calibrated,
        robust,
        attack,
        membership,
        latency,
        size,
        data_checks,
        looks,
        trust,
        pipeline,
        approvals,
    )
}
