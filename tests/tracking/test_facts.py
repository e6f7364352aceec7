"""What a run took and what git lacks: energy by codecarbon without a network, and the diff of a dirty tree."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from jupyter_mlops.errors import InvalidArgument, MissingDependency
from jupyter_mlops.tracking.facts import Energy


def test_energy_is_estimated_and_its_method_told():
    pytest.importorskip("codecarbon")
    meter = Energy("fra")
    sum(i * i for i in range(2_000_000))
    told = meter.stop()
    assert set(told) == {"energy", "CO2", "energy method"}
    energy, unit = told["energy"].split()
    assert unit == "Wh"
    assert float(energy) > 0
    assert float(told["CO2"].split()[0]) > 0
    assert "offline" in told["energy method"]
    assert "electricity mix of FRA" in told["energy method"]
    assert "GPU" in told["energy method"]


def test_energy_without_codecarbon_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(MissingDependency, match="codecarbon"):
        Energy("FRA")


def test_what_the_environment_says_of_runs_counts_from_the_next_run_on(session, monkeypatch):
    with session.run("before"):
        pass
    monkeypatch.setenv("MLOPS_ENERGY", "FRA")  # as by `%env` in a notebook, after the extension was loaded
    with session.run("after"):
        pass
    before, after = (session.context.call("tracking.get", run=name)["facts"] for name in ("before", "after"))
    assert "energy" not in before
    assert "electricity mix of FRA" in after["energy method"]
    monkeypatch.setenv("MLOPS_ENERGY", "XQ")
    with session.run("nowhere") as run:
        pass
    assert "unknown country for energy 'XQ'" in run.result.note
    assert run.result.note in run.result.text()
    monkeypatch.setenv("MLOPS_AGAIN", "bogus")
    with pytest.raises(InvalidArgument, match="unknown way to run a cell again 'bogus'; known: supersede"):
        session.run("never")


def test_a_dirty_tree_leaves_its_diff_with_the_run(make_session):
    session = make_session()
    root = session.context.workspace.root

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)

    (root / "train.py").write_text("rate = 1\n")
    git("init", "-q")
    git("add", "train.py")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")
    with session.run("clean"):
        pass
    (root / "train.py").write_text("rate = 2\n")
    session.context.settings = replace(session.context.settings, energy="FRA")
    with session.run("dirty"):
        pass
    clean, dirty = (session.context.call("tracking.get", run=name) for name in ("clean", "dirty"))
    assert len(dirty["commit"]) == 40
    assert clean["commit"] == dirty["commit"]
    assert "mlops/uncommitted.diff" in dirty["artifacts"]
    assert "mlops/uncommitted.diff" not in clean["artifacts"]
    assert "energy" in dirty["facts"]
    assert "energy" not in clean["facts"]
    held = session.context.service.call("tracking.results", run="dirty")
    assert held["environment"].startswith("# Python")
