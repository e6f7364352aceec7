"""The commands of the audit stage."""

from __future__ import annotations

from ..domain.audit_entry import AuditTrail
from ..domain.command import command
from ..domain.context import CommandSet
from ..errors import InvalidArgument

__all__ = ["AuditCommands"]


class AuditCommands(CommandSet):
    """Who did what and when."""

    @command("audit", stage="audit", changes=False)
    def audit(self, target: str = "", *, limit: int = 50) -> AuditTrail:
        """Show who changed what and when, newest first, and whether the record is whole.

        Parameters
        ----------
        target
            Only changes of this model, data version, run or deployment; empty for all.
        limit
            How many entries at the most.

        Examples
        --------
        %mlops audit adult-clf
        """
        if limit < 1:
            raise InvalidArgument(f"--limit takes a number from 1, not {limit}.")
        return AuditTrail.from_dict(self.context.call("audit.read", target=target, limit=limit))
