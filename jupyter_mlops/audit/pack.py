"""An evidence pack written to disk: all of it or nothing, with the digest of every file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ..domain.display import clock
from ..domain.evidence_pack import EvidenceFile, EvidencePack
from ..domain.written import Bullets, Grid, Link, Pill, Section, Written
from ..errors import Conflict
from ..pipelines.new_folder import new_folder
from ..registry.card import missing
from .evidence import DOCUMENTS
from .evidence.coverage import counted
from .evidence.document import Evidence, Table

__all__ = ["check_free", "write_pack"]

INDEX, SUMS = "index.html", "SHA256SUMS"

Rows = Callable[[str, Path], None]
"""Writes the rows of a data version into a Parquet file."""


def check_free(directory: Path) -> None:
    """Raise unless the directory can become a pack: it is not there, is empty, or is a pack that nobody added to.

    Raises
    ------
    Conflict
        It holds something else, or a file of the pack was changed.
    """
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    hint = "Choose another directory with `-o DIR`."
    if not (directory / SUMS).is_file() or not (directory / INDEX).is_file():
        raise Conflict(f"{directory} exists and is no evidence pack.", hint=hint)
    known = {}
    for line in (directory / SUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        known[name] = digest
    for file in sorted(p for p in directory.rglob("*") if p.is_file()):
        name = file.relative_to(directory).as_posix()
        if name != SUMS and known.get(name) != hashlib.sha256(file.read_bytes()).hexdigest():
            what = "was changed since" if name in known else "is not of the pack that is there"
            raise Conflict(f"{directory / name} {what}, and would be lost.", hint=hint)


def write_pack(evidence: Evidence, directory: Path, *, rows: Mapping[str, Rows]) -> EvidencePack:
    """Write every document, an index and the digests; an earlier pack there is replaced in one step.

    Parameters
    ----------
    rows
        For each data version whose rows the pack shall hold, what writes them.

    Raises
    ------
    Conflict
        The directory holds something else.
    InvalidArgument
        It cannot be written.
    """
    check_free(directory)
    with new_folder(directory) as new:
        evidence = replace(evidence, tables={ref: _table(new, ref, write) for ref, write in rows.items()})
        files = [_kept(new, table.file, "the rows of the training data", "Parquet", "pyarrow") for table in evidence.tables.values()]  # fmt: skip
        for document in DOCUMENTS.values():
            for name, held in document.write(evidence).items():
                (new / name).parent.mkdir(exist_ok=True)
                (new / name).write_bytes(held)
                files.append(_kept(new, name, document.title, document.standard, document.check))
        gaps = missing(evidence.dossier)
        (new / INDEX).write_text(_index(evidence, files, gaps).html(), encoding="utf-8")
        files.insert(0, _kept(new, INDEX, "what is in the pack; read it first", "HTML", "a browser"))
        sums = "".join(f"{file.sha256}  {file.name}\n" for file in files)
        (new / SUMS).write_text(sums, encoding="utf-8")
    digest = hashlib.sha256(sums.encode()).hexdigest()
    return EvidencePack(
        evidence.dossier.model.ref, str(directory), tuple(files), counted(evidence), digest, tuple(gaps)
    )


def _table(folder: Path, ref: str, write: Rows) -> Table:
    name = f"data/{ref.replace('@', '-')}.parquet"
    target = folder / name
    target.parent.mkdir(exist_ok=True)
    write(ref, target)
    with target.open("rb") as file:
        return Table(name, hashlib.file_digest(file, "sha256").hexdigest(), target.stat().st_size)


def _kept(folder: Path, name: str, title: str, standard: str, check: str) -> EvidenceFile:
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return EvidenceFile(name, title, standard, check, (folder / name).stat().st_size, digest)


def _index(evidence: Evidence, files: list[EvidenceFile], gaps: tuple[str, ...]) -> Written:
    dossier, check = evidence.dossier, evidence.check
    whole = check is not None and check.ok
    first = [
        ("model", f"{dossier.model.ref} {', '.join(dossier.model.aliases)}".strip()),
        ("what it is", dossier.model.estimator),
        ("owners", ", ".join(dossier.owners)),
        ("SHA-256 of the model file", dossier.digest),
        ("trained on", ", ".join(dossier.model.data)),
        ("store", dossier.store),
        ("written", f"{clock(dossier.made_ms)} by {dossier.made_by}"),
    ]
    state: list[tuple[str, Pill]] = [
        (
            f"gates of {report.alias}",
            Pill("every gate holds", "good") if report.passed else Pill("not every gate holds", "bad"),
        )
        for report in dossier.gates
    ]
    state.append(("audit record", Pill("whole", "good") if whole else Pill("not whole", "bad")))
    shown = [
        (
            c.framework,
            Pill(f"{c.shown} shown", "good"),
            Pill(f"{c.partly} in part", "warn"),
            Pill(f"{c.nothing} not", "bad"),
        )
        for c in counted(evidence)
    ]
    worth = [(m.name, m.value, str(m)) for m in (dossier.evaluation.headline if dossier.evaluation else ())]
    listed = [(Link(f.name, f.name), f.title, f.standard, f.check, f.bytes) for f in files]
    sections = [
        Section("The model", [Grid(("", ""), [row for row in first if row[1]])]),
        Section("Where it stands", [Grid(("", ""), state), Grid(("framework", "", "", ""), shown)]),
        Section(
            "What it is worth",
            [Grid(("metric", "value", "with interval"), worth)] if worth else ["It was never evaluated."],
        ),
        Section("Files", [Grid(("file", "what", "standard", "checked with", "bytes"), listed)]),
        *([Section("What is not known", [Bullets(gaps)])] if gaps else []),
        Section(
            "How to check that nothing was changed",
            ["`sha256sum -c SHA256SUMS` tells; the digest of that list stands in the audit record."],
        ),
    ]
    return Written(
        f"Evidence of {dossier.model.ref}",
        "Everything that is known of one model version, for people and for tools.",
        sections,
    )
