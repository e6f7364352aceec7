"""Nouns as data: whatever a record holds comes back from the wire equal."""

from __future__ import annotations

import importlib
import json
import pkgutil
import types
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops import domain
from jupyter_mlops.domain.data_version import DataDiff
from jupyter_mlops.domain.display import Displayed
from jupyter_mlops.domain.drift_report import DriftReport
from jupyter_mlops.domain.record import Record
from jupyter_mlops.domain.reference import Reference, check_alias, check_name
from jupyter_mlops.domain.run import Run, RunComparison, RunTable
from jupyter_mlops.errors import InvalidArgument

for module in pkgutil.iter_modules(domain.__path__):
    importlib.import_module(f"jupyter_mlops.domain.{module.name}")


def value(hint: Any) -> st.SearchStrategy[Any]:
    """Values for a field's type, small ones: NaN equals nothing, so a record that holds one could not be compared."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of(*(value(arg) for arg in args))
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (tuple, Sequence):
        return st.lists(value(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=3), value(args[1]), max_size=2)
    if isinstance(hint, type) and issubclass(hint, Record):
        return record(hint)
    plain = {
        int: st.integers(0, 2**41),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        str: st.text(max_size=5),
        type(None): st.none(),
        Any: st.integers(),
    }
    return plain[hint]


def record(cls: type[Record]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: value(hints[field.name]) for field in fields(cls)})


def every_record(cls: type[Record] = Record) -> list[type[Record]]:
    ours = [c for c in cls.__subclasses__() if c.__module__.startswith("jupyter_mlops")]
    return [found for child in ours for found in (child, *every_record(child))]


few = settings(max_examples=10, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize("cls", every_record(), ids=lambda c: c.__name__)
def test_every_record_comes_back_equal_from_json(cls: type[Record]) -> None:
    @few
    @given(record(cls))
    def comes_back(made: Record) -> None:
        assert cls.from_dict(json.loads(json.dumps(made.to_dict()))) == made
        assert cls.from_dict({**made.to_dict(), "a field of a newer version": 1}) == made

    comes_back()


# a comparison's rows are as long as it has runs, and a difference's cells are as many as its columns, which fields drawn
# one by one are not; both have tests of their own
@pytest.mark.parametrize(
    "cls",
    [c for c in every_record() if issubclass(c, Displayed) and c not in (RunComparison, DataDiff)],
    ids=lambda c: c.__name__,
)
def test_every_displayed_noun_has_a_text(cls: type[Record]) -> None:
    @few
    @given(record(cls))
    def has_a_text(made: Any) -> None:
        assert isinstance(made.text(), str)

    has_a_text()


def test_tables_iterate_and_turn_into_frames() -> None:
    runs = RunTable((Run("a", "one", "FINISHED", metrics={"auc": 0.9}), Run("b", "two", "FAILED")))
    frame = runs.to_pandas()
    assert list(frame["name"]) == ["one", "two"]
    assert frame["metrics.auc"].isna().tolist() == [False, True]
    assert [run.id for run in runs] == ["a", "b"]


def test_a_comparison_shows_what_differs_and_counts_what_does_not() -> None:
    runs = (Run("a1", "one", "FINISHED"), Run("b2", "two", "FINISHED"))
    told = RunComparison(runs, {"auc": (0.9, None)}, {"depth": ("3", "5")}, {"seed": "1"})
    assert told.text().splitlines()[1].split() == ["auc", "0.9", "-"]
    assert "1 parameters are the same" in told.text()
    assert told.to_pandas().shape == (2, 2)


def test_a_report_that_judged_nothing_never_says_no_drift() -> None:
    assert "could not be judged" in DriftReport("a", "b", ()).verdict


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True), st.integers(0, 10**6))
def test_references_read_what_they_write(name: str, number: int) -> None:
    for reference in (Reference(name), Reference(name, version=number)):
        assert Reference.parse(str(reference), "thing") == reference


@pytest.mark.parametrize("text", ["", "@1", "a b", "../etc", "a@", "a/b", "ü", "a" * 200])
def test_bad_references_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot name"):
        Reference.parse(text, "model")


@pytest.mark.parametrize("alias", ["7", "v3", "latest", "LATEST"])
def test_an_alias_is_never_a_version(alias: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot be an alias"):
        check_alias(alias)
    assert check_name("v3-model", "model") == "v3-model"
