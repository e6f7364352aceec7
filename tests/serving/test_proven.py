"""Plans that are kept: proven once for a model and an environment, and used by every deployment after that."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from served_models import PEOPLE

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.serving.compiled import proven
from jupyter_mlops.serving.compiled.plan import Plan
from jupyter_mlops.serving.load import ModelFolder
from jupyter_mlops.session import Session
from jupyter_mlops.settings import Settings


def folder(path: Path, weight: bytes = b"1", description: str = "a") -> ModelFolder:
    (path / "mlops").mkdir(parents=True, exist_ok=True)
    (path / "MLmodel").write_text(f"flavors: {{sklearn: {{x: 1}}}}\nmodel_id: {description}\n")
    (path / "model.skops").write_bytes(weight)
    return ModelFolder.open(path)


def test_a_key_stands_for_the_model_and_what_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = proven.key_of(folder(tmp_path / "a"))
    assert proven.key_of(folder(tmp_path / "b", description="registered under another name")) == key
    assert proven.key_of(folder(tmp_path / "c", weight=b"2")) != key
    (tmp_path / "b" / "mlops" / "profile").write_text("other training data")
    assert proven.key_of(ModelFolder.open(tmp_path / "b")) != key
    monkeypatch.setattr(proven.metadata, "version", lambda _: "9.9")
    assert proven.key_of(folder(tmp_path / "a")) != key


def test_plans_used_longest_ago_are_removed(tmp_path: Path) -> None:
    for number in range(4):
        Plan("dataframe", str(number)).write(tmp_path / str(number))
        time.sleep(0.01)
    proven.used(tmp_path / "0")
    proven.forget_oldest(tmp_path, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "3"]


def test_prepare_is_yes_or_no(tmp_path: Path) -> None:
    assert Settings.load(root=tmp_path, environment={}).prepare
    assert not Settings.load(root=tmp_path, environment={"MLOPS_PREPARE": "No"}).prepare
    with pytest.raises(InvalidArgument, match="yes or no, not 'perhaps'"):
        Settings.load(root=tmp_path, environment={"MLOPS_PREPARE": "perhaps"})


def test_a_plan_that_another_process_proves_is_waited_for(tmp_path: Path) -> None:
    plan = tmp_path / "plans" / "abc"
    assert proven.await_other(plan, 0.0)
    with proven.proving(plan):
        assert not proven.await_other(plan, 0.05)
        done = threading.Event()
        waiting = threading.Thread(target=lambda: done.set() if proven.await_other(plan, 30.0) else None)
        waiting.start()
        assert not done.wait(0.1)
    waiting.join(30)
    assert done.is_set()


def test_a_builder_ends_with_who_asks_it_and_where_its_libraries_were_exchanged(tmp_path: Path) -> None:
    source = Path(proven.__file__).parents[1]
    told = tmp_path / "more.py"
    change = f"""if True:
        import sys
        from jupyter_mlops.serving.compiled import builder, proven
        builder._load = lambda: None
        if len(sys.argv) > 1:
            facts = iter([["before"], ["after"]])
            builder.environment = lambda: next(facts)
        sys.exit(builder.main([{str(tmp_path / "plans")!r}, "--nice", "0"]))
    """
    told.write_text(change)
    command = [sys.executable, str(told)]
    ended = subprocess.run(command, input=b"", capture_output=True, timeout=60, cwd=source.parents[1], check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    missing = subprocess.run(
        command, input=b"/nowhere\n", capture_output=True, timeout=60, cwd=source.parents[1], check=False
    )
    assert missing.returncode == 0
    assert b"no plan for /nowhere" in missing.stderr
    other = subprocess.run(
        [*command, "other"], input=b"/a\n", capture_output=True, timeout=60, cwd=source.parents[1], check=False
    )
    assert b"the libraries on disk are others" in other.stderr
    assert not (tmp_path / "plans").exists()


@pytest.mark.slow
def test_what_was_registered_is_deployed_without_compiling(
    make_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is proven while its maker goes on; deployments wait for it or have it, and none proves it again."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    monkeypatch.setenv("MLOPS_PREPARE", "yes")
    session = make_session()
    table = PEOPLE[["age", "children"]]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, np.where(PEOPLE.age > 10, "a", "b"))
    session.register(model, name="line", data=table, alias="champion")
    service = psutil.Process(session.status().service_pid)
    (builder,) = (c for c in service.children() if "jupyter_mlops.serving.compiled.builder" in c.cmdline())
    plans = session.context.workspace.home / "plans"
    deadline = time.monotonic() + 120
    while not list(plans.glob("*/plan.msgpack")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (plan,) = plans.glob("*/plan.msgpack")
    written = plan.stat().st_mtime_ns
    told: list[str] = []
    session.context.progress = told.append
    session.deploy("line@champion")
    session.deploy("line@champion", name="again")
    assert "loading line@1" in told
    assert not [line for line in told if "compiling" in line]
    assert [v.path for d in session.deployments() for v in d.versions] == ["compiled", "compiled"]
    assert list(session.predict("again", table)) == list(model.predict(table))
    assert ([plan], written) == (list(plans.glob("*/plan.msgpack")), plan.stat().st_mtime_ns)
    session.register(LogisticRegression().fit(table, PEOPLE.age > 10), name="other", data=table)
    assert [c.pid for c in service.children() if "jupyter_mlops.serving.compiled.builder" in c.cmdline()] == [
        builder.pid
    ]
    for name in ("line", "again"):
        session.undeploy(name)
    session.service.stop()
    psutil.wait_procs([builder], timeout=60)
    assert not builder.is_running()
