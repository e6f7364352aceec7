"""OpenAPI: the document that describes the server, with the columns of the model's signature, and the page to try it."""

from __future__ import annotations

from importlib import metadata, resources
from typing import Any

import orjson

from ..routing import Slot
from ..signature import Signature
from .tensors import described, signature_of

__all__ = ["document", "page"]

KINDS: dict[str, dict[str, Any]] = {
    "double": {"type": ["number", "null"]},
    "float": {"type": ["number", "null"]},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "boolean": {"type": "boolean"},
    "string": {"type": ["string", "null"]},
    "datetime": {"type": "string", "format": "date-time"},
    "binary": {"type": "string", "format": "byte"},
}
ERRORS = {
    "400": "the request does not fit the model", "401": "no token, or a wrong one", "413": "too large",
    "422": "nested too deep, or it cannot be done", "429": "too many requests at once; see Retry-After",
    "503": "not ready, or the prediction cannot be logged; see Retry-After", "504": "it took too long",
}  # fmt: skip
TEXT = {"type": "string"}


EXPLAIN = {
    "name": "explain",
    "in": "query",
    "description": "Answer with SHAP values too: what each column of each row added to the base. At most 20 rows.",
    "schema": {"type": "boolean", "default": False},
}
NUMBERS = {
    "anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]
}  # one a class, where there are
EXPLANATION = {
    "type": "object",
    "required": ["output", "columns", "base", "values"],
    "properties": {
        "output": {"enum": ["probability", "prediction"]},
        "classes": {"type": "array"},
        "columns": {"type": "array", "items": {"type": "string"}},
        "base": NUMBERS,
        "values": {"type": "array", "items": {"type": "array", "items": NUMBERS}, "description": "by row, by column"},
        "method": {"enum": ["exact", "permutations"]},
        "background": {"type": "object"},
        "additivity_error": {"type": "number"},
    },
}


def document(slot: Slot | None) -> bytes:
    """The OpenAPI 3.1 document of a server whose first version is `slot`."""
    errors = {code: {"description": told} for code, told in ERRORS.items()}
    not_taken = {"415": {"description": "a content type that is not taken"}}
    name = "model" if slot is None else slot.name
    signature = None if slot is None else signature_of(slot)
    taken = {"schema": _body(signature), **_example(slot, signature)}
    inputs, outputs = ([], []) if slot is None else described(slot)
    predictions = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {}, "explanation": EXPLANATION},
    }
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"enum": [i["name"] for i in inputs]} if inputs else TEXT,
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "datatype": {"enum": sorted({i["datatype"] for i in inputs})} if inputs else TEXT,
            "data": {"type": "array"},
        },
    }
    infer = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": TEXT,
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {"type": "array", "items": {"type": "object", "required": ["name"],
                        "properties": {"name": {"enum": [o["name"] for o in outputs] or ["predict"]}}}},
        },
    }  # fmt: skip
    told = {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": "" if slot is None else slot.version,
            "x-server": "jupyter-mlops " + metadata.version("jupyter-mlops"),
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic", "description": "any name, the token as password"},
            }
        },
        "security": [{"token": []}, {"password": []}],
        "paths": {
            "/invocations": {
                "post": {
                    "summary": "Predict, in MLflow's format",
                    "parameters": [EXPLAIN],
                    "requestBody": {"required": True, "content": {"application/json": taken}},
                    "responses": {"200": _answered(predictions), **errors, **not_taken},
                }
            },
            f"/v2/models/{name}/infer": {
                "post": {
                    "summary": "Predict, in the Open Inference Protocol",
                    "requestBody": {"required": True, "content": {"application/json": {"schema": infer}}},
                    "responses": {
                        "200": _answered({"type": "object", "required": ["model_name", "outputs"]}),
                        **errors,
                    },
                }
            },
            f"/v2/models/{name}": _get("What the model takes", {"type": "object"}),
            f"/v2/models/{name}/ready": _get("Whether the model is ready", {"type": "object"}),
            "/v2": _get("What the server is", {"type": "object"}),
            "/v2/health/live": _get("Whether the server lives", {"type": "object"}, secured=False),
            "/v2/health/ready": _get("Whether the server is ready", {"type": "object"}, secured=False),
            "/ping": _get("Whether a model is ready", None, secured=False),
            "/health": _get("Whether a model is ready", None, secured=False),
            "/version": _get("MLflow's version", None),
        },
    }
    return orjson.dumps(told)


def _example(slot: Slot | None, signature: Signature | None) -> dict[str, Any]:
    """One row that the model takes, out of its stored example, in the form that the page asks in; nothing where there is none."""
    stored = None if slot is None or slot.files is None else slot.files.example()
    if stored is None:
        return {}
    told = orjson.loads(stored[0])
    split = told.get("dataframe_split")
    if signature is not None and signature.named and isinstance(split, dict) and split.get("data"):
        return {"example": {"dataframe_records": [dict(zip(split["columns"], split["data"][0], strict=True))]}}
    if isinstance(told.get("inputs"), list):
        return {"example": {"inputs": told["inputs"][:1]}}
    return {}


def _get(summary: str, schema: dict[str, Any] | None, *, secured: bool = True) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "so it is"} if schema is None else _answered(schema)}
    if secured:
        answers["401"] = {"description": ERRORS["401"]}
    told: dict[str, Any] = {"summary": summary, "responses": answers}
    return {"get": told if secured else told | {"security": []}}


def _answered(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "answered", "content": {"application/json": {"schema": schema}}}


def _body(signature: Signature | None) -> dict[str, Any]:
    params = {"type": "object", "properties": {"predict_method": {"enum": ["predict", "predict_proba"]}}}
    if signature is None or (signature.tensor is None and not signature.named):
        return _one_of({form: {} for form in ("dataframe_split", "dataframe_records", "instances", "inputs")}, params)
    if signature.tensor is not None:
        row: dict[str, Any] = {"type": "number" if "float" in signature.tensor.dtype else "integer"}
        for size in reversed(signature.tensor.shape):
            row = {
                "type": "array",
                "items": row,
                **({"minItems": size, "maxItems": size} if size >= 0 else {"minItems": 1}),
            }
        return _one_of({"inputs": row, "instances": row}, params)
    names = [column.name for column in signature.columns]
    record = {
        "type": "object",
        "required": [column.name for column in signature.columns if column.required],
        "properties": {column.name: KINDS[column.type] for column in signature.columns},
    }
    records = {"type": "array", "items": record, "minItems": 1}
    cells = {
        "type": "array",
        "prefixItems": [KINDS[c.type] for c in signature.columns],
        "minItems": len(names),
        "maxItems": len(names),
    }
    split = {
        "type": "object",
        "required": ["columns", "data"],
        "properties": {"columns": {"const": names}, "data": {"type": "array", "items": cells, "minItems": 1}},
        "additionalProperties": False,
    }
    return _one_of({"dataframe_split": split, "dataframe_records": records, "inputs": records}, params)


def _one_of(forms: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    return {
        "oneOf": [
            {
                "type": "object",
                "required": [form],
                "properties": {form: schema, "params": params},
                "additionalProperties": False,
            }
            for form, schema in forms.items()
        ]
    }


def page() -> bytes:
    """The page to try a model on: it stands alone, and asks for the token."""
    return (resources.files(__package__) / "try.html").read_bytes()
