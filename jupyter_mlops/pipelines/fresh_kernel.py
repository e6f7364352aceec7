"""A fresh kernel: a notebook that is not open, executed as Run All does, with the extension watching, and exported from there."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..domain.context import Context
from ..domain.pipeline import Pipeline
from ..errors import Conflict, InvalidArgument, MLOpsError, NotFound, NotReady, StoreUnavailable
from ..settings import child_environment
from .inputs import keep_inputs

__all__ = ["export_from_fresh_kernel"]

READY_SECONDS = 120.0
ANSWER = "mlops-answer"
_PREPARE = """
import importlib.util as _u
for _name in ("numpy.random",):
    if _u.find_spec(_name.partition(".")[0]):
        __import__(_name)
get_ipython().run_line_magic("load_ext", "jupyter_mlops")
del _u, _name
"""
_EXPORT = """
def _mlops_export():
    import json
    from jupyter_mlops.session import current
    from jupyter_mlops.errors import MLOpsError
    session = current()
    given = json.loads({given!r})
    session.context.hooks["inputs"] = given.pop("inputs")
    try:
        return {{"pipeline": session.export(**given).to_dict()}}
    except MLOpsError as error:
        return {{"error": str(error), "class": type(error).__name__}}
print({marker!r} + __import__("json").dumps(_mlops_export()))
del _mlops_export
"""


def export_from_fresh_kernel(
    context: Context, notebook: Path, arguments: Mapping[str, Any], *, timeout: float = 0.0
) -> Pipeline:
    """Execute a notebook in a kernel of its own and export it there.

    Parameters
    ----------
    arguments
        The arguments of `export` besides the notebook.
    timeout
        Seconds that one cell may take; 0 for as long as it takes.

    Raises
    ------
    NotFound
        There is no such notebook.
    InvalidArgument
        It is no notebook, or not one of Python.
    NotReady
        The kernel died, or a cell took too long; or what `export` says.
    """
    cells = _code_cells(notebook)
    threading.Thread(target=_start_service, args=(context,), name="service", daemon=True).start()
    folder = notebook.absolute().parent
    with tempfile.TemporaryDirectory(prefix="mlops-inputs-") as temporary:
        kept = Path(temporary) / "inputs"
        inputs = str(kept) if keep_inputs(folder, kept) else ""
        with _kernel(context, notebook, temporary) as (manager, client):
            _execute(manager, client, _PREPARE, READY_SECONDS, counted=False)
            for i, (identity, source) in enumerate(cells, 1):
                context.progress(f"run: cell {i}/{len(cells)}")
                if source.strip():
                    _execute(manager, client, source, timeout, counted=True, cell=identity, where=f"cell {i}")
            given = {**arguments, "notebook": str(notebook.absolute()), "inputs": inputs}
            code = _EXPORT.format(given=json.dumps(given), marker=ANSWER)
            told = _execute(manager, client, code, 0.0, counted=False, progress=context.progress)
    answer = next((line.removeprefix(ANSWER) for line in reversed(told.splitlines()) if line.startswith(ANSWER)), "")
    if not answer:
        raise NotReady(
            f"the export did not answer: {told.strip()[-500:] or 'no output'}.", hint="Run it in the notebook."
        )
    found = json.loads(answer)
    if "error" in found:
        known = {kind.__name__: kind for kind in (InvalidArgument, NotFound, NotReady, Conflict, StoreUnavailable)}
        raise known.get(found["class"], MLOpsError)(found["error"])
    return Pipeline.from_dict(found["pipeline"])


def _start_service(context: Context) -> None:
    """Have the service there when the verdict is to be kept; starting it takes seconds, which the notebook takes too."""
    with contextlib.suppress(MLOpsError):  # who needs it asks again
        context.service.start()


def _code_cells(notebook: Path) -> list[tuple[str, str]]:
    try:
        data = json.loads(notebook.read_text(encoding="utf-8"))
        kernel = data.get("metadata", {}).get("kernelspec", {})
        language = str(kernel.get("language", "") or data.get("metadata", {}).get("language_info", {}).get("name", ""))
        cells = [c for c in data["cells"] if c["cell_type"] == "code"]
        found = [
            (str(c.get("id") or f"cell-{i}"), c["source"] if isinstance(c["source"], str) else "".join(c["source"]))
            for i, c in enumerate(cells)
        ]
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(f"no notebook {str(notebook)!r}.", hint="Name an .ipynb file that exists.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(f"{notebook} is no Jupyter notebook: {type(error).__name__}: {error}.") from error
    if language and not language.lower().startswith(("python", "ipython")):
        raise InvalidArgument(f"{notebook} is a notebook of {language}; a pipeline is made of Python.")
    if not any(source.strip() for _, source in found):
        raise NotReady(f"{notebook} has no code cells.")
    return found


@contextlib.contextmanager
def _kernel(context: Context, notebook: Path, sockets: str) -> Iterator[tuple[Any, Any]]:
    from jupyter_client.manager import KernelManager

    manager = KernelManager(transport="ipc", ip=str(Path(sockets) / "kernel"))
    spec = manager.kernel_spec
    if spec is None:
        raise NotReady("no Jupyter kernel for Python is installed.", hint="pip install ipykernel")
    spec.argv[:] = [
        context.interpreter or sys.executable,
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
    ]
    environment = child_environment(
        MLOPS_NOTEBOOK=str(notebook.absolute()),
        MLOPS_WORKSPACE=str(context.workspace.root),
        PYTHONHASHSEED=os.environ.get("PYTHONHASHSEED", "0"),
    )
    environment.pop("MPLBACKEND", None)  # a kernel chooses its own
    # what it says of itself is said to nobody; what cells print comes by message
    manager.start_kernel(
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=str(notebook.absolute().parent), env=environment
    )
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=READY_SECONDS)
        yield manager, client
    except RuntimeError as error:
        raise NotReady(f"no kernel came up for {notebook}: {error}.") from error
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _execute(
    manager: Any,
    client: Any,
    code: str,
    timeout: float,
    *,
    counted: bool,
    cell: str = "",
    where: str = "the export",
    progress: Callable[[str], None] | None = None,
) -> str:
    """Run code and wait for its end; gives what it printed. An error in a cell is the notebook's own affair."""
    content = {"code": code, "silent": False, "store_history": counted, "user_expressions": {}, "allow_stdin": False, "stop_on_error": False}  # fmt: skip
    message = client.session.msg("execute_request", content, metadata={"cellId": cell} if cell else {})
    client.shell_channel.send(message)
    wanted = message["header"]["msg_id"]
    deadline = time.monotonic() + timeout if timeout > 0 else float("inf")
    printed: list[str] = []
    while True:
        try:
            got = client.get_iopub_msg(timeout=1.0)
        except queue.Empty:
            if not manager.is_alive():
                raise NotReady(f"the kernel died in {where}.", hint="Run the notebook in Jupyter to see why.") from None
            if time.monotonic() > deadline:
                manager.interrupt_kernel()
                raise NotReady(
                    f"{where} did not end within {timeout:g} s.", hint="`--timeout` gives it more."
                ) from None
            continue
        if got["parent_header"].get("msg_id") != wanted:
            continue
        kind = got["msg_type"]
        if kind == "stream":
            printed.append(got["content"]["text"])
            if progress is not None:
                for line in got["content"]["text"].splitlines():
                    if line.startswith(("verify:", "export:")):
                        progress(line)
        elif kind == "error" and not counted:
            printed.append("\n".join([got["content"]["ename"] + ": " + got["content"]["evalue"]]))
        elif kind == "status" and got["content"]["execution_state"] == "idle":
            return "".join(printed)
