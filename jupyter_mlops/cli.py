"""`jupyter mlops ...`: the same commands for shells, CI and exported pipelines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .domain.command import Argument
from .domain.command_help import command_help, overview
from .domain.command_line import Call, CommandLine
from .domain.display import Displayed
from .domain.record import Record
from .errors import (
    InvalidArgument,
    MissingDependency,
    MLOpsError,
    NotFound,
    PredictionRefused,
    Unavailable,
    VerificationFailed,
)
from .session import Session, set_current

__all__ = ["EXIT_CODES", "main"]

PROGRAM = "jupyter mlops"
OWN = (
    Argument("workspace", "path", "the project folder; found upwards from here without it", False, False, False, metavar="DIR"),
    Argument("save_as", "path", "write the result to FILE: .json, or .csv and .parquet where it is a table", False, False, False, metavar="FILE"),
    Argument("json", "flag", "print the result as JSON", False, False, False),
    Argument("quiet", "flag", "print nothing but errors", False, False, False),
)  # fmt: skip
SHORTS = {"-o": "save_as", "-q": "quiet"}

OK, FAILED, USAGE, UNAVAILABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES: dict[type[MLOpsError], int] = {
    InvalidArgument: USAGE,
    NotFound: USAGE,
    Unavailable: UNAVAILABLE,
    MissingDependency: UNAVAILABLE,
    PredictionRefused: REFUSED,
    VerificationFailed: FAILED,
    MLOpsError: FAILED,
}
"""The first class that an error is of decides."""

CODES_HELP = """
exit codes
  0    done
  1    it failed, or what was verified or judged did not pass
  2    the command line, or a name on it, is not right
  3    the store, the service or a package is not available
  4    the model server refused the input
  130  interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except MLOpsError as error:
        text = str(error) if "\n@@ " in str(error) else str(error).replace("\n", " ")  # a diff keeps its lines
        print(f"{PROGRAM}: {text}", file=sys.stderr)
        return next(code for cls, code in EXIT_CODES.items() if isinstance(error, cls))
    except KeyboardInterrupt as stopped:
        print(f"{PROGRAM}: {stopped if stopped.args else 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing it does not fail once more
        return OK


def _run(words: list[str]) -> int:
    if words[:1] in (["--version"], ["-V"]):
        print(__version__)
        return OK
    words, workspace = _without_workspace(words)
    session = _open(workspace)
    line = CommandLine(PROGRAM, session.commands, OWN, SHORTS)
    call = line.parse(words)
    if call.help:
        print(_help(line, call))
        return OK
    target = _target(call.own.get("save_as"))
    name = call.command.name if call.command is not None else "status"
    result = session.invoke(name, call.given, via="shell")
    if target is not None:
        _write(result, target)
    if not call.own.get("quiet"):
        _print(result, as_json=bool(call.own.get("json")), saved=target)
    return _verdict(result)


def _without_workspace(words: list[str]) -> tuple[list[str], str | None]:
    """Take ``--workspace DIR`` out, wherever it stands: which commands there are is asked of the workspace."""
    end = words.index("--") if "--" in words else len(words)
    for i, word in enumerate(words[:end]):
        flag, equals, value = word.partition("=")
        if flag == "--workspace":
            if equals:
                return [*words[:i], *words[i + 1 :]], value
            if i + 1 == end:
                raise InvalidArgument(f"{flag} needs a value: {OWN[0].help}.")
            return [*words[:i], *words[i + 2 :]], words[i + 1]
    return words, None


def _open(workspace: str | None) -> Session:
    if workspace is not None and not Path(workspace).is_dir():
        raise NotFound(f"no folder {workspace!r} for --workspace.", hint="Make it first, or leave the option out.")
    session = Session.open(root=Path(workspace) if workspace is not None else None)
    session.context.progress = _progress
    set_current(session)
    return session


def _help(line: CommandLine, call: Call) -> str:
    if call.command is not None:
        return command_help(line, call.command)
    return overview(line, group=call.group, tail="" if call.group else f"\n{CODES_HELP}".rstrip())


def _progress(line: str) -> None:
    print(f"… {line}", file=sys.stderr, flush=True)


def _verdict(result: Any) -> int:
    """What did not pass is a failure: a verification, by itself or in an exported pipeline; gates; the audit record."""
    verdict = getattr(result, "verification", None) or result
    return OK if getattr(verdict, "ok", True) else FAILED


def _print(result: Any, *, as_json: bool, saved: Path | None) -> None:
    if as_json:
        print(json.dumps(_plain(result), indent=2, default=str))
    elif saved is not None:
        print(f"written to {saved}")
    elif isinstance(result, Displayed):
        print(result.text())
    elif result is not None:
        print(result.head(20).to_string() if _is_table(result) else result)
        if _is_table(result):
            print(f"{len(result):,} rows x {len(result.columns)} columns; -o FILE writes them all", file=sys.stderr)


def _is_table(result: Any) -> bool:
    return all(hasattr(result, name) for name in ("head", "to_csv", "to_parquet", "columns"))


def _plain(result: Any) -> Any:
    if isinstance(result, Record):
        return result.to_dict()
    return json.loads(result.to_json(orient="records", date_format="iso")) if _is_table(result) else result


def _target(given: str | None) -> Path | None:
    """Where the result goes: checked before anything is done."""
    if given is None:
        return None
    target = Path(given)
    if target.suffix not in (".json", ".csv", ".parquet"):
        raise InvalidArgument(f"-o writes .json, .csv or .parquet, not {given!r}.")
    if not target.absolute().parent.is_dir():
        raise NotFound(f"no folder {str(target.parent)!r} to write {target.name!r} into.", hint="Make it first.")
    return target


def _write(result: Any, target: Path) -> None:
    """Write a result in one step: a reader sees the whole file or none."""
    temporary = target.with_name(f".{target.name}.part")
    try:
        if target.suffix == ".json":
            temporary.write_text(json.dumps(_plain(result), indent=2, default=str) + "\n")
        else:
            table = result if _is_table(result) else _as_table(result)
            index = type(table.index).__name__ != "RangeIndex"
            if target.suffix == ".csv":
                table.to_csv(temporary, index=index)
            else:
                table.to_parquet(temporary, index=index)
        temporary.replace(target)
    except OSError as error:
        raise MLOpsError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _as_table(result: Any) -> Any:
    if not hasattr(result, "to_pandas"):
        raise InvalidArgument("the result is not a table.", hint="Write it with `-o FILE.json`.")
    return result.to_pandas()


if __name__ == "__main__":  # as what starts a workspace's service at boot calls it
    sys.exit(main())
