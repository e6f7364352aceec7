"""Contracted: a served model whose requests have to keep a data contract; what breaks it never reaches the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..domain.contract import Breach, Contract, breaches_of
from .model import Answer, Ask, ServedModel, read
from .signature import INVALID_VALUE, Signature

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ContractedModel", "contract_for"]

SHOWN = 5


class ContractedModel:
    """A model behind a contract.

    Parameters
    ----------
    inner
        The model that answers what keeps it.
    contract
        What every request has to keep, as `contract_for` gives it.
    signature
        By which a request is read into columns.
    """

    quick = False

    def __init__(self, inner: ServedModel, contract: Contract, signature: Signature) -> None:
        self.inner = inner
        self.contract = contract
        self.signature = signature
        self.path = inner.path
        self.path_reason = inner.path_reason
        self.classes = inner.classes

    def answer(self, body: bytes, content_type: str) -> Answer:
        """Predict for one request, if it keeps the contract."""
        return self.answer_many([Ask(body, content_type)])[0]

    def answer_now(self, asks: Sequence[Ask]) -> Sequence[Answer | None]:
        """Nothing here is quick: each request is read twice."""
        return [None] * len(asks)

    def answer_many(self, asks: Sequence[Ask]) -> list[Answer]:
        """Predict for the requests that keep the contract; the others are told how they break it."""
        answers = [self._refusal(ask) for ask in asks]
        kept = [ask for ask, refused in zip(asks, answers, strict=True) if refused is None]
        answered = iter(self.inner.answer_many(kept) if kept else ())
        return [next(answered) if refused is None else refused for refused in answers]

    def _refusal(self, ask: Ask) -> Answer | None:
        data, _, refused = read(ask, self.signature, "predict")
        if refused is not None:
            return refused
        breaches = breaches_of(self.contract, _columns(data))
        return Answer.error(400, INVALID_VALUE, _told(self.contract, breaches)) if breaches else None


def contract_for(contract: Contract, names: Sequence[str]) -> Contract:
    """The part of a contract that single requests can keep: the model's own columns, and nothing across rows.

    A column that a request leaves out is a matter of the model's signature.

    Examples
    --------
    >>> from ..domain.contract import ColumnRule
    >>> rules = (ColumnRule("id", "integer", unique=True), ColumnRule("age", "integer", unique=True))
    >>> [(rule.name, rule.unique, rule.required) for rule in contract_for(Contract("a@v1", rules), ["age"]).columns]
    [('age', False, False)]
    """
    kept = tuple(replace(rule, unique=False, required=False) for rule in contract.columns if rule.name in names)
    return replace(contract, columns=kept, extra=True)


def _columns(data: pd.DataFrame) -> dict[str, list[object]]:
    plain = data.astype(object).where(data.notna(), None)
    return {str(name): plain[name].tolist() for name in plain.columns}


def _told(contract: Contract, breaches: Sequence[Breach]) -> str:
    """What is wrong, column by column: what was sent, in which row, and what is expected."""
    told = []
    for breach in breaches[:SHOWN]:
        sent = f", such as {', '.join(map(repr, breach.examples[:3]))}" if breach.examples else ""
        told.append(f"column {breach.column!r}: {breach.message}{sent} (row {', '.join(map(str, breach.rows))})")
    more = f"; and {len(breaches) - SHOWN} more" if len(breaches) > SHOWN else ""
    return f"The request breaks the contract of {contract.source}: {'; '.join(told)}{more}."
