"""HTTP server: uvicorn's, in several processes that take connections in turn, with gRPC beside it where that is asked for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn

from .crew import Crowd

if TYPE_CHECKING:
    from .protocols.open_inference_grpc import GrpcServer

__all__ = ["BACKLOG", "GRACE_SECONDS", "Server"]

GRACE_SECONDS = 30
BACKLOG = 512
MOST_PASSED = 20  # how often a process leaves a connection to another that has fewer


class Server(uvicorn.Server):
    """uvicorn, telling when it listens; beside others on the same socket it takes connections in turn with them.

    Parameters
    ----------
    ready
        Called when it listens.
    crowd
        How many connections each of the processes has that share the socket; None where this is the only one.
    number
        Which of them this is.
    grpc
        What answers over gRPC beside it.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        crowd: Crowd | None = None,
        number: int = 0,
        grpc: GrpcServer | None = None,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._crowd = crowd
        self._number = number
        self._listening: list[socket.socket] = []
        self._passed = 0
        self._grpc = grpc
        self._opening: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell of it; for gRPC first, so that a process that answers over HTTP answers calls too."""
        if self._grpc is not None:
            await self._grpc.start()
        if self._crowd is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            for listener in sockets or ():
                listener.listen(BACKLOG)
                asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)
                self._listening.append(listener)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and finish those there are."""
        for listener in self._listening:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        stopping = [super().shutdown(sockets), *([self._grpc.stop(GRACE_SECONDS)] if self._grpc is not None else [])]
        await asyncio.gather(*stopping)

    async def on_tick(self, counter: int) -> bool:
        """Tell the others how many connections this process has; end where nobody watches over it any more."""
        if self._crowd is not None:
            self._crowd.tell(self._number, len(self.server_state.connections))
            self.should_exit |= self._crowd.forsaken()
        return await super().on_tick(counter)

    def _accept(self, listener: socket.socket) -> None:
        """Take one connection, unless another process has fewer and is going to."""
        assert self._crowd is not None  # noqa: S101 for the type checker
        mine = len(self.server_state.connections) + len(self._opening)
        if mine > self._crowd.fewest(self._number) and self._passed < MOST_PASSED:
            self._passed += 1
            return
        self._passed = 0
        try:
            connection, _ = listener.accept()
        except OSError:  # another was quicker, or who wanted in has gone
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._crowd.tell(self._number, mine + 1)
        task = asyncio.get_running_loop().create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, connection, ssl=self.config.ssl)
        except OSError:
            connection.close()
