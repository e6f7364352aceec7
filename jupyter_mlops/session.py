"""Session: one workspace and the current notebook; the one object that every surface calls.

The commands themselves stand in the stages, in each stage's ``commands.py``; this module puts them together, adds the
workspace's own, and hands out what the stages share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, cached_property, partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from . import hooks
from .domain.command import Arg, Command, collect, command
from .domain.command_table import CommandTable, Source
from .domain.context import CommandSet, Context
from .domain.workspace import Actor, Status, Via
from .errors import InvalidArgument, MLOpsError, Unavailable
from .service.client import ServiceClient
from .settings import Settings

if TYPE_CHECKING:
    from .audit.commands import AuditCommands
    from .audit.evidence_commands import EvidenceCommands
    from .audit.lineage_commands import LineageCommands
    from .datasets.commands import DataCommands
    from .evaluation.candidate_commands import CandidateCommands
    from .evaluation.commands import EvaluationCommands
    from .evaluation.compress_commands import CompressCommands
    from .monitoring.alert_commands import AlertCommands
    from .monitoring.commands import MonitoringCommands
    from .monitoring.performance_commands import PerformanceCommands
    from .panel_commands import PanelCommands
    from .pipelines.commands import PipelineCommands
    from .pipelines.run_commands import PipelineRunCommands
    from .registry.card_commands import CardCommands
    from .registry.commands import RegistryCommands
    from .retraining.commands import RetrainingCommands
    from .serving.commands import ServingCommands
    from .serving.parity_commands import ParityCommands
    from .serving.traffic_commands import TrafficCommands
    from .tracking.commands import TrackingCommands
    from .tracking.reproduction_commands import ReproductionCommands
    from .tracking.sweep_commands import SweepCommands

    class _Stages(
        TrackingCommands,
        PanelCommands,
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
        """What a session offers, as type checkers and editors see it; `PARTS` says where it is."""

else:
    _Stages = CommandSet

__all__ = ["ServiceCommands", "Session", "current", "offered", "offers", "set_current"]

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

PARTS = {
    "tracking.commands.TrackingCommands": "",
    "panel_commands.PanelCommands": "",
    "tracking.sweep_commands.SweepCommands": "",
    "tracking.reproduction_commands.ReproductionCommands": "",
    "evaluation.commands.EvaluationCommands": "",
    "evaluation.candidate_commands.CandidateCommands": "",
    "evaluation.compress_commands.CompressCommands": "",
    "registry.commands.RegistryCommands": "",
    "registry.card_commands.CardCommands": "",
    "serving.commands.ServingCommands": "",
    "serving.traffic_commands.TrafficCommands": "",
    "serving.parity_commands.ParityCommands": "",
    "monitoring.commands.MonitoringCommands": "",
    "monitoring.performance_commands.PerformanceCommands": "",
    "monitoring.alert_commands.AlertCommands": "",
    "pipelines.commands.PipelineCommands": "",
    "retraining.commands.RetrainingCommands": "",
    "audit.commands.AuditCommands": "audit",
    "audit.lineage_commands.LineageCommands": "",
    "audit.evidence_commands.EvidenceCommands": "",
}
"""The stages' commands, each with the first word that all of its names share, if they share one. They are imported when
something of theirs is asked for, in this order: most sessions need the first few, and all of them take half a second."""

GROUPS = ("data", "pipeline", "service")
"""The attributes that hold commands of two words."""


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


class Session(_Stages):
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
        self._parts: dict[str, CommandSet] = {}
        context.hooks["session"] = lambda: self
        context.hooks.setdefault("record", self._record)

    if not TYPE_CHECKING:  # there the base has it all

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_"):
                for part in PARTS:
                    if hasattr(_part(part), name):
                        return getattr(self._held(part), name)
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}", name=name, obj=self)

    def _record(self, *given: Any, **named: Any) -> Any:
        return self.run(*given, **named)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for part in PARTS for name in dir(_part(part)))})

    def _held(self, part: str) -> CommandSet:
        """This session's own object of one of the `PARTS`."""
        return self._parts.get(part) or self._parts.setdefault(part, _part(part)(self.context))

    @cached_property
    def data(self) -> DataCommands:
        """The commands about data versions."""
        from .datasets.commands import DataCommands

        return DataCommands(self.context)

    @cached_property
    def pipeline(self) -> PipelineRunCommands:
        """The commands about exported pipelines."""
        from .pipelines.run_commands import PipelineRunCommands

        return PipelineRunCommands(self.context)

    @cached_property
    def service(self) -> ServiceCommands:
        """The commands about the workspace's background process."""
        return ServiceCommands(self.context)

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
        context = Context(
            settings.workspace(), ServiceClient(settings.root, store=settings.tracking_uri), actor, namespace=namespace
        )
        _client(context).actor = lambda: context.asking
        context.settings = settings
        context.known_tables.glance = hooks.glance_at
        context.hooks.update(
            profile=hooks.write_profile,
            digest=hooks.digest_of,
            open_context=_open_context,
            table=hooks.table_of,
            final=hooks.final_step,
            personal=partial(hooks.personal_columns, context),
            masked_document=partial(hooks.mask_document, context),
            registering=hooks.warm_builder,
            registered=hooks.prepare_serving,
            news=partial(hooks.news_of, context),
        )
        return cls(context)

    @cached_property
    def commands(self) -> CommandTable:
        """Every command by name, the one list that all surfaces read."""
        own = Source(lambda: collect(Session))
        parts = [Source(partial(_collected, part), head) for part, head in PARTS.items()]
        groups = [Source(partial(self._group, name), name) for name in GROUPS]
        return CommandTable([own, *parts, *groups], STAGES)

    def _group(self, name: str) -> dict[str, Command]:
        return collect(type(getattr(self, name)), name)

    def owner(self, command: Command) -> CommandSet:
        """The object whose method `command` is."""
        if command.group:
            held: CommandSet = getattr(self, command.group)
            return held
        # equal, and not the same: threads that ask for the first time at once may each have collected their own
        return next((self._held(part) for part in PARTS if _collected(part).get(command.name) == command), self)

    def invoke(self, name: str, arguments: Mapping[str, Any], *, via: Via) -> Any:
        """Carry out a command for a surface: find it, read its arguments, call it.

        Raises
        ------
        InvalidArgument
            There is no such command, or an argument does not fit.
        Unavailable
            The workspace's folder takes nothing.
        MLOpsError
            What the command raises.
        """
        found = self.commands.get(name)
        if found is None:
            raise InvalidArgument.unknown("command", name, self.commands)
        given = found.read(arguments)
        with self.context.acting(via):
            try:
                return found.call(self.owner(found), given)
            except OSError as error:
                home = self.context.workspace.home
                if not Path(str(error.filename)).is_relative_to(home):
                    raise
                raise Unavailable(
                    f"{name} keeps what it makes in {home}, which takes nothing: {error.strerror or error}.",
                    hint="Make room there or mend its rights, or choose another folder with MLOPS_WORKSPACE.",
                ) from error

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


def _open_context(root: str) -> Context:
    """A context on the workspace at `root`, for a process that a stage has started."""
    return Session.open(root=Path(root)).context


def _client(context: Context) -> ServiceClient:
    if not isinstance(context.service, ServiceClient):
        raise MLOpsError("this session is not attached to a service of its own.")
    return context.service


def offers(name: str) -> bool:
    """Whether the package has a function of this name: a command of one word, a group, or `Session.run`."""
    if name == "run" or name in GROUPS or name in _functions(collect(Session)):
        return True
    return any(name in _functions(_collected(part)) for part in PARTS)


def offered() -> list[str]:
    """Every function that the package has."""
    parts = [_functions(_collected(part)) for part in PARTS]
    return sorted({"run", *GROUPS, *_functions(collect(Session)), *chain.from_iterable(parts)})


def _functions(commands: Mapping[str, Command]) -> set[str]:
    return {found.function.__name__ for found in commands.values()}


@cache
def _part(name: str) -> type[CommandSet]:
    module, _, of = name.rpartition(".")
    found: type[CommandSet] = getattr(import_module(f".{module}", __package__), of)
    return found


@cache
def _collected(name: str) -> dict[str, Command]:
    return collect(_part(name))


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
