"""The commands of the audit stage."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from ..domain.audit_entry import AuditCheck, AuditTrail
from ..domain.command import Arg, command
from ..domain.context import CommandSet, now_ms
from ..domain.length import UNITS, parse_length
from ..errors import InvalidArgument

__all__ = ["AuditCommands"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")
SHORTEST_RETENTION_DAYS = 1.0


class AuditCommands(CommandSet):
    """Who did what and when."""

    @command("audit", stage="audit", changes=False)
    def audit(
        self,
        target: Annotated[str, Arg(metavar="TARGET")] = "",
        *,
        who: str = "",
        action: str = "",
        since: str = "",
        everyone: bool = False,
        limit: int = 50,
    ) -> AuditTrail:
        """Show who changed what and when, newest first, and whether the record is whole.

        Parameters
        ----------
        target
            Only changes of this model, data version, run or deployment; empty for all.
        who
            Only changes by this user: `ann` or `ann@lab`.
        action
            Only this action, `model.promote`, or every action of a noun, `model`.
        since
            Only from this time on: `24h`, `7d`, or a date `2026-11-01`.
        everyone
            Of all workspaces that share the store, not of this one alone.
        limit
            How many entries at the most.

        Examples
        --------
        %mlops audit adult-clf
        %mlops audit --who ann --action model --since 7d --everyone
        """
        if limit < 1:
            raise InvalidArgument(f"--limit takes a number from 1, not {limit}.")
        wanted = {"target": target, "who": who, "action": action, "since_ms": _since(since), "everyone": everyone}
        return AuditTrail.from_dict(self.context.call("audit.read", limit=limit, **wanted))

    @command("audit verify", stage="audit", changes=False)
    def audit_verify(self, *, expect: Annotated[list[str] | None, Arg(metavar="RECEIPT")] = None) -> AuditCheck:
        """Check that no entry of the audit record was removed, altered, reordered, cut off or put in from elsewhere.

        This workspace's file, its copy on the shared store and the chains of all others there are held against
        themselves and one another. Someone who can write to all of these at once could make a new record; a receipt
        that was kept elsewhere shows that too.

        Parameters
        ----------
        expect
            A receipt that an earlier check printed; may be given several times.

        Examples
        --------
        %mlops audit verify
        """
        return AuditCheck.from_dict(self.context.call("audit.verify", expect=expect))

    @command("audit export", stage="audit", changes=False)
    def audit_export(
        self,
        file: Annotated[str, Arg(value="path", metavar="FILE")],
        *,
        format: Literal["", "jsonl", "csv"] = "",  # noqa: A002 the option's name is its declaration
        target: str = "",
        who: str = "",
        action: str = "",
        since: str = "",
        everyone: bool = False,
    ) -> str:
        """Write audit entries into a file, oldest first: JSON lines, or CSV for a spreadsheet.

        Parameters
        ----------
        file
            The file to write; one that is there is replaced.
        format
            By the file's ending when not given.
        target, who, action, since
            As for `audit`.
        everyone
            Of all workspaces that share the store, not of this one alone.

        Examples
        --------
        %mlops audit export audit.csv --since 30d --everyone
        """
        path = Path(file).expanduser()
        kind = format or path.suffix.lstrip(".")
        if kind not in ("jsonl", "csv"):
            raise InvalidArgument(f"{file!r} tells no format.", hint="Name it .jsonl or .csv, or give --format.")
        if not path.parent.is_dir():
            raise InvalidArgument(f"there is no folder {path.parent}.", hint="Make it first.")
        wanted = {"target": target, "who": who, "action": action, "since_ms": _since(since), "everyone": everyone}
        trail = AuditTrail.from_dict(self.context.call("audit.read", limit=0, **wanted))
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(_csv(trail) if kind == "csv" else _json_lines(trail), newline="")
        temporary.replace(path)
        return f"{len(trail):,} entries in {path}"

    @command("audit erase", stage="audit", changes=True)
    def audit_erase(self, user: Annotated[str, Arg(metavar="USER")], *, reason: str) -> str:
        """Take away what is personal in a user's entries: name, machine, notebook, details. The chain stays whole.

        What was done, to what and when stays; who did it and from where is gone for good, here and on the shared store.

        Parameters
        ----------
        user
            The user as `audit` shows it.
        reason
            Why; it is kept in the record, so do not name the person in it.

        Examples
        --------
        %mlops audit erase ann --reason "request of 2026-11-02"
        """
        if not reason.strip():
            raise InvalidArgument("--reason is empty.", hint="Say on what ground the data is erased.")
        answer = self.context.call("audit.erase", user=user, reason=reason)
        return f"erased what was personal in {answer['entries']:,} entries. {answer['note']}".rstrip(". ") + "."

    @command("audit retain", stage="audit", changes=True)
    def audit_retain(self, *, days: float, reason: str = "") -> str:
        """Remove audit entries older than some days, and leave an entry that proves what was removed.

        Parameters
        ----------
        days
            What is older goes; at least 1.
        reason
            Why, for the record.

        Examples
        --------
        %mlops audit retain --days 730
        """
        if not days >= SHORTEST_RETENTION_DAYS:
            raise InvalidArgument(f"--days takes a number from 1, not {days}.")
        since = now_ms() - int(days * UNITS["d"])
        answer = self.context.call("audit.retain", since_ms=since, reason=reason)
        if not answer["entries"]:
            return f"nothing is older than {days:g} days."
        proof = f"entry {answer['through']}, hash {answer['hash']}, SHA-256 of what was removed {answer['digest']}"
        return f"removed {answer['entries']:,} entries, up to {proof}. {answer['note']}".rstrip(". ") + "."


def _since(text: str) -> int:
    """Milliseconds since 1970 of ``7d`` (ago) or a date; 0 for none."""
    if not text:
        return 0
    with contextlib.suppress(InvalidArgument):
        return now_ms() - parse_length(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(
            f"--since takes a time, not {text!r}.", hint="Write 30min, 24h, 7d, 2w, or a date: 2026-11-01."
        ) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _json_lines(trail: AuditTrail) -> str:
    return "".join(json.dumps(entry.to_dict(), sort_keys=True) + "\n" for entry in reversed(trail.entries))


def _csv(trail: AuditTrail) -> str:
    """Entries as CSV; what a spreadsheet would take for a formula gets an apostrophe before it."""
    rows = [entry.row() for entry in reversed(trail.entries)]
    target = io.StringIO()
    writer = csv.DictWriter(target, list(rows[0]) if rows else ["number"], lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for k, v in row.items()})
    return target.getvalue()
