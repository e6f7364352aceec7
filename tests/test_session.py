"""The session: the stages' commands as one object, each stage imported when something of it is asked for."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_mlops as mlops
from jupyter_mlops import session as module
from jupyter_mlops.domain.command import collect
from jupyter_mlops.errors import Unavailable
from jupyter_mlops.session import GROUPS, PARTS, STAGES, Session, offered, offers


def test_what_is_imported_late_is_what_a_type_checker_sees() -> None:
    tree = ast.parse(inspect.getsource(module))
    (seen,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "_Stages"]
    assert sorted(ast.unparse(base) for base in seen.bases) == sorted(part.rpartition(".")[2] for part in PARTS)


def test_every_command_is_found_by_name_and_carried_out_by_its_owner(tmp_path: Path) -> None:
    session = Session.open(root=tmp_path)
    names = list(session.commands)
    assert len(names) == len(set(names)) == len(session.commands) > 80
    stages = [session.commands[name].stage for name in names]
    assert stages == sorted(stages, key=STAGES.index)
    for name in names:
        found = session.commands[name]
        assert found.name == name
        assert found in collect(type(session.owner(found)), found.group).values()


def test_who_carries_a_command_out_is_known_also_where_another_thread_collected_it(tmp_path: Path) -> None:
    session = Session.open(root=tmp_path)
    for name in ("runs", "audit verify", "data save"):
        found = session.commands[name]
        module._collected.cache_clear()  # what a second thread, collecting at the same time, leaves behind
        owner = session.owner(found)
        assert owner is not session
        assert getattr(owner, found.function.__name__).__func__ is found.function
        assert session.owner(found) is owner


@pytest.mark.parametrize("name", ["", "plot", "track on", "data", "audit everything", "data save it"])
def test_a_name_that_is_no_command_is_none(name: str, tmp_path: Path) -> None:
    assert name not in Session.open(root=tmp_path).commands


def test_a_workspace_that_takes_nothing_is_told_by_name(tmp_path: Path) -> None:
    session = Session.open(root=tmp_path)
    (tmp_path / ".mlops").write_text("a file where the folder would be")
    with pytest.raises(
        Unavailable, match=rf"sweep keeps what it makes in {tmp_path}/.mlops, which takes nothing.*MLOPS_WORKSPACE"
    ):
        session.invoke("sweep", {"objective": lambda x: x, "name": "s", "space": ["x=1..3"]}, via="magic")


def test_the_parts_of_a_session_share_its_context_and_live_as_long(tmp_path: Path) -> None:
    session = Session.open(root=tmp_path)
    assert session.run.__self__ is session.track.__self__
    assert session.evaluate.__self__.context is session.data.context is session.context
    with pytest.raises(AttributeError, match="'Session' has no attribute 'plot'"):
        _ = session.plot  # type: ignore[attr-defined]
    assert {"run", "promote", "deploy", "data", "status"} <= set(dir(session))


def test_the_package_offers_the_commands_as_functions() -> None:
    assert {"run", "track", "audit", "deploy", "status", *GROUPS} <= set(offered())
    assert all(offers(name) for name in offered())
    assert not offers("open")
    assert not hasattr(mlops, "plot")
    assert set(offered()) <= set(dir(mlops))


def test_loading_the_extension_and_tracking_import_no_more_than_they_need() -> None:
    code = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
def stages():
    return sorted(m for m in sys.modules if m.startswith("jupyter_mlops.") and m.endswith("commands"))
shell.extension_manager.load_extension("jupyter_mlops")
print(stages())
shell.run_cell("%mlops track on")
print(stages())
print([m for m in ("mlflow", "sklearn", "pandas", "plotly", "skops", "asyncio.unix_events") if m in sys.modules][:1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, tracked, *_ = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert loaded == "[]"
    assert tracked == "['jupyter_mlops.tracking.commands']"
