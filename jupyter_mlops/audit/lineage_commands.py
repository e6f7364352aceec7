"""The command that shows what a thing came from and what came of it."""

from __future__ import annotations

from typing import Annotated, Literal

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.lineage import Lineage

__all__ = ["LineageCommands"]


class LineageCommands(CommandSet):
    """From a table through runs to models, deployments and reports, and back."""

    @command("lineage", stage="audit", changes=False)
    def lineage(
        self,
        thing: Annotated[str, Arg(complete="data", metavar="THING")],
        *,
        kind: Literal["", "data", "run", "model", "deployment", "report"] = "",
    ) -> Lineage:
        """Show what something came from and what came of it, by what cells really read and wrote.

        From a table through the runs that read it to the models they made, the deployments that serve these and the
        drift reports on those; and back from any of them. Tables that were read without being saved as a version are
        shown by the digest of their content.

        Parameters
        ----------
        thing
            A data version, a model version, a deployment, a run (by name or id) or a drift report (by id).
        kind
            What it is, where the name fits several things.

        Examples
        --------
        %mlops lineage adult@v3
        %mlops lineage adult-clf@champion
        %mlops lineage adult-clf --kind deployment
        """
        return Lineage.from_dict(self.context.call("audit.lineage", thing=str(thing), kind=kind))
