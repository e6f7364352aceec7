"""The routes: each unpacks a request, makes one call, and packs the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from ..domain.command import Command
from ..errors import InvalidArgument, MLOpsError
from ..session import Session
from .packing import describe, offered, pack, read_query, status_of
from .places import inside, session_at

__all__ = ["HANDLERS"]

T = TypeVar("T")

LONGEST_BODY = 1_000_000


class MLOpsHandler(ExtensionHandlerMixin, APIHandler):  # type: ignore[misc]  # jupyter_server's types are not followed
    """The base of our routes: who may ask, from where, and how an error is told."""

    auth_resource = "jupyter_mlops"

    async def prepare(self) -> None:
        """Refuse what another site's page sends: cookies come along with it, its own header tells."""
        await super().prepare()
        if self.request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise web.HTTPError(403, "the request comes from another site")

    async def reply(self, work: Callable[[], T], packed: Callable[[T], dict[str, Any]] = pack) -> None:
        """Do `work` in a thread and answer with its result, or with its error as JSON."""
        try:
            answer = await asyncio.get_running_loop().run_in_executor(None, lambda: packed(work()))
        except MLOpsError as error:
            self.set_status(status_of(error))
            answer = error.to_dict()
        except Exception as error:
            self.log.exception("%s %s", self.request.method, self.request.path)
            self.set_status(500)
            hint = "This is a defect; the Jupyter server's log has the traceback."
            answer = MLOpsError(f"{type(error).__name__}: {error}", hint=hint).to_dict()
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(answer, allow_nan=False))

    @property
    def root(self) -> Path:
        """The folder whose notebooks this server shows."""
        server = self.serverapp
        return Path(getattr(server.contents_manager, "root_dir", "") or server.root_dir).expanduser()

    def session(self, path: str) -> Session:
        """The session for a request that was made at `path`."""
        return session_at(self.root, path)


class CommandsHandler(MLOpsHandler):
    """What commands there are, with their help and arguments."""

    @web.authenticated
    @authorized  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """The declarations."""
        await self.reply(
            lambda: list(self.session("").commands.values()),
            lambda commands: {"commands": [describe(command) for command in commands]},
        )


class CommandHandler(MLOpsHandler):
    """One command, carried out in the workspace around ``path``: GET for what only reads, POST for what changes."""

    @web.authenticated
    @authorized  # type: ignore[untyped-decorator]
    async def get(self, name: str) -> None:
        """Carry out a command that changes nothing; its arguments stand in the query."""
        query = {key: self.get_query_arguments(key) for key in self.request.query_arguments if key != "token"}
        path = query.pop("path", [""])[-1]
        await self.reply(lambda: self._invoke(name, path, lambda command: read_query(command, query)))

    @web.authenticated
    @authorized  # type: ignore[untyped-decorator]
    async def post(self, name: str) -> None:
        """Carry out a command that changes something; ``{"path": ..., "arguments": {...}}`` is the body."""
        body = self.request.body
        await self.reply(lambda: self._invoke_with(name, body))

    def _invoke_with(self, name: str, body: bytes) -> Any:
        given = _object(body)
        path, arguments = given.get("path", ""), given.get("arguments", {})
        if not isinstance(path, str) or not isinstance(arguments, dict):
            raise InvalidArgument('the body takes "path", a text, and "arguments", an object.')
        return self._invoke(name, path, lambda _command: arguments)

    def _invoke(self, name: str, path: str, read: Callable[[Command], dict[str, Any]]) -> Any:
        session = self.session(path)
        command = session.commands.get(name)
        if command is None:
            raise InvalidArgument.unknown("command", name, session.commands)
        self._check(command)
        return session.invoke(name, self._texts_only(command, read(command)), via="panel")

    def _check(self, command: Command) -> None:
        if not offered(command):
            raise InvalidArgument(
                f"{command.name!r} gives an object, which only a notebook can hold.",
                hint=f"Run `%mlops {command.name}` in a notebook.",
            )
        by_post = command.changes or command.group == "service"
        if by_post != (self.request.method == "POST"):
            asked, needed = self.request.method, "POST" if by_post else "GET"
            raise InvalidArgument(f"{command.name!r} is not for {asked}.", hint=f"Use {needed}.")

    def _texts_only(self, command: Command, arguments: dict[str, Any]) -> dict[str, Any]:
        """Objects and tables are given by reference, files by their path below the root folder."""
        known = {argument.name: argument for argument in command.arguments}
        checked = dict(arguments)
        for name, value in arguments.items():
            argument = known.get(name)
            if argument is None or value is None or argument.value not in ("object", "table", "path"):
                continue
            if not isinstance(value, str):
                raise InvalidArgument(f"{argument.label} takes a name or a reference here, not {type(value).__name__}.")
            looks_like_file = argument.value == "path" or "/" in value or value.endswith((".csv", ".parquet"))
            checked[name] = str(inside(self.root, value)) if looks_like_file else value
        return checked


class WatchHandler(MLOpsHandler):
    """Ask for news of the workspace around ``path``; ask again before the time is over, else the news ends."""

    @web.authenticated
    @authorized  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """The workspace, for how many seconds it is watched from now on, and the number of its latest news."""
        path = self.get_query_argument("path", "")
        watchers = self.extensionapp.watchers
        loop = asyncio.get_running_loop()
        await self.reply(lambda: watchers.watch(self.session(path), loop), lambda watched: watched)


HANDLERS: tuple[tuple[str, type[MLOpsHandler]], ...] = (
    (r"commands", CommandsHandler),
    (r"commands/([^/]+)", CommandHandler),
    (r"watch", WatchHandler),
)


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > LONGEST_BODY:
        raise InvalidArgument(f"the body is larger than {LONGEST_BODY:,} bytes.")
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidArgument(f"the body is no JSON: {error}.") from error
    if not isinstance(given, dict):
        raise InvalidArgument("the body takes a JSON object.")
    return given
