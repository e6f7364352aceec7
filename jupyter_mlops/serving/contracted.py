"""Contracted: the data contract that a served model's requests have to keep; what breaks it never reaches the model.

A model that is `held` asks for every request it has read, so no request is read a second time for its contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..domain.contract import Breach, ColumnRule, Contract, breaches_of
from .model import Answer
from .signature import INVALID_VALUE, Refused, Signature

__all__ = ["Held", "contract_for"]

SHOWN = 5
Test = Callable[[Any], bool]


class Held:
    """Holds what a model was sent to a contract.

    Parameters
    ----------
    contract
        What every request has to keep, as `contract_for` gives it.
    signature
        The model's, of named columns.

    Examples
    --------
    >>> signature = Signature.parse('[{"type": "long", "name": "age"}, {"type": "string", "name": "job"}]')
    >>> held = Held(Contract("a@v1", (ColumnRule("age", "integer", minimum=17, maximum=90),)), signature)
    >>> held.rows([(30, "cook")]) is None, held.rows([(30, "cook"), (999, "cook")]).status
    (True, 400)
    """

    def __init__(self, contract: Contract, signature: Signature) -> None:
        self.contract = contract
        self._signature = signature
        self._names = [column.name for column in signature.columns]
        self._tests: list[tuple[int, Test]] = [
            (self._names.index(rule.name), _surely(rule)) for rule in contract.columns if rule.name in self._names
        ]

    def rows(self, rows: Sequence[Sequence[Any]]) -> Answer | None:
        """The answer that refuses rows in the signature's order, None where they keep the contract."""
        for place, keeps in self._tests:
            for row in rows:
                if not keeps(row[place]):
                    return self._told(dict(zip(self._names, zip(*rows, strict=True), strict=True)))
        return None

    def table(self, data: Any) -> Answer | None:
        """The same for a table that `Signature.enforce` has let through."""
        plain = data.astype(object).where(data.notna(), None)
        return self._told({str(name): plain[name].tolist() for name in plain.columns})

    def parsed(self, data: Any) -> Answer | None:
        """The same for what mlflow has read and not yet held to the signature; what cannot be is left to mlflow's own sentence."""
        try:
            enforced = self._signature.enforce(data)
        except Refused:
            return None
        return self.table(enforced)

    def _told(self, columns: Mapping[str, Sequence[Any]]) -> Answer | None:
        breaches = breaches_of(self.contract, columns)
        return Answer.error(400, INVALID_VALUE, _sentence(self.contract, breaches)) if breaches else None


def contract_for(contract: Contract, names: Sequence[str]) -> Contract:
    """The part of a contract that single requests can keep: the model's own columns, and nothing across rows.

    A column that a request leaves out is a matter of the model's signature.

    Examples
    --------
    >>> rules = (ColumnRule("id", "integer", unique=True), ColumnRule("age", "integer", unique=True))
    >>> [(rule.name, rule.unique, rule.required) for rule in contract_for(Contract("a@v1", rules), ["age"]).columns]
    [('age', False, False)]
    """
    kept = tuple(replace(rule, unique=False, required=False) for rule in contract.columns if rule.name in names)
    return replace(contract, columns=kept, extra=True)


def _surely(rule: ColumnRule) -> Test:
    """Whether a value keeps a rule beyond doubt, at little cost; what is in doubt `breaches_of` decides."""
    if rule.kind in ("integer", "number"):
        low = float("-inf") if rule.minimum is None else rule.minimum
        high = float("inf") if rule.maximum is None else rule.maximum
        if rule.kind == "integer":
            return lambda v: (type(v) is int or (type(v) is float and v.is_integer())) and low <= v <= high
        return lambda v: type(v) in (int, float) and low <= v <= high
    if rule.kind == "text":
        allowed = None if rule.categories is None else frozenset(rule.categories)
        return (lambda v: type(v) is str) if allowed is None else (lambda v: type(v) is str and v in allowed)
    return lambda v: v is not None and v == v and not rule.faults(v)  # noqa: PLR0124 NaN is not equal to itself


def _sentence(contract: Contract, breaches: Sequence[Breach]) -> str:
    """What is wrong, column by column: what was sent, in which row, and what is expected."""
    told = []
    for breach in breaches[:SHOWN]:
        sent = f", such as {', '.join(map(repr, breach.examples[:3]))}" if breach.examples else ""
        told.append(f"column {breach.column!r}: {breach.message}{sent} (row {', '.join(map(str, breach.rows))})")
    more = f"; and {len(breaches) - SHOWN} more" if len(breaches) > SHOWN else ""
    return f"The request breaks the contract of {contract.source}: {'; '.join(told)}{more}."
