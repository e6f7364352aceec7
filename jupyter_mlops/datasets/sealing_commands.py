"""The commands that seal a test set and tell who has looked at it."""

from __future__ import annotations

from typing import Annotated

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.data_seal import DataSeal

__all__ = ["SealingCommands"]


class SealingCommands(CommandSet):
    """Part of the group ``data``."""

    @command("data seal", stage="datasets", changes=True)
    def seal(self, ref: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")]) -> DataSeal:
        """Seal a test set: from now on every look at its values is counted and audited, before they are handed out.

        Loading, evaluating, comparing, checking and exporting are looks, and so is evaluating on a table in memory or a
        file that holds the version or has its whole content. A seal cannot be taken off, and garbage collection leaves sealed versions alone.
        The gate `test_looks` demands that a candidate was measured on it at most once.

        Parameters
        ----------
        ref
            The version: ``adult-test@v1``; a name alone means its latest.

        Examples
        --------
        %mlops data seal adult-test@v1
        """
        return DataSeal.from_dict(self.context.call("data.seal", ref=str(ref)))

    @command("data looks", stage="datasets", changes=False)
    def looks(self, ref: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")]) -> DataSeal:
        """Show every look at a sealed data version: who, when, what for, and for which model. Asking is no look.

        Parameters
        ----------
        ref
            The version: ``adult-test@v1``; a name alone means its latest.

        Examples
        --------
        %mlops data looks adult-test@v1
        """
        return DataSeal.from_dict(self.context.call("data.looks", ref=str(ref)))
