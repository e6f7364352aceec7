"""What the service keeps for the checks: the newest report of a data version, its contract, and its personal columns."""

from __future__ import annotations

import json
from typing import Any

from ..domain.contract import Contract
from ..domain.data_check import DataCheck
from ..domain.operation import Operation
from ..domain.reference import Reference
from ..store.host import Host

__all__ = ["OPERATIONS"]


def keep_check(host: Host, *, ref: str, report: dict[str, Any]) -> dict[str, Any]:
    """Keep a report beside the data version it is of; the newest one counts."""
    told = DataCheck.from_dict(report)
    store = host.store.datasets
    run_id, version = _find(host, ref)
    counts = {"errors": told.errors, "warnings": told.warnings, "at": told.at_ms}
    store.notes.keep_check(run_id, json.dumps(told.to_dict(), separators=(",", ":")), counts)
    store.notes.declare_personal(run_id, list(told.personal))
    return {"version": version, **counts}


def declare_personal(host: Host, *, ref: str, columns: list[str]) -> list[str]:
    """Declare columns of a data version as personal: deployments of models trained on it hash them in their log."""
    run_id, _ = _find(host, ref)
    return host.store.datasets.notes.declare_personal(run_id, columns)


def read_contract(host: Host, *, ref: str) -> dict[str, Any] | None:
    """The contract that is kept with a data version, None if it has none yet."""
    run_id, _ = _find(host, ref)
    text = host.store.datasets.notes.contract(run_id)
    return Contract.from_dict(json.loads(text)).to_dict() if text else None


def keep_contract(host: Host, *, ref: str, contract: dict[str, Any]) -> dict[str, Any]:
    """Keep a contract with a data version, once: the first one stays."""
    run_id, _ = _find(host, ref)
    told = Contract.from_dict(contract)
    text = host.store.datasets.notes.keep_contract(run_id, json.dumps(told.to_dict(), separators=(",", ":")))
    return Contract.from_dict(json.loads(text)).to_dict()


def _find(host: Host, ref: str) -> tuple[str, str]:
    store = host.store.datasets
    parsed = Reference.parse(ref, "data version")
    version, run_id = store.get(parsed.name, store.resolve(parsed))
    return run_id, version.ref


OPERATIONS: dict[str, Operation] = {
    "data.keep_check": Operation(keep_check, action="data.check", target="ref", topics=("data",)),
    "data.declare_personal": Operation(
        declare_personal, action="data.declare_personal", target="ref", topics=("data",)
    ),
    "data.contract": Operation(read_contract),
    "data.keep_contract": Operation(keep_contract, action="data.contract", target="ref", topics=("data",)),
}
