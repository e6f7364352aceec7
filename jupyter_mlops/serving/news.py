"""News: what the service has decided by itself about the deployments that a kernel has shared out the traffic of."""

from __future__ import annotations

from ..domain.context import Context
from .deployment_folder import DeploymentFolder

__all__ = ["news"]


def news(context: Context) -> list[str]:
    """What was decided since this was last asked, a line each: a canary that its guard took back, and why."""
    lines = []
    for name, since in list(context.watched.items()):
        stored = DeploymentFolder.of(context.workspace.home, name).read()
        if stored is None or stored.state == "stopped":
            del context.watched[name]
            continue
        new = [each for each in stored.traffic.decisions if each.by_itself and each.time_ms > since]
        lines += [f"{name}: {each.what}: {each.why}" for each in new]
        context.watched[name] = max([since, *(each.time_ms for each in new)])
    return lines
