"""A model's input example: a few rows of its training data, as MLflow stores them and as its scoring server takes them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

__all__ = ["hidden_example", "write_example"]


def write_example(head: Any, folder: Path) -> dict[str, Any]:
    """The first rows as MLflow stores an example, and as its scoring server takes them; missing values as null."""
    import pandas as pd

    info: dict[str, Any] = {"artifact_path": "input_example.json", "serving_input_path": "serving_input_example.json"}
    if isinstance(head, pd.DataFrame):
        data: dict[str, Any] = {"columns": [_json(name) for name in head.columns]}
        data["data"] = [[_json(value) for value in row] for row in head.astype(object).to_numpy().tolist()]
        if data["columns"] == list(range(len(data["columns"]))):
            del data["columns"]
        info |= {"type": "dataframe", "pandas_orient": "split" if "columns" in data else "values"}
        example, serving = data, {"dataframe_split": data}
    elif hasattr(head, "tocsr"):
        sparse = head if head.format in ("csr", "csc") else head.tocsr()
        example = {
            "data": _json(sparse.data),
            "indices": _json(sparse.indices),
            "indptr": _json(sparse.indptr),
            "shape": list(sparse.shape),
        }
        info["type"] = f"sparse_matrix_{sparse.format}"
        serving = {"inputs": _json(sparse.toarray())}
    else:
        example = _json(head.to_numpy() if isinstance(head, pd.Series) else head)
        info["type"] = "ndarray"
        serving = {"inputs": example}
    (folder / info["artifact_path"]).write_text(json.dumps(example))
    (folder / info["serving_input_path"]).write_text(json.dumps(serving))
    return info


def hidden_example(model: Any, head: Any, hidden: Any, folder: Path, notes: list[str]) -> dict[str, Any]:
    """As `write_example` with personal columns masked; nothing where the model does not take them like that.

    Parameters
    ----------
    hidden
        A `datasets.personal.training.PersonalColumns`.
    notes
        Gets a line that names the columns.
    """
    masked = hidden.masked(head)
    names = ", ".join(f"{name} ({kind.replace('_', ' ')})" for name, kind in hidden.kinds.items())
    try:
        if hasattr(model, "predict"):
            model.predict(masked)
    except Exception:  # a category that it was not fitted with, say
        notes.append(f"personal data: {names}: left out of the example, which is not stored, and of the profile.")
        return {}
    notes.append(f"personal data: {names}: masked in the example, left out of the profile.")
    return write_example(masked, folder)


def _json(value: Any) -> Any:
    import pandas as pd

    if hasattr(value, "tolist") and hasattr(value, "ndim") and value.ndim:
        return [_json(item) for item in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if hasattr(value, "item"):
        value = value.item()
    if value is None or pd.isna(value) or value in (float("inf"), float("-inf")):
        return None
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, (str, int, float, bool)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
