"""Session: one workspace and the current notebook; the one object that every surface calls.

The commands themselves stand in the stages, in each stage's ``commands.py``; this module puts them together, adds the
workspace's own, and hands out what the stages share.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from .audit.commands import AuditCommands
from .audit.evidence_commands import EvidenceCommands
from .audit.lineage_commands import LineageCommands
from .datasets.commands import DataCommands
from .domain.command import Arg, Command, collect, command
from .domain.context import CommandSet, Context
from .domain.panel import Panel
from .domain.workspace import Actor, Status, Via
from .errors import InvalidArgument, MLOpsError
from .evaluation.candidate_commands import CandidateCommands
from .evaluation.commands import EvaluationCommands
from .evaluation.compress_commands import CompressCommands
from .monitoring.alert_commands import AlertCommands
from .monitoring.commands import MonitoringCommands
from .monitoring.performance_commands import PerformanceCommands
from .pipelines.commands import PipelineCommands
from .pipelines.run_commands import PipelineRunCommands
from .registry.card_commands import CardCommands
from .registry.commands import RegistryCommands
from .retraining.commands import RetrainingCommands
from .service.client import ServiceClient
from .serving.commands import ServingCommands
from .serving.parity_commands import ParityCommands
from .serving.traffic_commands import TrafficCommands
from .settings import Settings
from .tracking.commands import TrackingCommands
from .tracking.reproduction_commands import ReproductionCommands
from .tracking.sweep_commands import SweepCommands

__all__ = ["API", "ServiceCommands", "Session", "current", "set_current"]

STAGES = (
    "workspace",
    "tracking",
    "datasets",
    "evaluation",
    "registry",
    "serving",
    "monitoring",
    "pipelines",
    "retraining",
    "audit",
)
"""In the order in which help lists them."""


class ServiceCommands(CommandSet):
    """The workspace's background process, by hand. It starts by itself; this is for looking and for cleaning up."""

    @command("service start", stage="workspace", changes=False)
    def start(self) -> str:
        """Start the workspace's background process.

        Examples
        --------
        %mlops service start
        """
        _client(self.context).start()
        return "the service runs"

    @command("service stop", stage="workspace", changes=False)
    def stop(self) -> str:
        """End the workspace's background process; deployments go on serving, unwatched.

        Examples
        --------
        %mlops service stop
        """
        return "the service has ended" if _client(self.context).stop() else "no service was running"

    @command("service log", stage="workspace", changes=False)
    def log(self, *, lines: int = 40) -> str:
        """Show the end of the service's log.

        Parameters
        ----------
        lines
            How many lines.

        Examples
        --------
        %mlops service log --lines 100
        """
        path = _client(self.context).log
        if not path.exists():
            return "the service has not run yet"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


class Session(
    TrackingCommands,
    ReproductionCommands,
    SweepCommands,
    EvaluationCommands,
    CandidateCommands,
    CompressCommands,
    RegistryCommands,
    CardCommands,
    ServingCommands,
    TrafficCommands,
    ParityCommands,
    MonitoringCommands,
    PerformanceCommands,
    AlertCommands,
    PipelineCommands,
    RetrainingCommands,
    AuditCommands,
    LineageCommands,
    EvidenceCommands,
):
    """One workspace, as seen from one notebook, shell or server.

    Parameters
    ----------
    context
        The workspace and what the stages share; `Session.open` makes one.

    Examples
    --------
    >>> import tempfile
    >>> session = Session.open(Path(tempfile.mkdtemp()))
    >>> session.commands["connect"].arguments[0].label
    'URI'
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.hooks.setdefault("record", self.run)
        self.data = DataCommands(context)
        self.service: ServiceCommands = ServiceCommands(context)
        self.pipeline = PipelineRunCommands(context)

    @classmethod
    def open(
        cls, start: Path | None = None, *, root: Path | None = None, namespace: dict[str, Any] | None = None
    ) -> Self:
        """A session on the workspace that holds `start`, or at `root`; opens no store and starts no service.

        Parameters
        ----------
        start
            A folder in the project; the current one by default.
        root
            The project folder itself, where it is known.
        namespace
            The user's variables, in a kernel.
        """
        settings = Settings.load(start, root=root)
        actor = Actor(settings.user, settings.host)
        context = Context(settings.workspace(), ServiceClient(settings.root), actor, namespace=namespace)
        _client(context).actor = lambda: context.actor
        context.settings = settings
        context.hooks.update(
            profile=_write_training_profile, digest=_digest, open_context=_open_context, table=_table, final=_final
        )
        context.hooks.update(registering=_warm_builder, registered=_prepare_serving)
        return cls(context)

    @cached_property
    def commands(self) -> dict[str, Command]:
        """Every command by name, the one list that all surfaces read."""
        found = collect(type(self))
        for group in self.groups:
            found |= collect(type(getattr(self, group)), group)
        return dict(sorted(found.items(), key=lambda item: STAGES.index(item[1].stage)))

    groups = ("data", "pipeline", "service")
    """The attributes that hold commands of two words."""

    def invoke(self, name: str, arguments: Mapping[str, Any], *, via: Via) -> Any:
        """Carry out a command for a surface: find it, read its arguments, call it.

        Raises
        ------
        InvalidArgument
            There is no such command, or an argument does not fit.
        MLOpsError
            What the command raises.
        """
        found = self.commands.get(name)
        if found is None:
            raise InvalidArgument.unknown("command", name, self.commands)
        given = found.read(arguments)
        owner = getattr(self, found.group) if found.group else self
        with self.context.acting(via):
            return found.call(owner, given)

    def names(self, kind: str) -> list[str]:
        """What completion offers for a kind of name out of the store, see `domain.command.Arg`.

        Asks a running service only, and gives nothing rather than an error: completing must never be in the way.
        """
        try:
            names = _client(self.context).call_if_running("workspace.names", timeout=1.0, kind=kind)
        except MLOpsError:
            return []
        return [str(name) for name in names or ()]

    @command("status", stage="workspace", changes=False)
    def status(self) -> Status:
        """Show the workspace at a glance: its store, its service, and how much there is of everything.

        Examples
        --------
        %mlops status
        """
        told = Status.from_dict(self.context.call("workspace.status"))
        return replace(told, notebook=self.context.notebook.path, notes=(*self.context.settings.notes(), *told.notes))

    @command("panel", stage="workspace", changes=False)
    def panel(self, *, limit: int = 10) -> Panel:
        """Show the newest of everything in the workspace: what the sidebar shows, where there is no sidebar.

        Alive while the kernel is: models are promoted and deployments stopped from it. Saved with the notebook it
        stays readable anywhere.

        Parameters
        ----------
        limit
            How many runs, drift reports and alerts at the most, 1 or more.

        Examples
        --------
        %mlops panel
        """
        if limit < 1:
            raise InvalidArgument("--limit has to be 1 or more.")
        return Panel(
            status=self.status(),
            runs=self.runs(limit=limit, top=True),
            data=self.data.log(),
            models=self.models(),
            deployments=self.deployments(),
            reports=self.reports(limit=limit),
            alerts=self.alerts(limit=limit),
            limit=limit,
        )

    @command("connect", stage="workspace", changes=True)
    def connect(
        self, uri: Annotated[str, Arg(metavar="URI")] = "", *, experiment: Annotated[str, Arg(metavar="NAME")] = ""
    ) -> Status:
        """Choose the MLflow store and experiment, for everyone who works in this project.

        The store is opened first; if that fails nothing changes. Runs already stored stay where they are.

        Parameters
        ----------
        uri
            Any MLflow tracking URI, or ``default`` for SQLite in ``.mlops/``; empty keeps the store.
        experiment
            The MLflow experiment for new runs; empty keeps it.

        Examples
        --------
        %mlops connect http://127.0.0.1:5000 --experiment churn
        """
        if uri == "default":
            uri = f"sqlite:///{self.context.workspace.home / 'mlflow.db'}"
        self.context.call("workspace.connect", tracking_uri=uri, experiment=experiment)
        self.context.workspace = self.context.settings.workspace()
        return self.status()


def _write_training_profile(training: Any, target: Any, model: Any, folder: Path) -> None:
    """What tracking and the registry need of the datasets stage, which stands to their right or beside them."""
    from .datasets.profile import write_training_profile

    write_training_profile(training, target, model, folder)


def _digest(table: Any) -> str:
    from .datasets.identity import digest

    return digest(table)


def _table(context: Context, given: Any) -> Any:
    from .datasets.tables import as_table

    return as_table(context, given)


def _final(estimator: Any, width: int) -> Any:
    """What evaluation needs of serving, which stands to its right: a model's last step as sums in 64 bits."""
    from .serving.compiled.encode import NotCompilable
    from .serving.compiled.finals import final_of

    try:
        return final_of(estimator, width)
    except NotCompilable as error:
        raise InvalidArgument(f"{error}.") from None


def _open_context(root: str) -> Context:
    """A context on the workspace at `root`, for a process that a stage has started."""
    return Session.open(root=Path(root)).context


def _warm_builder(context: Context) -> None:
    """Let what compiles models be loaded beside the storing of one; nobody waits for that, nor for the service to start."""

    def ask() -> None:
        with contextlib.suppress(MLOpsError):
            context.call("serving.warm", python=context.interpreter)

    if context.settings.prepare:
        threading.Thread(target=ask, name="warm builder", daemon=True).start()


def _prepare_serving(context: Context, model: str) -> None:
    """Let a model version be compiled for serving while its maker goes on."""
    with contextlib.suppress(MLOpsError):  # it is registered all the same
        context.call("serving.prepare", model=model, python=context.interpreter)


def _client(context: Context) -> ServiceClient:
    if not isinstance(context.service, ServiceClient):
        raise MLOpsError("this session is not attached to a service of its own.")
    return context.service


API = frozenset({"run", *Session.groups, *(c.function.__name__ for c in collect(Session).values())})
"""What the package offers as functions: the commands of one word, the groups, and `Session.run`."""

_current: Session | None = None


def current() -> Session:
    """The session of this process, opened on the current folder at first use."""
    global _current  # noqa: PLW0603 one process has one current session; the magics set it to the kernel's
    if _current is None:
        _current = Session.open()
    return _current


def set_current(session: Session | None) -> None:
    """Make `session` the one that `current` gives."""
    global _current  # noqa: PLW0603 see `current`
    _current = session
