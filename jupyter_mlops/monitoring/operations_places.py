"""Where what is monitored is: a deployment's log by its name, by its model, or by what it was asked for."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidArgument, NotFound
from ..serving.operations import log_of
from ..serving.operations import names as deployment_names
from ..store.host import Host

__all__ = ["log_called"]


def log_called(host: Host, name: str) -> dict[str, Any]:
    """Where the log of a deployment is, found by its name or by what it serves.

    Raises
    ------
    NotFound
        There is no such deployment.
    """
    try:
        return log_of(host, name=name)
    except (NotFound, InvalidArgument) as error:
        if isinstance(error, InvalidArgument) and "@" not in name:
            raise
        known = deployment_names(host)
        hint = "Deploy the model first: `%mlops deploy MODEL@ALIAS`; or give two tables to compare."
        raise NotFound.among("deployment", name, known, hint=hint) from None
