"""The training data for others: Croissant 1.1, one description a data version; its rows too, when the pack holds them."""

from __future__ import annotations

from typing import Any

from ...domain.dossier import DataFile
from .document import Document, Evidence, Table, iso, json_bytes

__all__ = ["DOCUMENT"]

FOLDER = "data"
PARQUET = "application/x-parquet"  # the name that mlcroissant knows it by
TYPES = (("int", "sc:Integer"), ("uint", "sc:Integer"), ("float", "sc:Float"), ("bool", "sc:Boolean"), ("date", "sc:DateTime"), ("timestamp", "sc:DateTime"))  # fmt: skip
PLAIN = ("citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform", "equivalentProperty")  # fmt: skip
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in PLAIN},
}


def _write(evidence: Evidence) -> dict[str, bytes]:
    return {
        f"{FOLDER}/{held.version.name}-v{held.version.version}.croissant.json": json_bytes(_described(evidence, held))
        for held in evidence.dossier.data
    }


def _described(evidence: Evidence, held: DataFile) -> dict[str, Any]:
    version = held.version
    table = evidence.tables.get(version.ref)
    files = [_file("manifest", held.uri, "application/json", held.sha256, held.bytes, held.file)] if held.sha256 else []
    records = [_columns(held)]
    if table is not None:
        name = table.file.rpartition("/")[2]  # relative to this description, which lies beside it
        files.append(_file("rows-file", name, PARQUET, table.sha256, table.bytes, name))
        records.append(_rows(held, table))
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": version.name,
        "description": (
            f"{version.ref}: {version.rows:,} rows and {len(version.columns)} columns that the model "
            f"{evidence.dossier.model.ref} was trained on. Identity over the whole content: {version.digest}."
        ),
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "version": f"{version.version}.0.0",
        "url": held.uri or f"urn:mlops:data:{version.ref}",
        "license": "the project does not state one for this data",
        "creator": {"@type": "sc:Person", "name": version.created_by or "unknown"},
        "datePublished": iso(version.created_ms),
        "citeAs": f"{version.ref}, {version.digest}",
        "distribution": files,
        "recordSet": records,
    }


def _file(own: str, url: str, kind: str, sha256: str, size: int, name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": own,
        "name": name,
        "contentUrl": url,
        "contentSize": f"{size} B",
        "encodingFormat": kind,
        "sha256": sha256,
    }


def _columns(held: DataFile) -> dict[str, Any]:
    """The columns as records of their own: what can be said of the data without handing its rows over."""
    fields = (("column", "sc:Text"), ("type", "sc:Text"), ("missing", "sc:Integer"))
    return {
        "@type": "cr:RecordSet",
        "@id": "columns",
        "name": "columns",
        "description": "Every column: its name, its logical type, and how many of its cells are missing.",
        "field": [{"@type": "cr:Field", "@id": f"columns/{n}", "name": n, "dataType": t} for n, t in fields],
        "data": [
            {"columns/column": c.name, "columns/type": c.type, "columns/missing": c.missing}
            for c in held.version.columns
        ],
    }


def _rows(held: DataFile, table: Table) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        "description": f"The rows, as they stand in {table.file}.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"rows/{column.name}",
                "name": column.name,
                "dataType": _type(column.type),
                "source": {"fileObject": {"@id": "rows-file"}, "extract": {"column": column.name}},
            }
            for column in held.version.columns
        ],
    }


def _type(logical: str) -> str:
    """Croissant's name of a logical type; text for what it has no name for.

    Examples
    --------
    >>> [_type(name) for name in ("int64", "float32", "category<string>", "bool", "datetime[ns]")]
    ['sc:Integer', 'sc:Float', 'sc:Text', 'sc:Boolean', 'sc:DateTime']
    """
    lower = logical.lower()
    return next((kind for begin, kind in TYPES if lower.startswith(begin)), "sc:Text")


DOCUMENT = Document(
    "the training data: what it consists of and what its columns are",
    "Croissant 1.1",
    "mlcroissant validate --jsonld",
    _write,
)
