"""News: what the service has decided by itself about the deployments that a kernel has shared out the traffic of."""

from __future__ import annotations

from itertools import takewhile

from ..domain.context import Context
from .deployment_folder import DeploymentFolder

__all__ = ["news"]


def news(context: Context) -> list[str]:
    """What was decided since this was last asked and still holds, a line each: a canary that its guard took back, and why."""
    lines = []
    for name, since in list(context.watched.items()):
        stored = DeploymentFolder.of(context.workspace.home, name).read()
        if stored is None or stored.state == "stopped":
            del context.watched[name]
            continue
        # What somebody decided since is newer: the news would read as if it had come after that.
        last = takewhile(lambda each: each.by_itself, reversed(stored.traffic.decisions))
        new = [each for each in reversed([*last]) if each.time_ms > since]
        lines += [f"{name}: {each.what}: {each.why}" for each in new]
        context.watched[name] = max([since, *(each.time_ms for each in new)])
    return lines
