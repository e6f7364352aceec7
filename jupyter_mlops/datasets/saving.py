"""Saving: a table becomes a data version, with what it was made from."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import Context
from ..domain.data_version import Column, DataVersion
from ..domain.reference import Reference
from ..errors import Conflict, IntegrityFailure, StoreUnavailable
from ..tracking.used_tables import names_read
from .opened import open_base
from .tables import note_use, read_in_run

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["save_folder", "save_table", "sources_of", "staging"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def save_table(
    context: Context,
    frame: pd.DataFrame,
    name: str,
    *,
    branch: str = "",
    sources: Sequence[str] | None = None,
    personal: Sequence[str] = (),
) -> DataVersion:
    """Save a table as the next version of a name, unless the name has this content already.

    Parameters
    ----------
    sources
        The data versions it was made from; None finds them out.
    personal
        Columns that hold personal data, masked or not: deployments of models trained on it hash them in their log.
    """
    from .draft import Draft
    from .snapshot import write_snapshot

    made_from = sources_of(context, name, sources)
    given = context.call("data.base", name=name, bases=made_from)["base"]
    base, run_id = open_base(given)
    draft = Draft(frame, base)
    identity = draft.identity
    told = context.call("data.prepare", name=name, digest=identity.digest, branch=branch)
    if told["found"] is not None:
        version = DataVersion.from_dict({**told["found"], "new": False})
        if personal:
            context.personal.update(personal)
            context.call("data.declare_personal", ref=version.ref, columns=list(personal))
        note_use(context, frame, version)
        return version
    _check_kind(name, given)
    context.progress(f"writing {len(frame):,} rows")
    columns = [Column(str(c.name), c.type, c.missing).to_dict() for c in identity.columns]

    def write(draft: Draft, base: str) -> DataVersion:
        with staging(context) as folder:
            written = write_snapshot(draft, folder)
            saved = context.call(
                "data.save",
                name=name,
                digest=identity.digest,
                rows=identity.rows,
                columns=columns,
                folder=str(folder),
                notebook=context.notebook.path,
                checksum=written.checksum,
                size=written.bytes,
                base=base,
                branch=branch,
                sources=made_from,
                run=getattr(context.recorder, "key", ""),
                personal=list(personal),
            )
        return DataVersion.from_dict(saved)

    try:
        version = write(draft, run_id)
    except Conflict:  # what it built on was removed meanwhile
        version = write(Draft(frame), "")
    note_use(context, frame, version)
    return version


def save_folder(
    context: Context, root: Path, name: str, *, branch: str = "", sources: Sequence[str] | None = None
) -> DataVersion:
    """Save a folder's files, or one file, as they are as the next version of a name."""
    from .folder import FolderManifest, describe_folder, write_folder
    from .manifest import MANIFEST

    context.progress(f"reading {root}")
    digest, files = describe_folder(root)
    made_from = sources_of(context, name, sources)
    told = context.call("data.prepare", name=name, digest=digest, branch=branch)
    if told["found"] is not None:
        version = DataVersion.from_dict({**told["found"], "new": False})
        note_use(context, None, version)
        return version
    given = context.call("data.base", name=name, bases=made_from)["base"]
    _check_kind(name, given)

    def write(found: dict[str, Any] | None) -> DataVersion:
        base, run_id = None, ""
        if found is not None and found["version"].get("kind") == "folder":
            with suppress(IntegrityFailure, FileNotFoundError):  # one that cannot be read is none
                held = (Path(found["folder"]) / MANIFEST).read_bytes()
                base, run_id = FolderManifest.from_bytes(held, digest=found["checksum"]), found["run"]
        with staging(context) as folder:
            written = write_folder(root, files, digest, folder, base)
            saved = context.call(
                "data.save",
                name=name,
                digest=digest,
                rows=len(files),
                columns=[],
                folder=str(folder),
                notebook=context.notebook.path,
                checksum=written.checksum,
                size=written.bytes,
                base=run_id,
                branch=branch,
                kind="folder",
                sources=made_from,
                run=getattr(context.recorder, "key", ""),
            )
        return DataVersion.from_dict(saved)

    try:
        version = write(given)
    except Conflict:  # what it built on was removed meanwhile, or a file changed: then the second try says so
        version = write(None)
    note_use(context, None, version)
    return version


def _check_kind(name: str, base: dict[str, Any] | None) -> None:
    if base is not None and (base["version"]["name"], base["version"].get("kind")) == (name, "view"):
        raise Conflict(f"{name} is the name of a feature view.", hint="Call the table something else.")


@contextmanager
def staging(context: Context) -> Iterator[Path]:
    """A folder of the staging area, for as long as it is written; the service takes it over by renaming it.

    Raises
    ------
    StoreUnavailable
        The disk takes nothing more; nothing of the version is left.
    """
    folder = context.workspace.home / "staging" / f"data-{os.getpid()}-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise StoreUnavailable(
            f"nothing was saved: {context.workspace.home} takes no more ({os.strerror(error.errno)}).",
            hint="Free some space there, then save again. `%mlops data gc` shows what can go.",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sources_of(context: Context, name: str, given: Sequence[str] | None) -> list[str]:
    """The data versions that something was made from: those given, else those that the run or the cell has read."""
    if given is not None:
        wanted = [given] if isinstance(given, str) else list(given)
        found = [DataVersion.from_dict(context.call("data.locate", ref=ref)["version"]).ref for ref in wanted]
        return list(dict.fromkeys(found))
    found = read_in_run(context)
    source = getattr(context.recorder, "source", "") or (context.cells[-1].source if context.cells else "")
    if source and context.namespace:
        for word in sorted(names_read(source, context.hooks.get("transform_cell"))):
            known = context.known_tables.origin(context.namespace.get(word))
            if known is not None:
                found.append(known[0])
    # A version's own name is its history, not its source.
    return [ref for ref in dict.fromkeys(found) if Reference.parse(ref, "data version").name != name]
