"""Rules in plain words: read, refused with what to write instead, and judged on windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.domain.evaluation_parts import MetricValue
from jupyter_mlops.domain.performance import PerformanceWindow, Responses
from jupyter_mlops.errors import InvalidArgument, MLOpsError
from jupyter_mlops.monitoring.detectors import DETECTORS
from jupyter_mlops.monitoring.rules import METRICS, parse_rule, verdict

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "subject", "column", "operator", "number", "needed"),
    [
        ("psi(age) > 0.2 for 2 windows", "psi", "age", ">", 0.2, 2),
        ("psi( hours per week )>=.2", "psi", "hours per week", ">=", 0.2, 1),
        ("auc < 0.8", "roc_auc", "", "<", 0.8, 1),
        ("AUC < 80%", "roc_auc", "", "<", 0.8, 1),
        ("p99 > 50ms", "p99", "", ">", 50.0, 1),
        ("p95 > 0.05 s for 6h", "p95", "", ">", 50.0, 6),
        ("error rate > 1% for 90min", "error_rate", "", ">", 0.01, 2),
        ("missing(income) > 5%", "missing", "income", ">", 0.05, 1),
        ("drift", "drift", "", ">", 0.0, 1),
        ("drift(age) for 3 windows", "drift", "age", ">", 0.0, 3),
        ("drifted > 3", "drifted", "", ">", 3.0, 1),
        ("rows < 1e2", "rows", "", "<", 100.0, 1),
        ("estimated(auc) < 0.8 for 1 window", "roc_auc", "", "<", 0.8, 1),
    ],
)
def test_rules_are_read(text, subject, column, operator, number, needed):
    rule = parse_rule(text)
    assert (rule.subject, rule.column, rule.operator, rule.needed(HOUR)) == (subject, column, operator, needed)
    assert rule.number == pytest.approx(number)
    assert rule.estimated == text.startswith("estimated")
    assert parse_rule(rule.text) == rule


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no rule"),
        ("psi(age) > 0.2 and auc < 1", "is no rule"),
        ("psy(age) > 0.2", "psi"),
        ("psi > 0.2", "of which column"),
        ("auc", "compares with nothing"),
        ("auc = 0.8", "compares with '='"),
        ("auc < high", "is no number"),
        ("auc < nan", "is no number"),
        ("auc(age) < 0.8", "of the whole window"),
        ("drift > 3", "drifted > 3"),
        ("p99 > 5%", "is no share"),
        ("rows > 5ms", "is no time"),
        ("estimated(psi) > 1", "only metrics are estimated"),
        ("drift for 0 windows", "at least one window"),
    ],
)
def test_bad_rules_say_what_to_write(text, said):
    with pytest.raises(InvalidArgument) as caught:
        parse_rule(text)
    assert said in f"{caught.value.message} {caught.value.hint}"


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(text):
    try:
        rule = parse_rule(text)
    except MLOpsError:
        return
    assert parse_rule(rule.text) == rule


@given(
    st.sampled_from([*METRICS, *(f"{d}(x)" for d in DETECTORS)]),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.floats(0, 10),
    st.integers(1, 9),
)
def test_every_subject_can_be_written_and_read_again(subject, operator, number, windows):
    rule = parse_rule(f"{subject} {operator} {number!r} for {windows} windows")
    assert (rule.operator, rule.number, rule.windows) == (operator, number, windows)


def window(**changes):
    given_ = {
        "start_ms": 0,
        "end_ms": 1,
        "rows": 50,
        "labelled": 40,
        "realised": (MetricValue("roc_auc", 0.7),),
        "estimated": (MetricValue("roc_auc", 0.9),),
        "responses": Responses(10, 1.0, 2.0, 60.0, 5.0, None),
    }
    return PerformanceWindow(**{**given_, **changes})


@pytest.mark.parametrize(
    ("text", "measured", "holds", "told"),
    [
        ("auc < 0.8", window(), True, "0.700 of 40 labels"),
        ("estimated(auc) < 0.8", window(), False, "0.900 of 50 rows"),
        ("auc < 0.8", window(labelled=29), None, "29 labels in the window, fewer than 30"),
        ("auc < 0.8", window(realised=()), None, "no roc_auc"),
        ("auc < 0.8", None, None, "no rows"),
        ("p99 > 50ms", window(), True, "60 ms"),
        ("error_rate > 1%", window(), None, "not known"),
        ("rows < 10", None, True, "0"),
        ("labels < 41", window(), True, "40"),
        ("throughput < 1", window(), False, "5"),
    ],
)
def test_windows_are_judged_or_it_is_said_why_not(text, measured, holds, told):
    reading = verdict(parse_rule(text), performance=measured)
    assert reading.holds is holds
    assert told in reading.told
