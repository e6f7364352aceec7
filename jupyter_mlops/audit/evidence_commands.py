"""The command of the audit stage that writes evidence packs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from ..domain.audit_entry import AuditCheck, AuditEntry, AuditTrail
from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.dossier import Dossier
from ..domain.evidence_pack import EvidencePack

__all__ = ["EvidenceCommands"]

GIT_SECONDS = 5.0


class EvidenceCommands(CommandSet):
    """What is known of a model version, for those who have to judge it."""

    @command("evidence", stage="audit", changes=True)
    def evidence(
        self,
        model: Annotated[str, Arg(complete="model-versions", metavar="MODEL@VERSION")],
        *,
        output: Annotated[str, Arg(value="path", metavar="DIR")] = "evidence",
        with_data: bool = False,
    ) -> EvidencePack:
        """Write everything that is known of a model version into a folder, in the forms that others read.

        The model card, gate results with approvals and moves, every evaluation, a CycloneDX bill of materials, W3C
        PROV, OpenLineage events, Croissant for the data, the pinned environment, the audit excerpt, and for points of
        NIST AI RMF, ISO/IEC 42001 and GDPR what is shown, where, and what is not covered. `index.html` leads through
        it, `SHA256SUMS` holds the digest of every file, and its digest goes into the audit record.

        Parameters
        ----------
        model
            The version: `clf@7`, `clf@champion`; `clf` alone is the newest.
        output
            The folder to make; an earlier pack there is replaced, unless a file of it was changed.
        with_data
            Put the rows of the training data in as well, as Parquet; without it only columns and digests are told.

        Examples
        --------
        %mlops evidence adult-clf@champion -o evidence
        """
        from ..registry.card_words import metadata_of, own_words
        from .evidence.document import Evidence
        from .pack import check_free, write_pack

        directory = Path(output).expanduser().absolute()
        check_free(directory)
        call = self.context.call
        dossier = Dossier.from_dict(call("registry.dossier", model=model))
        trail = AuditTrail.from_dict(call("audit.read", limit=0, everyone=True))
        names = {dossier.model.name, *(f.version.name for f in dossier.data)}
        runs = {dossier.model.run_id} - {""}
        evidence = Evidence(
            dossier,
            entries=tuple(e for e in reversed(trail.entries) if _concerns(e, names, runs)),
            check=AuditCheck.from_dict(call("audit.verify", expect=None)),
            own=own_words(dossier.card),
            metadata=metadata_of(dossier.card),
            repository=_repository(self.context.workspace.root),
            version=metadata.version("jupyter-mlops"),
        )
        wanted = [f.version.ref for f in dossier.data if f.version.kind == "table"] if with_data else []
        pack = write_pack(evidence, directory, rows=dict.fromkeys(wanted, self._write_rows))
        call("audit.evidence", model=pack.model, directory=str(directory), digest=pack.digest, files=len(pack.files))
        return replace(pack, directory=str(Path(output).expanduser()))

    def _write_rows(self, ref: str, target: Path) -> None:
        from ..datasets.files import write_table
        from ..datasets.opened import open_version

        with open_version(self.context, ref) as opened:
            write_table(opened.read(), target)


def _concerns(entry: AuditEntry, names: set[str], runs: set[str]) -> bool:
    """Whether an entry is about the model, its data or its run."""
    if entry.target.partition("@")[0] in names:
        return True
    return any(
        text.partition("@")[0] in names or text in runs
        for told in (entry.details, entry.result)
        for text in _texts(told)
    )


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split(", ")
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return []


def _repository(root: Path) -> str:
    """The project's git remote as an address without a password; empty for none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "config", "--get", "remote.origin.url"],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    url = re.sub(r"^[\w.-]+@([\w.-]+):(?!//)", r"ssh://\1/", done.stdout.strip())
    url = re.sub(r"^(\w+://)[^/@]*@", r"\1", url)
    return url if re.match(r"^(https?|ssh|git)://", url) else ""
