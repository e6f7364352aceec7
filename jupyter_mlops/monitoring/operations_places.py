"""Where what is monitored is: a deployment's log by its name, by its model, or by what it was asked for."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidArgument, NotFound
from ..serving.operations import log_of
from ..serving.operations import names as deployment_names
from ..store import model_versions
from ..store.host import Host

__all__ = ["arm_called", "log_called"]


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


def arm_called(host: Host, name: str) -> dict[str, Any]:
    """As `log_called`; of ``clf@2`` or ``clf@challenger`` what that version is asked under the deployment, a canary say.

    Raises
    ------
    NotFound
        There is no such deployment, or no such version of its model.
    """
    called, _, which = name.partition("@")
    where = log_called(host, called)
    if not which:
        return where
    version = model_versions.find(host.store.models, f"{where['model'].partition('@')[0]}@{which}")
    model = f"{version.name}@{version.version}"
    return where if model == where["model"] else {**where, "model": model, "files": ""}
