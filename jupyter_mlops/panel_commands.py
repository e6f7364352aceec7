"""The panel's command: the newest of everything that the other commands show."""

from __future__ import annotations

from .domain.command import command
from .domain.context import CommandSet
from .domain.panel import Panel
from .errors import InvalidArgument

__all__ = ["PanelCommands"]


class PanelCommands(CommandSet):
    """The whole workspace on one page."""

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
        session = self.context.hooks["session"]()
        return Panel(
            status=session.status(),
            runs=session.runs(limit=limit, top=True),
            data=session.data.log(),
            models=session.models(),
            deployments=session.deployments(),
            reports=session.reports(limit=limit),
            alerts=session.alerts(limit=limit),
            limit=limit,
        )
