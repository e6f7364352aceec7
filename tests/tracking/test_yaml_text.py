"""The YAML of model folders says the same to every reader."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.tracking.yaml_text import as_yaml

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=6), DATA, max_size=5))
def test_readers_get_the_same_data(data: dict[str, Any]) -> None:
    text = as_yaml(data) if data else "{}"
    assert yaml.safe_load(text) == data
    if hasattr(yaml, "CSafeLoader"):
        assert yaml.load(text, Loader=yaml.CSafeLoader) == data


@pytest.mark.parametrize(
    "value",
    [
        "",
        "no",
        "null",
        "1e3",
        "12:30",
        "2026-11-27 10:00:00.000001",
        "a: b",
        "# no",
        "\\ud83d\\ude00",
        "😀\\😀",
        "\x7f\x85\u2028",
    ],
)
def test_strings_stay_strings(value: str) -> None:
    assert yaml.safe_load(as_yaml({"value": value, value or "empty": [value]})) == {
        "value": value,
        value or "empty": [value],
    }


def test_numbers_stay_numbers() -> None:
    data = {"small": 1e-07, "large": 1e300, "whole": 3, "float": 3.0, "no": True}
    told = yaml.safe_load(as_yaml(data))
    assert told == data
    assert {key: type(value) for key, value in told.items()} == {key: type(value) for key, value in data.items()}
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_yaml({"x": math.nan})
