"""The magics in a real kernel: Run All stops where it must, interrupts kill the run, outputs are what a frontend needs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from jupyter_mlops.session import Session
from jupyter_mlops.widgets import VIEW

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(make_session: Callable[..., Session]) -> Path:
    return make_session().context.workspace.root


def run_all(root: Path, *sources: str, **environment: str) -> tuple[list[Any], CellExecutionError | None]:
    """Run a notebook as Run All does; its cells, and the error that stopped it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(root)}})
    try:
        client.execute(env={**os.environ, **environment})
    except CellExecutionError as error:
        return notebook.cells, error
    return notebook.cells, None


def test_run_all_stops_at_a_failing_run_and_shows_its_error_once(root: Path) -> None:
    cells, error = run_all(
        root,
        "%load_ext jupyter_mlops",
        "%%mlops run fine\nx = 2\nx",
        "%mlops runs",
        "%%mlops run broken\nprint('begun')\n1 / 0",
        "never = 1",
    )
    assert error is not None
    assert error.ename == "ZeroDivisionError"
    fine, listed, broken, never = cells[1:]
    assert [o.output_type for o in fine.outputs if o.output_type == "execute_result"] == ["execute_result"]
    assert fine.outputs[0].data["text/plain"] == "2"
    assert fine.outputs[0].execution_count == 2
    assert "FINISHED" in fine.outputs[-1].data["text/html"]
    assert "fine" in listed.outputs[-1].data["text/html"]
    assert VIEW not in listed.outputs[-1].data  # nobody is there to bring a widget to life
    errors = [o for o in broken.outputs if o.output_type == "error"]
    assert len(errors) == 1
    traceback = re.sub(r"\x1b\[[\d;]*m", "", "".join(errors[0].traceback))
    assert "Cell In[4], line 2" in traceback
    assert "run_cell_magic" not in traceback
    assert "FAILED" in broken.outputs[-1].data["text/html"]
    assert never.execution_count is None


def test_run_all_stops_at_a_mistake(root: Path) -> None:
    cells, error = run_all(root, "%load_ext jupyter_mlops", "%mlops promote nothing@1 --to champion", "never = 1")
    assert error is not None
    assert error.ename == "UsageError"
    assert not [o for o in cells[1].outputs if o.output_type == "error"]
    text = "".join(o.text for o in cells[1].outputs if o.output_type == "stream")
    assert text.startswith("UsageError: no model 'nothing'")
    assert cells[2].execution_count is None


def test_await_has_a_way_that_works(root: Path) -> None:
    cells, error = run_all(
        root,
        "%load_ext jupyter_mlops\nimport asyncio, jupyter_mlops as mlops",
        "with mlops.run('waits') as run:\n    await asyncio.sleep(0)",
        "%%mlops run cannot\nawait asyncio.sleep(0)",
    )
    assert error is not None
    assert error.ename == "UsageError"
    assert "Write `with mlops.run():`" in error.evalue
    assert cells[1].execution_count == 2


def test_a_jupyter_server_gets_a_live_view_beside_the_static_one(root: Path) -> None:
    cells, error = run_all(
        root,
        "%load_ext jupyter_mlops",
        "import sys\n%mlops status -q\n'ipywidgets' in sys.modules",
        "%mlops runs",
        JPY_SESSION_NAME=str(root / "some.ipynb"),
    )
    assert error is None
    assert cells[1].outputs[-1].data["text/plain"] == "False"
    bundle = cells[2].outputs[-1].data
    assert set(bundle) == {"text/plain", "text/html", VIEW}
    assert bundle[VIEW]["html"] == bundle["text/html"]
    assert len(bundle[VIEW]["widget"]) == 32
    assert "application/vnd.jupyter.widget-view+json" not in bundle


@pytest.fixture
def kernel(root: Path) -> Iterator[Any]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(root))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_an_interrupted_cell_is_a_killed_run_and_the_next_one_works(kernel: Any, root: Path) -> None:
    manager, client = kernel
    client.execute_interactive("%load_ext jupyter_mlops", timeout=60)
    texts: list[str] = []

    def hear(message: Any) -> None:
        content = message["content"]
        text = content.get("text") or content.get("data", {}).get("text/plain") or content.get("ename")
        if not text or message["msg_type"] == "execute_input":
            return
        texts.append(str(text))
        if "begun" in texts[-1]:
            time.sleep(0.2)
            manager.interrupt_kernel()

    reply = client.execute_interactive(
        "%%mlops run long\nimport time\nprint('begun', flush=True)\ntime.sleep(60)", timeout=60, output_hook=hear
    )
    assert (reply["content"]["status"], reply["content"]["ename"]) == ("error", "KeyboardInterrupt")
    assert texts.count("KeyboardInterrupt") == 1
    assert "KILLED" in texts[-1]
    reply = client.execute_interactive("%%mlops run short\n1", timeout=60, output_hook=hear)
    assert reply["content"]["status"] == "ok"
    assert "FINISHED" in texts[-1]
    session = Session.open(root=root)
    assert [(r.name, r.status) for r in session.runs(limit=2)] == [("short", "FINISHED"), ("long", "KILLED")]


def test_long_work_shows_one_line_that_goes_away_and_short_work_none(kernel: Any) -> None:
    _, client = kernel
    client.execute_interactive("%load_ext jupyter_mlops\nimport time, jupyter_mlops as mlops", timeout=60)
    client.execute_interactive("tell = mlops.current().context.progress", timeout=60)
    seen: list[tuple[str, str]] = []

    def hear(message: Any) -> None:
        if "display_data" in message["msg_type"]:
            seen.append((message["msg_type"], message["content"]["data"]["text/html"]))

    client.execute_interactive("tell('quick')", timeout=60, output_hook=hear)
    client.execute_interactive("time.sleep(0.7)", timeout=60, output_hook=hear)
    assert seen == []
    client.execute_interactive(
        "tell('<one>'); time.sleep(0.8); tell('two'); tell('two'); time.sleep(0.2); tell('three')",
        timeout=60,
        output_hook=hear,
    )
    kinds = [kind for kind, _ in seen]
    assert kinds[0] == "display_data"
    assert set(kinds[1:]) == {"update_display_data"}
    assert "&lt;one&gt; …" in seen[0][1]
    assert [html for _, html in seen[1:-1] if "two" not in html and "three" not in html] == []
    assert seen[-1][1] == ""
