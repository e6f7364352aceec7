"""Data tags: a data version as the tags of its run say it, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..domain.data_version import Column, DataVersion
from . import tags
from .data_erasures import erasures_from_tags
from .data_notes import personal_from_tags
from .data_seals import seal_from_tags

__all__ = ["columns_from_tags", "columns_to_tags", "note_of", "version_from_run"]

PIECE = 4_000  # characters in one tag; MLflow holds 8,000, its older servers 5,000


def version_from_run(run: Any) -> DataVersion:
    """The data version that a run tells of."""
    held = run.data.tags
    seal = seal_from_tags("", held) if tags.DATA_SEALED in held else None
    return DataVersion(
        name=held[tags.DATA_NAME],
        version=int(held.get(tags.DATA_VERSION, 0)),
        digest=held[tags.DATA_DIGEST],
        rows=int(held[tags.DATA_ROWS]),
        columns=tuple(columns_from_tags(held)),
        bytes=int(held[tags.DATA_BYTES]),
        created_ms=int(run.info.start_time),
        created_by=held.get(tags.USER, ""),
        notebook=held.get(tags.NOTEBOOK, ""),
        kind=held.get(tags.DATA_KIND, "table"),
        branch=held.get(tags.DATA_BRANCH, ""),
        sources=tuple(json.loads(held.get(tags.DATA_SOURCES) or "[]")),
        run=held.get(tags.RUN_KEY, ""),
        personal=tuple(personal_from_tags(held)),
        errors=_count(held, "errors"),
        erasures=erasures_from_tags(held),
        warnings=_count(held, "warnings"),
        sealed_ms=seal.sealed_ms if seal is not None else 0,
        looks=len(seal) if seal is not None else 0,
    )


def _count(held: dict[str, str], what: str) -> int | None:
    told = json.loads(held.get(tags.DATA_CHECKS) or "{}")
    return int(told[what]) if what in told else None


def note_of(ref: str) -> str:
    """What MLflow's page of the version's run says."""
    return (
        f"Data version `{ref}`. `jupyter mlops data export {ref} --output FILE.parquet` writes it as Parquet; how to read "
        f"it without: `packs/README.md` beside this experiment's runs."
    )


def columns_to_tags(columns: Iterable[Column]) -> Iterator[tuple[str, str]]:
    """The columns in as many tags as it takes."""
    text = json.dumps([[c.name, c.type, c.missing] for c in columns], separators=(",", ":"))
    for number, start in enumerate(range(0, len(text), PIECE), 1):
        yield tags.DATA_COLUMNS + (f".{number}" if number > 1 else ""), text[start : start + PIECE]


def columns_from_tags(held: dict[str, str]) -> Iterator[Column]:
    """The columns of `columns_to_tags`."""
    text, number = held.get(tags.DATA_COLUMNS, "[]"), 2
    while (piece := held.get(f"{tags.DATA_COLUMNS}.{number}")) is not None:
        text, number = text + piece, number + 1
    for name, kind, missing in json.loads(text):
        yield Column(name, kind, missing)
