"""Gates: each one passes, fails and says that it cannot be judged; rules are read strictly; a battery holds every gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_mlops.domain.evaluation import Evaluation, EvaluationRows
from jupyter_mlops.domain.evaluation_parts import (
    Calibration,
    Fairness,
    MetricValue,
    Robustness,
    RobustnessCheck,
    Slice,
    Slices,
)
from jupyter_mlops.domain.gate import Approval
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.registry.gate import Candidate
from jupyter_mlops.registry.gates import GATES
from jupyter_mlops.settings import Settings, gate_rules

Y = np.array([0, 1] * 500)


def rows(wrong: int) -> EvaluationRows:
    prediction = np.where(np.arange(1000) < wrong, 1 - Y, Y)
    return EvaluationRows(np.arange(1000), Y, prediction, (prediction != Y).astype(float), classes=("no", "yes"))


ROWS = {"good": rows(50), "bad": rows(150)}


def evaluation(id_: str = "good", **parts: Any) -> Evaluation:
    told = {"data": "test@v1", "data_digest": "d1", "target": "y", "rows_digest": "x", "predict_seconds": 0.5} | parts
    return Evaluation("clf@2", "binary", 1000, (MetricValue("accuracy", 0.9),), id=id_, **told)


def calibration(calibrated: bool) -> Calibration:
    ece = MetricValue("ece", 0.02)
    return Calibration((), ece, ece, ece, "Spiegelhalter", 1.0, 0.3, calibrated)


FAIR = Fairness("sex", (), (MetricValue("equalized_odds_difference", 0.08, 0.05, 0.12),))
SLICES = Slices(
    "accuracy", True, 0.9, (Slice("age < 30", 100, 0.1, 0.8, rest=0.91, worse=True), Slice("x", 9, 0.01, 0.1, rest=0.9))
)
ROBUST = Robustness(
    "accuracy",
    True,
    0.9,
    1000,
    (
        RobustnessCheck("noise", "m", 0.85, -0.05),
        RobustnessCheck("swap", "m", 0.6, -0.3, column="a"),
        RobustnessCheck("attack", "m", 0.24, None, 0.18, 0.31),
        RobustnessCheck("membership", "m", 0.58, None, 0.55, 0.61),
    ),
)


def approval(role: str, by: str, withdrawn: bool = False) -> Approval:
    return Approval("clf@2", role, by, 1, withdrawn=withdrawn)


def candidate(**told: Any) -> Candidate:
    return Candidate("clf@2", "champion", author="ann", rows=lambda e: ROWS[e.id], **told)


both = {"champion": "clf@1", "evaluations": (evaluation(),), "champion_evaluations": (evaluation("bad"),)}
worse = {"champion": "clf@1", "evaluations": (evaluation("bad"),), "champion_evaluations": (evaluation(),)}

# gate, rule, candidate, verdict, a part of what is found or of the hint
CASES: list[tuple[str, Any, Candidate, str, str]] = [
    ("better", 0.05, candidate(**both), "passed", "+0.1000"),
    ("better", 0.099, candidate(**both), "failed", "+0.1000"),
    ("better", 0, candidate(**worse), "failed", "-0.1000"),
    ("better", -0.2, candidate(**worse), "passed", "-0.1000"),
    ("better", {"by": 0, "metric": "roc_auc"}, candidate(**both), "not judged", "probabilities"),
    ("better", True, candidate(), "passed", "nothing has the alias"),
    ("better", True, candidate(champion="clf@2"), "passed", "it has the alias champion already"),
    ("better", True, candidate(champion="clf@1"), "not judged", "%mlops evaluate clf@2 --data TEST"),
    (
        "better",
        True,
        candidate(**{**both, "champion_evaluations": (evaluation("bad", data_digest="d2"),)}),
        "not judged",
        "on one table",
    ),
    ("slices", 0.2, candidate(evaluations=(evaluation(slices=SLICES),)), "passed", "age < 30"),
    ("slices", 0.05, candidate(evaluations=(evaluation(slices=SLICES),)), "failed", "age < 30 (100 rows)"),
    (
        "slices",
        {"at_most": 0.2, "all_slices": True},
        candidate(evaluations=(evaluation(slices=SLICES),)),
        "failed",
        "x (9",
    ),
    ("slices", 0.1, candidate(evaluations=(evaluation(),)), "not judged", "--slices"),
    ("fairness", 0.1, candidate(evaluations=(evaluation(fairness=(FAIR,)),)), "passed", "sex: 0.080"),
    ("fairness", 0.05, candidate(evaluations=(evaluation(fairness=(FAIR,)),)), "failed", "sex"),
    (
        "fairness",
        {"at_most": 0.1, "upper_end": True},
        candidate(evaluations=(evaluation(fairness=(FAIR,)),)),
        "failed",
        "sex",
    ),
    (
        "fairness",
        {"at_most": 0.1, "attributes": ["race"]},
        candidate(evaluations=(evaluation(fairness=(FAIR,)),)),
        "not judged",
        "--fairness race",
    ),
    ("fairness", 0.1, candidate(), "not judged", "--fairness"),
    (
        "calibrated",
        True,
        candidate(evaluations=(evaluation(calibration=calibration(True)),)),
        "passed",
        "Spiegelhalter",
    ),
    ("calibrated", True, candidate(evaluations=(evaluation(calibration=calibration(False)),)), "failed", "p 0.3"),
    ("calibrated", 0.01, candidate(evaluations=(evaluation(calibration=calibration(True)),)), "failed", "0.020"),
    ("calibrated", True, candidate(evaluations=(evaluation(),)), "not judged", "--calibration"),
    ("robust", 0.4, candidate(evaluations=(evaluation(robustness=ROBUST),)), "passed", "swap of a"),
    ("robust", 0.1, candidate(evaluations=(evaluation(robustness=ROBUST),)), "failed", "-0.3"),
    (
        "robust",
        {"at_most": 0.1, "checks": ["noise"]},
        candidate(evaluations=(evaluation(robustness=ROBUST),)),
        "passed",
        "noise",
    ),
    (
        "robust",
        {"at_most": 0.1, "checks": ["fire"]},
        candidate(evaluations=(evaluation(robustness=ROBUST),)),
        "not judged",
        "Made were: attack, membership, noise, swap",
    ),
    ("robust", 0.1, candidate(), "not judged", "--robustness"),
    ("attack", 0.3, candidate(evaluations=(evaluation(robustness=ROBUST),)), "passed", "0.240 [0.180, 0.310]"),
    ("attack", 0.2, candidate(evaluations=(evaluation(robustness=ROBUST),)), "failed", "%mlops harden clf@2"),
    (
        "attack",
        {"at_most": 0.3, "upper_end": True},
        candidate(evaluations=(evaluation(robustness=ROBUST),)),
        "failed",
        "0.240",
    ),
    ("attack", 0.2, candidate(), "not judged", "--robustness"),
    ("membership", 0.6, candidate(evaluations=(evaluation(robustness=ROBUST),)), "passed", "0.580 [0.550, 0.610]"),
    ("membership", 0.55, candidate(evaluations=(evaluation(robustness=ROBUST),)), "failed", "Regularise"),
    (
        "membership",
        0.6,
        candidate(evaluations=(evaluation(robustness=Robustness("mae", False, 1.0, 9, ())),)),
        "not judged",
        "no number for membership",
    ),
    ("latency", 1, candidate(evaluations=(evaluation(),)), "passed", "0.5 ms a row"),
    ("latency", 0.1, candidate(evaluations=(evaluation(),)), "failed", "0.5 ms a row"),
    ("latency", 1, candidate(), "not judged", "evaluate clf@2"),
    ("size", 2, candidate(size_bytes=1_500_000), "passed", "1.5 MB"),
    ("size", 1, candidate(size_bytes=1_500_000), "failed", "1.5 MB"),
    ("size", 1, candidate(), "not judged", "cannot be reached"),
    (
        "data_checks",
        True,
        candidate(data=("a@v1",), data_checks={"a@v1": {"errors": 0, "warnings": 2}}),
        "passed",
        "2 warn",
    ),
    (
        "data_checks",
        1,
        candidate(data=("a@v1",), data_checks={"a@v1": {"errors": 0, "warnings": 2}}),
        "failed",
        "2 warn",
    ),
    ("data_checks", True, candidate(data=("a@v1",), data_checks={"a@v1": {"errors": 1}}), "failed", "1 errors"),
    ("data_checks", True, candidate(data=("a@v1",), data_checks={"a@v1": None}), "not judged", "data check a@v1"),
    ("data_checks", True, candidate(), "not judged", "data save"),
    ("test_looks", 1, candidate(evaluations=(evaluation(),)), "passed", "1 evaluations"),
    ("test_looks", 1, candidate(evaluations=(evaluation(), evaluation("b"))), "failed", "2 evaluations"),
    ("test_looks", {"data": "other@v1"}, candidate(evaluations=(evaluation(),)), "not judged", "--data other@v1"),
    ("test_looks", 1, candidate(), "not judged", "never evaluated"),
    ("trust", True, candidate(trust="reproducible"), "passed", "reproducible"),
    ("trust", "consistent", candidate(trust="reproducible"), "passed", "reproducible"),
    ("trust", True, candidate(trust="stale"), "failed", "Restart the kernel"),
    ("trust", True, candidate(), "not judged", "%%mlops run"),
    ("pipeline", True, candidate(pipeline={"verified": True}), "passed", "verified"),
    ("pipeline", True, candidate(pipeline={"verified": False, "directory": "out"}), "failed", "verify out"),
    ("pipeline", True, candidate(), "not judged", "%mlops export"),
    ("approvals", ["owner"], candidate(approvals=(approval("owner", "bob"),)), "passed", "owner: bob"),
    ("approvals", "owner,risk", candidate(approvals=(approval("owner", "bob"),)), "failed", "--as risk"),
    ("approvals", ["owner"], candidate(approvals=(approval("owner", "bob", True),)), "failed", "missing: owner"),
    (
        "approvals",
        ["owner"],
        candidate(approvals=(approval("owner", "eve"),), roles={"owner": ["bob"]}),
        "failed",
        "owner",
    ),
    (
        "approvals",
        {"roles": ["owner"], "not_by_author": True},
        candidate(approvals=(approval("owner", "ann"),)),
        "failed",
        "missing: owner",
    ),
    (
        "approvals",
        {"roles": ["owner", "risk"], "different_people": True},
        candidate(approvals=(approval("owner", "bob"), approval("risk", "bob"))),
        "failed",
        "several roles",
    ),
]


@pytest.mark.parametrize(("name", "rule", "asks", "verdict", "text"), CASES)
def test_a_gate_judges(name: str, rule: Any, asks: Candidate, verdict: str, text: str) -> None:
    gate = GATES[name]
    result = gate.judge(asks, gate.read(rule))
    assert (result.gate, result.verdict) == (name, verdict), result
    assert text in f"{result.found} {result.hint}"
    assert result.needed
    assert result.hint or result.passed


@pytest.mark.parametrize("name", GATES)
def test_every_gate_has_cases_of_each_verdict_and_declares_itself(name: str) -> None:
    gate = GATES[name]
    mine = {verdict for case, _, _, verdict, _ in CASES if case == name}
    assert {"passed", "failed"} <= mine
    assert "not judged" in mine or name == "approvals"
    assert gate.name == name
    assert gate.help
    assert all(option.help for option in gate.options)
    assert not gate.main or gate.main in {option.name for option in gate.options}
    with pytest.raises(InvalidArgument, match="option of the gate"):
        gate.read({"nonsense": 1})


@pytest.mark.parametrize(
    ("name", "rule", "text"),
    [
        ("slices", True, "also needs at_most"),
        ("slices", "much", "takes a number"),
        ("fairness", 1.5, "lies between 0.0 and 1.0"),
        ("fairness", float("nan"), "lies between"),
        ("pipeline", 3, "option of the gate 'pipeline' '3'"),
        ("trust", 3, "takes a str"),
        ("approvals", [], "names none"),
        ("slices", {"at_most": 0.1, "all_slices": "maybe"}, "takes a bool"),
    ],
)
def test_a_wrong_rule_is_told(name: str, rule: Any, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        GATES[name].read(rule)


def test_rules_come_from_both_files(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.jupyter_mlops]\nexperiment = "e"\n[tool.jupyter_mlops.gates.champion]\nsize = 5\ntrust = true\n'
    )
    (tmp_path / "mlops-gates.toml").write_text('[champion]\nsize = 9\n[roles]\nowner = ["ann"]\n')
    assert gate_rules(tmp_path) == {"champion": {"size": 9, "trust": True}, "roles": {"owner": ["ann"]}}
    assert Settings.load(root=tmp_path, environment={}).experiment == "e"
    (tmp_path / "mlops-gates.toml").write_text("champion = 3\n")
    with pytest.raises(InvalidArgument, match="is no table"):
        gate_rules(tmp_path)
    (tmp_path / "mlops-gates.toml").write_text("[champion\n")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        gate_rules(tmp_path)
    assert gate_rules(tmp_path / "nowhere") == {}
