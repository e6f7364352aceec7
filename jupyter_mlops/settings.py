"""Settings: the only reader of environment variables and of ``[tool.jupyter_mlops]``; finds the workspace.

What each setting means, and which environment variable or key of ``[tool.jupyter_mlops]`` sets it:

==================  =======================  ==================================================================
key                 environment              meaning
==================  =======================  ==================================================================
``tracking_uri``    ``MLFLOW_TRACKING_URI``  the MLflow store; default SQLite in ``.mlops/``
``experiment``      ``MLFLOW_EXPERIMENT_NAME``  the MLflow experiment; default the project folder's name
``workspace``       ``MLOPS_WORKSPACE``      the project folder; default found upwards by ``.mlops``
``notebook``        ``MLOPS_NOTEBOOK``       the current notebook's path, where no frontend tells it
``artifacts``       ``MLOPS_ARTIFACTS``      where new experiments keep files: ``s3://bucket/path``; default ``.mlops/``, or what a server says
``idle_seconds``    ``MLOPS_IDLE_SECONDS``   how long the service stays with nothing to do; default 600
``workers``         ``MLOPS_WORKERS``        how many processes a deployment has; default one a core
``prepare``         ``MLOPS_PREPARE``        whether a registered model is compiled for serving at once; default ``yes``, else ``no``
``again``           ``MLOPS_AGAIN``          when a cell runs as a run again: ``supersede`` (default), ``resume``, ``sibling``
``energy``          ``MLOPS_ENERGY``         estimate energy and CO2 of runs, for this country (``FRA``); default off
``smtp``            ``MLOPS_SMTP``           the mail server for alerts: ``smtps://USER:PASSWORD@HOST``; default none
``user``            ``MLOPS_USER``           the name in runs and in the audit trail; default the login name
==================  =======================  ==================================================================

``gates`` in the same table, or the file ``mlops-gates.toml``, holds what must hold before an alias moves: `gate_rules`.

A workspace remembers its store: the first opening writes ``.mlops/workspace.json``, `connect` changes it, and every
notebook, shell and panel in the project then sees the same one, whatever its environment says.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .domain.workspace import Workspace
from .errors import InvalidArgument

__all__ = [
    "AGAIN",
    "Settings",
    "child_environment",
    "find_root",
    "gate_rules",
    "jupyter_session_name",
    "remember_store",
    "remembered_store",
    "runtime_folder",
]

HOME = ".mlops"
REMEMBERED = "workspace.json"
PYPROJECT = "pyproject.toml"
GATES = "gates"
GATES_FILE = "mlops-gates.toml"
ENVIRONMENT = {
    "tracking_uri": "MLFLOW_TRACKING_URI",
    "experiment": "MLFLOW_EXPERIMENT_NAME",
    "notebook": "MLOPS_NOTEBOOK",
    "idle_seconds": "MLOPS_IDLE_SECONDS",
    "again": "MLOPS_AGAIN",
    "energy": "MLOPS_ENERGY",
    "user": "MLOPS_USER",
    "workers": "MLOPS_WORKERS",
    "smtp": "MLOPS_SMTP",
    "prepare": "MLOPS_PREPARE",
    "artifacts": "MLOPS_ARTIFACTS",
}
YES, NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")
AGAIN = ("supersede", "resume", "sibling")
DEFAULT_IDLE_SECONDS = 600.0


@dataclass(frozen=True)
class Settings:
    """Everything that is set from outside, read once; but for what `now` is asked for.

    Parameters
    ----------
    root
        The project folder.
    tracking_uri, experiment
        What this process's environment or the project's ``pyproject.toml`` asks for; empty when neither does.
    """

    root: Path
    tracking_uri: str = ""
    experiment: str = ""
    notebook: str = ""
    idle_seconds: float = DEFAULT_IDLE_SECONDS
    again: str = "supersede"
    energy: str = ""
    user: str = ""
    host: str = ""
    workers: int = 0
    prepare: bool = True
    smtp: str = field(default="", repr=False)
    artifacts: str = ""
    """Where experiments that we make keep their files; empty for the workspace's own folder, or what a server says."""

    @classmethod
    def load(
        cls,
        start: Path | None = None,
        *,
        root: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read the environment and the project's ``pyproject.toml``, at `root` or looking upwards from `start`.

        Raises
        ------
        InvalidArgument
            ``[tool.jupyter_mlops]`` has an unknown key or cannot be read, or a number is no number.
        """
        env = os.environ if environment is None else environment
        named = env.get("MLOPS_WORKSPACE")
        if root is None:
            root = Path(named).expanduser() if named else find_root(start or Path.cwd())
        root = root.resolve()
        values: dict[str, Any] = dict(_project_table(root / "pyproject.toml"))
        values.update({key: env[name] for key, name in ENVIRONMENT.items() if env.get(name)})
        try:
            idle = float(values.get("idle_seconds", DEFAULT_IDLE_SECONDS))
        except ValueError:
            raise InvalidArgument(f"idle_seconds takes a number of seconds, not {values['idle_seconds']!r}.") from None
        try:
            workers = int(values.get("workers", 0))
        except ValueError:
            raise InvalidArgument(f"workers takes a number of processes, not {values['workers']!r}.") from None
        wanted = str(values.get("prepare", "yes")).lower()
        if wanted not in (*YES, *NO):
            raise InvalidArgument(f"prepare takes yes or no, not {values['prepare']!r}.")
        prepare = wanted in YES
        again = str(values.get("again") or "supersede")
        if again not in AGAIN:
            raise InvalidArgument.unknown("way to run a cell again", again, AGAIN)
        return cls(
            root=root,
            tracking_uri=str(values.get("tracking_uri", "")),
            experiment=str(values.get("experiment", "")),
            notebook=str(values.get("notebook", "")),
            idle_seconds=idle,
            again=again,
            energy=str(values.get("energy", "")),
            user=str(values.get("user", "")) or _login(),
            host=socket.gethostname(),
            workers=workers,
            prepare=prepare,
            smtp=str(values.get("smtp", "")),
            artifacts=str(values.get("artifacts", "")).rstrip("/"),
        )

    def now(self, key: str) -> str:
        """A setting of runs, which may change from one to the next: what the environment says by now, else as it was read."""
        return os.environ.get(ENVIRONMENT[key]) or str(getattr(self, key))

    def workspace(self) -> Workspace:
        """The workspace: what it remembers, else what is asked for, else the default."""
        remembered = remembered_store(self.root)
        uri = remembered.get("tracking_uri") or self.tracking_uri
        home = self.root / HOME
        default = f"sqlite:///{home / 'mlflow.db'}"
        if uri in ("", "default"):
            uri = default
        experiment = remembered.get("experiment") or self.experiment or self.root.name or "default"
        served = uri.startswith(("http://", "https://", "databricks"))
        artifacts = self.artifacts or (None if served else (home / "artifacts").as_uri())
        return Workspace(self.root, uri, experiment, artifacts)

    def notes(self) -> tuple[str, ...]:
        """What differs between the environment and what the workspace remembers, for `status`."""
        uri = self.workspace().tracking_uri
        if self.tracking_uri and self.tracking_uri != uri:
            asked = self.tracking_uri
            return (
                f"the environment asks for {asked}, this workspace uses {uri}; `%mlops connect {asked}` switches it.",
            )
        return ()

    @staticmethod
    def in_jupyter_server() -> bool:
        """Whether this process is a kernel that a Jupyter server started."""
        return bool(jupyter_session_name())


def gate_rules(root: Path) -> dict[str, dict[str, Any]]:
    """The declared gates: for each alias, each gate's name and its options; and ``roles``, who may speak as what.

    They stand in ``[tool.jupyter_mlops.gates.ALIAS]`` of the project's ``pyproject.toml``, and in ``[ALIAS]`` of
    ``mlops-gates.toml``. A gate that both files declare counts as the second says.

    Raises
    ------
    InvalidArgument
        A file cannot be read, or has something else where a table belongs.
    """
    import tomllib

    found: dict[str, dict[str, Any]] = {}
    for name, keys in ((PYPROJECT, ("tool", "jupyter_mlops", GATES)), (GATES_FILE, ())):
        try:
            table: Any = tomllib.loads((root / name).read_text())
        except FileNotFoundError:
            continue
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise InvalidArgument(f"{root / name} cannot be read: {error}.", hint="Mend the file.") from error
        for key in keys:
            table = table.get(key, {})
        for alias, rules in table.items():
            if not isinstance(rules, dict):
                raise InvalidArgument(
                    f"{alias!r} among the gates of {root / name} is no table.",
                    hint=f"Write [{'.'.join((*keys, 'champion'))}], and the gates of that alias below it.",
                )
            found[alias] = {**found.get(alias, {}), **rules}
    return found


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` with a ``.mlops``, else with a ``.git`` or ``pyproject.toml``, else `start`."""
    start = start.resolve()
    folders = [start, *start.parents]
    own_home = Path.home()
    for mark in (HOME, ".git", "pyproject.toml"):
        for folder in folders:
            if (folder / mark).exists() and folder not in (own_home, Path("/")):
                return folder
    return start


def remembered_store(root: Path) -> dict[str, str]:
    """What ``.mlops/workspace.json`` says: the store and experiment, or nothing."""
    try:
        data = json.loads((root / HOME / REMEMBERED).read_text())
    except (OSError, ValueError):
        return {}
    return {key: str(value) for key, value in data.items()} if isinstance(data, dict) else {}


def remember_store(workspace: Workspace) -> None:
    """Write the workspace's store and experiment down, in one step."""
    workspace.home.mkdir(parents=True, exist_ok=True)
    ignore = workspace.home / ".gitignore"
    if not ignore.exists():  # the folder is new; who shares it with others opens it once, and it stays open
        workspace.home.chmod(0o700)  # it holds models, data and what was predicted
        ignore.write_text("*\n")
    target = workspace.home / REMEMBERED
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    data = {"tracking_uri": workspace.tracking_uri, "experiment": workspace.experiment}
    temporary.write_text(json.dumps(data, indent=2) + "\n")
    temporary.replace(target)


def child_environment(**changes: str) -> dict[str, str]:
    """This process's environment for a child of ours, with `changes`, and without what is the kernel's alone."""
    kept = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "MPLBACKEND")}
    silent = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "ORT_DISABLE_TELEMETRY": "1"}
    return {**kept, **silent, **changes}


def runtime_folder() -> Path:
    """A folder for sockets that only this user can open: short enough for a socket's path, gone at logout at the latest."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    parent = Path(base) if base and os.access(base, os.W_OK) else Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108
    folder = parent / f"jupyter-mlops-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise InvalidArgument(
            f"{folder} can be opened by others.", hint="Remove it, or set XDG_RUNTIME_DIR to a folder of your own."
        )
    return folder


def jupyter_session_name() -> str:
    """What Jupyter says of the notebook a kernel was started for: a path or an id; empty if it says nothing."""
    return os.environ.get("JPY_SESSION_NAME", "")


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _project_table(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    import tomllib  # here: most projects of notebooks have no such file, and a kernel begins sooner without it

    try:
        table = tomllib.loads(path.read_text()).get("tool", {}).get("jupyter_mlops", {})
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgument(f"{path} cannot be read: {error}.", hint="Mend the file.") from error
    table = {key: value for key, value in table.items() if key != GATES}
    for key in table:
        if key not in ENVIRONMENT:
            raise InvalidArgument.unknown("key of [tool.jupyter_mlops]", key, ENVIRONMENT)
    return dict(table)
