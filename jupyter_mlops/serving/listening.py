"""Listening: the sockets of a deployment, whether it answers, and what its workers are told to do."""

from __future__ import annotations

import socket
from dataclasses import replace
from http.client import HTTPException

from ..errors import Conflict, InvalidArgument
from .client import connect
from .deployment_folder import StoredDeployment
from .orders import Orders

__all__ = ["answers", "bind", "orders_of", "place_of"]


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket bound to the port, or to any free one for 0; a server that inherits it listens.

    A deployment's old and new server meet on one port while one replaces the other, so the port is bound as one that
    can be shared; that it is free otherwise is found by binding it as one that cannot.

    Raises
    ------
    Conflict
        Another program has the port.
    """
    if port and not shared:
        with socket.socket(socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(probe, host, port)
    listener = socket.socket(socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(listener, host, port)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind(listener: socket.socket, host: str, port: int) -> None:
    try:
        listener.bind((host, port))
    except PermissionError as error:
        raise InvalidArgument(f"port {port} needs the rights of root.", hint="Choose one from 1024 on.") from error
    except OSError as error:
        raise Conflict(
            f"port {port} is in use by another program.",
            hint="Choose another with --port, or leave it out for a free one.",
        ) from error


def answers(stored: StoredDeployment, path: str = "/ping", patience: float = 2.0) -> bool:
    """Whether a server answers at the deployment's address."""
    connection = connect(stored, patience)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def place_of(stored: StoredDeployment, model: str) -> str:
    """A version's folder, as seen from its generation's."""
    return "." if model == stored.born else f"slots/{model}"


def orders_of(stored: StoredDeployment) -> Orders:
    """What the workers are to do, as the deployment is written down."""
    traffic = replace(stored.traffic, deployment=stored.name, decisions=())
    places = {share.model: place_of(stored, share.model) for share in traffic}
    return Orders(stored.number, traffic, places, stored.log, stored.rotate)
