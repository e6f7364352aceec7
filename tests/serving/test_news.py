"""What the service decided by itself is told once, and only while it holds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jupyter_mlops.domain.traffic import Decision, Traffic
from jupyter_mlops.serving import news as told


def line(monkeypatch: Any, *decisions: Decision, state: str = "running") -> SimpleNamespace:
    """A kernel that shares out the traffic of ``clf``, for which these were decided."""
    stored = SimpleNamespace(state=state, traffic=Traffic("clf", decisions=decisions))
    folder = SimpleNamespace(read=lambda: stored)
    monkeypatch.setattr(told.DeploymentFolder, "of", lambda _home, _name: folder)
    return SimpleNamespace(watched={"clf": 10}, workspace=SimpleNamespace(home=Path()))


def test_each_is_told_once(monkeypatch: Any) -> None:
    context: Any = line(
        monkeypatch,
        Decision(5, "took clf@2 back", "before it was watched", by_itself=True),
        Decision(11, "took clf@3 back", "its errors", by_itself=True),
    )
    assert told.news(context) == ["clf: took clf@3 back: its errors"]
    assert told.news(context) == []


def test_what_somebody_decided_since_is_not_undone_by_older_news(monkeypatch: Any) -> None:
    context: Any = line(
        monkeypatch,
        Decision(11, "follows clf@champion from clf@1 to clf@2", "the alias has moved", by_itself=True),
        Decision(12, "rolled back from clf@2 to clf@1", "asked for by ada"),
    )
    assert told.news(context) == []


def test_a_stopped_deployment_has_no_news(monkeypatch: Any) -> None:
    context: Any = line(monkeypatch, Decision(11, "took clf@3 back", "its errors", by_itself=True), state="stopped")
    assert told.news(context) == []
    assert not context.watched
