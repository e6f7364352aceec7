"""Again: the process in which a stored run is executed again: ``python -m jupyter_mlops.magics.again SPEC REPORT FOLDER``.

A shell of IPython without a frontend, with the extension in it as in a notebook: magics and ``%%mlops run`` work, and the
hooks watch. Lines that begin with `MARK` tell how far it has come; the report is written once, when it has ended.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..domain.workspace import Via
from ..session import Session

__all__ = ["MARK", "main"]

MARK = "mlops-again: "
STAYS = ("run", "track", "sweep")  # recorded, but not into the store


class _Rehearsed(Session):
    """A session that leaves out what would change the workspace."""

    rehearsal: Any

    def invoke(self, name: str, arguments: Mapping[str, Any], *, via: Via) -> Any:
        found = self.commands.get(name)
        if found is not None and found.changes and name not in STAYS:
            return self.left_out(name)
        return super().invoke(name, arguments, via=via)

    def left_out(self, name: str) -> None:
        """Say that a command is not carried out."""
        _say(f"left out: {name}")
        self.rehearsal.recognise()

    def leave_out_calls(self) -> None:
        """Let the functions do nothing that the commands would not do."""
        for name, found in self.commands.items():
            if found.changes and name not in STAYS:
                owner = getattr(self, found.group) if found.group else self
                setattr(owner, found.function.__name__, lambda *_, _name=name, **__: self.left_out(_name))


def main(arguments: list[str]) -> None:
    """Execute the run that the specification holds, and write the report."""
    spec = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    report, folder = Path(arguments[1]), Path(arguments[2])
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from .extension import Extension

    # no history file: a rehearsal leaves nothing behind
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "NoColor"}})
    shell: Any = InteractiveShell.instance(config=config)
    session = _Rehearsed.open(root=Path(spec["root"]), namespace=shell.user_ns)
    extension = Extension(shell, session)
    session.rehearsal = session.rehearse(spec, folder)
    session.leave_out_calls()
    shell.user_ns["mlops"] = sys.modules[__package__.partition(".")[0]]
    told = _execute(shell, session)
    written = report.with_suffix(".part")
    written.write_text(json.dumps(told), encoding="utf-8")
    written.replace(report)
    extension.close()


def _execute(shell: Any, session: _Rehearsed) -> dict[str, Any]:
    rehearsal = session.rehearsal
    code = rehearsal.code()
    total = len(code.before) + 1
    for i, (cell, text) in enumerate(code.before, 1):
        _say(f"{i}/{total} [{cell.count}]")
        rehearsal.pin(cell)
        result = shell.run_cell(text, store_history=True)
        if not result.success and cell.outcome == "ok":
            error = result.error_before_exec or result.error_in_exec
            return {"begun": False, "error": f"[{cell.count}] raised {type(error).__name__}: {error}"}
    rehearsal.recognise()
    _say(f"{total}/{total} [{code.own.count}]")
    rehearsal.pin(code.own)
    if rehearsal.automatic:
        session.track("on")
    shell.run_cell(code.own.source, store_history=True, cell_id=code.own.id or None)
    found: dict[str, Any] = rehearsal.results()
    return found


def _say(line: str) -> None:
    print(f"{MARK}{line}", flush=True)  # noqa: T201 whoever started this process reads it


if __name__ == "__main__":
    main(sys.argv[1:])
