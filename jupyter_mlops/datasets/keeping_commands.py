"""The commands that keep data versions in order: other names, pointers for DVC, and the collection of garbage."""

from __future__ import annotations

from typing import Annotated

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.data_garbage import DataGarbage
from ..domain.length import parse_length
from ..errors import InvalidArgument

__all__ = ["KeepingCommands"]


class KeepingCommands(CommandSet):
    """Part of the group ``data``."""

    @command("data tag", stage="datasets", changes=True)
    def tag(
        self,
        ref: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")],
        alias: Annotated[str, Arg(metavar="ALIAS")],
        *,
        remove: bool = False,
    ) -> str:
        """Give a data version another name: `adult@gold` then means it, and garbage collection leaves it alone.

        Parameters
        ----------
        ref
            A name for its latest version, or a version: ``adult@v3``.
        alias
            Letters, digits, dot, dash and underscore; not a number, and not ``latest``. A name that another version
            has moves.
        remove
            Take the name away.

        Examples
        --------
        %mlops data tag adult@v3 gold
        %mlops data tag adult gold --remove
        """
        told = self.context.call("data.tag", ref=ref, alias=alias, remove=remove)
        if remove:
            return f"{told['ref']} is no longer called {alias}"
        name, _, version = told["ref"].partition("@v")
        before = told["before"]
        moved = f", no longer {name}@v{before}" if before is not None and before != int(version) else ""
        return f"{name}@{alias} is {told['ref']}{moved}"

    @command("data gc", stage="datasets", changes=True)
    def gc(
        self,
        name: Annotated[str, Arg(complete="data", metavar="NAME")] = "",
        *,
        keep: int | None = None,
        older: Annotated[str, Arg(metavar="AGE")] = "",
        used: bool = False,
        apply: bool = False,
    ) -> DataGarbage:
        """Show, and with `--apply` remove, what nothing uses or what is past its time: old versions, chunks of no version.

        A version stays, however old, while a registered model (and so a deployment) was trained on it, while a run of
        any experiment used it, while it has a name, is sealed or is the newest of a branch, while a version that stays
        was made from it, and for an hour after it was read or saved. What went is written into the audit record.

        Parameters
        ----------
        name
            Remove versions of this name only; empty for all.
        keep
            How many of the newest versions of each name stay in any case: without it all, with `--older` the newest.
            With `--older` it may be 0: then the newest goes too once it is too old, also of a branch.
        older
            Remove only versions that were saved longer ago than this: ``90d``, ``52w``. Nothing of them is left behind.
        used
            Versions that only ended runs used go too: nobody can reproduce those runs then. Such that a run under
            way uses stay.
        apply
            Remove it; without it nothing is changed.

        Examples
        --------
        %mlops data gc
        %mlops data gc adult --keep 5 --apply
        %mlops data gc customers --older 730d --used
        """
        length = parse_length(older) if older else 0
        if keep is not None and keep < (0 if length else 1):
            raise InvalidArgument(
                f"--keep {keep} would leave no version.",
                hint="Keep at least 1, or say which are too old: --older 730d.",
            )
        if used and keep is None and not length:
            raise InvalidArgument(
                "--used without --keep or --older says of no version that it may go.",
                hint="Add --older 730d or --keep 5.",
            )
        operation = "data.gc" if apply else "data.garbage"
        told = self.context.call(operation, name=name, keep=keep, older_ms=length, used=used, apply=apply)
        return DataGarbage.from_dict(told)

    @command("data pointer", stage="datasets", changes=False)
    def pointer(
        self,
        ref: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")],
        *,
        output: Annotated[str, Arg(value="path", metavar="FILE.parquet")],
    ) -> str:
        """Write a data version as Parquet with a DVC pointer beside it, for a team that keeps data in DVC.

        DVC then finds the file as it should be; ``dvc commit`` takes it into its cache and ``dvc push`` into its
        remote. The pointer's `meta` names the version and its digest.

        Parameters
        ----------
        ref
            A name for its latest version, or a version: ``adult@v3``.
        output
            The Parquet file; the pointer is called the same with ``.dvc`` after it.

        Examples
        --------
        %mlops data pointer adult@v3 --output data/adult.parquet
        """
        from .files import check_target
        from .pointer import write_pointer
        from .tables import load_version

        target = check_target(output)
        with self.context.looking("export"):
            frame, version = load_version(self.context, ref)
        pointer = write_pointer(frame, version, target)
        return f"{version.ref} stands in {target}, and {pointer.name} beside it points to it; go on with: dvc commit {pointer}"
