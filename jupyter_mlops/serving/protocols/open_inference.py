"""Open Inference Protocol v2 over REST, with Triton's binary extension.

``/v2``, ``/v2/health/live|ready``, ``/v2/models/NAME[/versions/N]``, ``.../ready`` and ``.../infer``. Without a version the
router chooses one, as for ``/invocations``. Outputs: ``predict``, and ``predict_proba`` where it is asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from ..model import Answer, Ask
from ..request import loads
from ..request_ids import request_id
from ..routing import Slot
from .tensors import BadTensor, Output, TensorValue, described, flat, outputs_of, question, read_binary, to_binary

if TYPE_CHECKING:
    from ..app import App, Headers, Request

__all__ = ["METHODS", "NAME", "Refusal", "error_of", "infer", "respond", "told_of", "version_of"]

NAME = "jupyter-mlops"
METHODS = ("predict", "predict_proba")
HEADER_LENGTH = b"inference-header-content-length"
Response = tuple[Answer, "Headers"]


class Refusal(Exception):
    """A request that is refused with a status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def respond(app: App, method: str, request: Request) -> Response:
    """Answer any request below ``/v2``."""
    try:
        return await _respond(app, method, request)
    except Refusal as refused:
        return _error(refused.status, str(refused)), []
    except BadTensor as bad:
        return _error(400, str(bad)), []


async def _respond(app: App, method: str, request: Request) -> Response:
    parts = request.path.strip("/").split("/")[1:]
    slots = app.router.slots()
    verb = "POST" if parts[-1:] == ["infer"] else "GET"
    if method != verb:
        raise Refusal(405, f"{request.path} takes {verb}, not {method}.")
    if not parts:
        return _json(
            {
                "name": NAME,
                "version": metadata.version(NAME),
                "extensions": ["binary_tensor_data"],
            }
        ), []
    if parts == ["health", "live"]:
        return _json({"live": True}), []
    if parts == ["health", "ready"]:
        ready = bool(slots) and any(slot.ready for slot in slots)
        return _json({"ready": ready}, 200 if ready else 503), []
    if parts[0] != "models" or len(parts) < 2:
        raise Refusal(404, f"no route {request.path}.")
    slot, version, rest = _model(slots, parts[1:])
    if not rest:
        inputs, outputs = described(slot)
        names = [s.version for s in slots if s.name == slot.name]
        return _json(
            {"name": slot.name, "versions": names, "platform": "mlflow", "inputs": inputs, "outputs": outputs}
        ), []
    if rest == ["ready"]:
        return _json({"name": slot.name, "ready": slot.ready}, 200 if slot.ready else 503), []
    if rest != ["infer"]:
        raise Refusal(404, f"no route {request.path}.")
    body = await app.body(request)
    if isinstance(body, Answer):
        return error_of(body), app.after_refused_body(request)
    return await _infer(app, request, slot, version, body)


def _model(slots: Sequence[Slot], parts: list[str]) -> tuple[Slot, str, list[str]]:
    """The version that a path names, the version's number if it names one, and what follows."""
    if parts[1:2] != ["versions"]:
        return version_of(slots, parts[0]), "", parts[1:]
    wanted = parts[2] if len(parts) > 2 else ""
    if not wanted:
        raise Refusal(404, "no version is named after 'versions'.")
    return version_of(slots, parts[0], wanted), wanted, parts[3:]


def version_of(slots: Sequence[Slot], name: str, version: str = "") -> Slot:
    """The loaded version of that name and number; without a number the first of that name.

    Raises
    ------
    Refusal
        There is none.
    """
    named = [slot for slot in slots if slot.name == name]
    if not named:
        there = ", ".join(dict.fromkeys(slot.name for slot in slots)) or "none"
        raise Refusal(404, f"no model {name!r}; there is: {there}.")
    found = [slot for slot in named if version in ("", slot.version)]
    if not found:
        there = ", ".join(slot.version for slot in named)
        raise Refusal(404, f"no version {version!r} of {name}; there is: {there}.")
    return found[0]


async def _infer(app: App, request: Request, slot: Slot, version: str, body: bytes) -> Response:
    told, tensors = _read(request, body)
    given_id = told.get("id")
    if given_id is not None and not isinstance(given_id, str):
        raise BadTensor("'id' must be text.")
    wanted = told.get("outputs") or []
    if not isinstance(wanted, list) or not all(isinstance(w, dict) and isinstance(w.get("name"), str) for w in wanted):
        raise BadTensor("'outputs' must be a list of objects with a name.")
    names = [w["name"] for w in wanted]
    outputs, headers, answered = await infer(app, request, slot, version, tensors, names, given_id or "")
    if isinstance(outputs, Answer):
        return error_of(outputs), headers
    binary_all = bool(_parameters(told).get("binary_data_output"))
    binary = {w["name"] for w in wanted if _parameters(w).get("binary_data", binary_all)}
    head: dict[str, Any] = {"model_name": answered.name, "model_version": answered.version}
    if given_id is not None:
        head["id"] = given_id
    listed, tail = [], []
    for output in outputs:
        one: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
        if output.name in binary or (binary_all and output.name not in names):
            raw = to_binary(output)
            one["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        else:
            finite = output.datatype != "FP64" or all(math.isfinite(v) for v in output.data)
            one["data"] = output.data if finite else [v if math.isfinite(v) else None for v in output.data]
        listed.append(one)
    head["outputs"] = listed
    encoded = orjson.dumps(head)
    if not tail:
        return Answer(200, encoded), headers
    length = [(HEADER_LENGTH, b"%d" % len(encoded))]
    return Answer(200, b"".join([encoded, *tail]), "application/octet-stream"), [*headers, *length]


async def infer(
    app: App,
    request: Request,
    slot: Slot,
    version: str,
    tensors: Sequence[TensorValue],
    names: list[str],
    given_id: str,
) -> tuple[list[Output] | Answer, Headers, Slot]:
    """Predict for tensors; over REST and gRPC alike.

    Parameters
    ----------
    version
        The version that must answer; empty where the router chooses.
    names
        The outputs that are asked for; none for ``predict``.

    Returns
    -------
    tuple
        The outputs, or the answer that refuses them; the headers to send; the version that answered.

    Raises
    ------
    BadTensor
        The tensors do not fit the model.
    """
    strange = [name for name in names if name not in METHODS]
    if strange:
        raise BadTensor(f"no output {strange[0]!r}; there is: {', '.join(METHODS)}.")
    asked = names or ["predict"]
    ask = question(slot, tensors, "predict" if "predict" in asked else asked[0])
    request = replace(
        request, id=request_id({b"x-request-id": given_id.encode("latin-1", "ignore")}) if given_id else request.id
    )
    answer, route = await app.predict(request, ask, slot=slot if version else None)
    headers = app.answer_headers(request, answer, route)
    if answer.status != 200 or route is None:
        return answer, headers, slot
    outputs = outputs_of(ask.method, answer)
    if len(asked) > 1 and "predict_proba" in asked:
        shares = await _shares(app, route.slot, ask, answer)
        if isinstance(shares, Answer):
            return shares, headers, slot
        outputs += shares
    order = {name: at for at, name in enumerate(asked)}
    return sorted(outputs, key=lambda output: order.get(output.name, 0)), headers, route.slot


async def _shares(app: App, slot: Slot, ask: Ask, answer: Answer) -> list[Output] | Answer:
    """The probabilities that belong to an answer: its own, or asked for once more."""
    if answer.probabilities:
        data = np.frombuffer(answer.probabilities, dtype="<f8")
        return [Output("predict_proba", "FP64", (answer.rows, len(data) // max(1, answer.rows)), data.tolist())]
    again = await app.ask(slot, Ask(ask.body, ask.content_type, "predict_proba"))
    return outputs_of("predict_proba", again) if again.status == 200 else again


def _read(request: Request, body: bytes) -> tuple[dict[str, Any], list[TensorValue]]:
    length = request.headers.get(HEADER_LENGTH)
    if length is not None and (not length.isdigit() or int(length) > len(body)):
        raise BadTensor("Inference-Header-Content-Length is not the length of the JSON part.")
    at = len(body) if length is None else int(length)
    try:
        told = loads(body[:at])
    except (ValueError, RecursionError) as error:
        raise BadTensor(f"the request is no JSON: {error}.") from error
    if not isinstance(told, dict):
        raise BadTensor("the request must be an object.")
    inputs = told.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise BadTensor("the request has no inputs.")
    tensors = []
    for given in inputs:
        tensor, at = _tensor(given, body, at)
        tensors.append(tensor)
    if at != len(body):
        raise BadTensor(f"{len(body) - at} bytes follow that belong to no input.")
    return told, tensors


def _tensor(given: Any, body: bytes, at: int) -> tuple[TensorValue, int]:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise BadTensor("every input must be an object with a name.")
    name, shape, datatype = given["name"], given.get("shape"), given.get("datatype")
    if not isinstance(shape, list) or not all(isinstance(s, int) and not isinstance(s, bool) for s in shape):
        raise BadTensor(f"input {name!r} has no shape.")
    if not isinstance(datatype, str):
        raise BadTensor(f"input {name!r} has no datatype.")
    size = _parameters(given).get("binary_data_size")
    if size is None:
        return TensorValue(name, tuple(shape), datatype, flat(given.get("data"))), at
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or at + size > len(body):
        raise BadTensor(f"the binary data of input {name!r} is not there.")
    data = read_binary(name, datatype, shape, body[at : at + size])
    return TensorValue(name, tuple(shape), datatype, data), at + size


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    found = given.get("parameters")
    return found if isinstance(found, dict) else {}


def _json(data: Any, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(data))


def _error(status: int, message: str) -> Answer:
    return Answer(status, orjson.dumps({"error": message}))


def error_of(answer: Answer) -> Answer:
    """An error of ours as the protocol writes it."""
    return _error(answer.status, told_of(answer))


def told_of(answer: Answer) -> str:
    """What an answer that refuses says."""
    try:
        return str(json.loads(answer.body)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.body.decode(errors="replace")
