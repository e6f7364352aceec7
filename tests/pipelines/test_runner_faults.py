"""The runner when things go wrong: steps that fail, interrupts, kills; what is done stays done, and a failed step opens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from played import play, save

from jupyter_mlops.errors import InvalidArgument, NotReady
from jupyter_mlops.session import Session

CELLS = [
    ("a", "from pathlib import Path\nimport time"),
    ("load", "numbers = [float(n) for n in Path('numbers.txt').read_text().split()]"),
    ("work", "while Path('wait').exists():\n    time.sleep(0.05)\nratios = [10 / n for n in numbers]"),
    ("finish", "# of all of them\ntotal = sum(ratios)"),
]


@pytest.fixture(scope="module")
def root(make_session: Callable[..., Session]) -> Path:
    return make_session().context.workspace.root


@pytest.fixture
def session(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A notebook of three steps, exported to ``pipeline``; the second waits as long as there is a file ``wait``."""
    monkeypatch.chdir(tmp_path)
    Path("numbers.txt").write_text("1 2 5")
    session = play(root, CELLS[:])  # type: ignore[arg-type]  # pairs are cells
    cells = [("code", key, source, [] if key == "a" else [f"mlops:step={key}"]) for key, source in CELLS]
    save(session, Path("work.ipynb"), cells)
    session.export(targets="total", verify=False)
    return session


def states(events: list[dict[str, Any]]) -> dict[str, str]:
    """The last state of every step."""
    return {event["step"]: event["state"] for event in events if event["event"] == "step"}


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "pipeline/run.py", "--events", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def finished(child: subprocess.Popen[str]) -> list[dict[str, Any]]:
    printed, _ = child.communicate(timeout=120)
    return [json.loads(line) for line in printed.splitlines()]


def wait_for_step(child: subprocess.Popen[str], name: str) -> None:
    """Read events until a step has begun, and its process is there."""
    assert child.stdout is not None
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["step"] == name and event["state"] == "running":
            break
    deadline = time.monotonic() + 60
    while not steps_of(name) and time.monotonic() < deadline:
        time.sleep(0.05)


def steps_of(name: str) -> list[int]:
    """The processes that run this step of the pipeline in this folder."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if str(Path("pipeline/step.py").absolute()).encode() in words and name.encode() in words:
            found.append(int(place.name))
    return found


@pytest.mark.slow
def test_it_goes_on_after_a_failure(session: Session) -> None:
    Path("numbers.txt").write_text("1 0 5")
    failed = finished(start())
    assert states(failed) == {"load": "ran", "work": "failed", "finish": "not run"}
    assert "ZeroDivisionError" in next(event["message"] for event in failed if event.get("state") == "failed")

    # opened as a notebook, it fails where the step did; mended there, it gives what the step gives
    opened = session.pipeline.debug()
    assert (opened.step, opened.inputs) == ("work", ("numbers",))
    made = nbformat.read(opened.path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(made)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        NotebookClient(made, timeout=60, kernel_name="python3").execute()
    assert "10 / n" in made.cells[-2].source
    made.cells[-2].source = made.cells[-2].source.replace("10 / n", "10 / (n or 1)")
    NotebookClient(made, timeout=60, kernel_name="python3").execute()
    assert made.cells[-1].outputs[0]["data"]["text/plain"] == "[10.0, 10.0, 2.0]"
    assert session.pipeline.debug().path != opened.path  # a notebook that is there is left alone
    with pytest.raises(InvalidArgument, match="unknown step 'wrok'.*Did you mean 'work'"):
        session.pipeline.debug("wrok")
    with pytest.raises(NotReady, match="finish needs what work gives"):
        session.pipeline.debug("finish")

    file = Path("pipeline/pipeline.py")
    file.write_text(file.read_text().replace("10 / n", "10 / (n or 1)"))
    again = finished(start())
    assert states(again) == {"load": "cached", "work": "ran", "finish": "ran"}
    assert states(finished(start())) == dict.fromkeys(("load", "work", "finish"), "cached")
    with pytest.raises(NotReady, match="no step failed"):
        session.pipeline.debug()
    assert session.pipeline.debug("finish").inputs == ("ratios",)


def test_nothing_to_open_before_the_first_run(session: Session) -> None:
    with pytest.raises(NotReady, match="was not run yet"):
        session.pipeline.debug()


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_after_the_runner_was_stopped(session: Session, sign: signal.Signals) -> None:
    Path("wait").touch()
    child = start()
    wait_for_step(child, "work")
    child.send_signal(sign)
    told = finished(child)
    assert child.returncode == (130 if sign != signal.SIGKILL else -signal.SIGKILL)
    if sign == signal.SIGKILL:  # its step sees that, and ends itself
        deadline = time.monotonic() + 60
        while steps_of("work") and time.monotonic() < deadline:
            time.sleep(0.05)
    else:
        assert told[-1]["event"] == "interrupted"
    assert not steps_of("work")
    Path("wait").unlink()
    assert states(finished(start())) == {"load": "cached", "work": "ran", "finish": "ran"}
    assert states(finished(start())) == dict.fromkeys(("load", "work", "finish"), "cached")


@pytest.mark.slow
def test_a_killed_runner_is_told_as_what_it_is(session: Session) -> None:
    Path("wait").touch()

    def kill() -> None:
        while not (found := steps_of("work")):
            time.sleep(0.05)
        os.kill(int(Path(f"/proc/{found[0]}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(NotReady, match=r"stopped halfway: the runner was killed by SIGKILL.*goes on from what is done"):
        session.pipeline.run()
    killer.join()
    Path("wait").unlink()
    assert session.pipeline.run().ok


@pytest.mark.slow
def test_what_python_compiles_changes_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # so that the first run leaves __pycache__ folders
    Path("near").mkdir()
    Path("near/__init__.py").write_text("TEN = 10\n")
    file = Path("pipeline/pipeline.py")
    folder = "sys.path.insert(0, str(Path.cwd()))"
    file.write_text(
        file.read_text().replace("    ratios = ", f"    import sys\n    {folder}\n    import near\n    ratios = ")
    )
    assert states(finished(start())) == dict.fromkeys(("load", "work", "finish"), "ran")
    assert Path("pipeline/__pycache__").is_dir()
    assert Path("near/__pycache__").is_dir()
    assert states(finished(start())) == dict.fromkeys(("load", "work", "finish"), "cached")


@pytest.mark.slow
def test_a_step_that_is_killed_has_failed(session: Session) -> None:
    Path("wait").touch()
    child = start()
    wait_for_step(child, "work")
    os.kill(steps_of("work")[0], signal.SIGKILL)
    told = finished(child)
    assert child.returncode == 1
    assert states(told)["work"] == "failed"
    Path("wait").unlink()
    assert states(finished(start())) == {"load": "cached", "work": "ran", "finish": "ran"}


@pytest.mark.slow
def test_a_run_is_in_the_audit_trail(session: Session) -> None:
    done = session.pipeline.run(set=[])
    assert done.ok, str(done)
    Path("numbers.txt").write_text("0")
    assert not session.pipeline.run().ok
    entries = [entry for entry in session.audit().entries if entry.action == "pipeline.run"]
    assert len(entries) == 2
    told = json.dumps([entry.to_dict() for entry in entries])
    assert "ZeroDivisionError" in told
    assert "work: failed" in told
