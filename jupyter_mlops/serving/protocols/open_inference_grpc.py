"""Open Inference Protocol v2 over gRPC: the same models, batches, log, limits and traffic as over HTTP.

The token comes as metadata, ``authorization: Bearer <token>``; ``x-request-id``, ``traceparent`` and the header that makes
the choice of a version sticky come as metadata too, and go back as HTTP's headers do. An HTTP status becomes the code of
`CODES`. Every process of a deployment listens on the port, and the system shares calls out among them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import Conflict, MissingDependency
from ..app import Request
from ..model import Answer
from ..request_ids import request_id, trace_of
from ..routing import Slot
from .messages import SERVICE, messages
from .open_inference import NAME, Refusal, infer, told_of, version_of
from .tensors import BadTensor, Output, TensorValue, described, read_binary, to_binary

if TYPE_CHECKING:
    from ..app import App

__all__ = ["CODES", "GrpcServer"]

log = logging.getLogger("jupyter_mlops.serving")

CODES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 413: "RESOURCE_EXHAUSTED", 415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
FIELDS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
"""In which field the contents of each datatype come; FP16 comes raw only."""
OPEN = ("ServerLive", "ServerReady")  # without a token, as their like over HTTP
RETRY = (("retry-after", "1"), ("grpc-retry-pushback-ms", "1000"))

Context = Any


class GrpcServer:
    """Listens for calls beside the HTTP server, on the same event loop.

    Parameters
    ----------
    app
        By whose rules, and through which it predicts.
    host, port
        Where to listen, together with the deployment's other processes.
    certificate, key
        PEM files for TLS; empty for none.

    Raises
    ------
    MissingDependency
        grpcio is not installed.
    """

    def __init__(self, app: App, host: str, port: int, certificate: str = "", key: str = "") -> None:
        try:
            import grpc.aio
        except ImportError as error:
            raise MissingDependency.of("grpcio", why="to answer over gRPC", extra="grpc") from error
        self._grpc: Any = grpc
        self._app = app
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._pair: tuple[bytes, bytes] | None = None
        if certificate:
            self._pair = Path(key or certificate).read_bytes(), Path(certificate).read_bytes()
        self._server: Any = None

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        Conflict
            Another program has the port.
        """
        grpc = self._grpc
        calls = {
            name.removesuffix("Request"): grpc.unary_unary_rpc_method_handler(self._handler(name.removesuffix("Request")))
            for name in messages()
            if name.endswith("Request")
        }  # fmt: skip
        options = [
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", self._app.limits.body),
            ("grpc.max_send_message_length", -1),
        ]
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, calls),))
        try:
            if self._pair is not None:
                self._server.add_secure_port(self._address, grpc.ssl_server_credentials([self._pair]))
            else:
                self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise Conflict(
                f"gRPC cannot listen at {self._address}: another program has the port.",
                hint="Choose another with --grpc-port, or leave it out for a free one.",
            ) from error
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Take no more calls, and finish those there are."""
        if self._server is not None:
            await self._server.stop(grace)

    def _handler(self, call: str) -> Callable[[bytes, Context], Awaitable[bytes]]:
        answer: Callable[[Request, Any, Context], Awaitable[Any]] = getattr(self, f"_{call}")
        kind = messages()[f"{call}Request"]

        async def handle(raw: bytes, context: Context) -> bytes:
            sent = reversed(context.invocation_metadata() or ())  # the first of several wins
            headers = {k.encode(): v if isinstance(v, bytes) else v.encode("latin-1", "ignore") for k, v in sent}
            request = Request(f"/{SERVICE}/{call}", b"", headers, request_id(headers), trace_of(headers), _no_body)
            try:
                if call not in OPEN and not self._app.allowed(headers.get(b"authorization", b"")):
                    self._app.router.turned_away(401)
                    raise Refusal(401, "Send the metadata 'authorization: Bearer <the deployment's token>'.")
                try:
                    given = kind.FromString(raw)
                except Exception as error:
                    raise Refusal(400, f"this is no {call}Request: {error}.") from error
                made: bytes = (await answer(request, given, context)).SerializeToString()
                return made
            except BadTensor as bad:
                return await self._abort(context, 400, str(bad))
            except Refusal as refusal:
                return await self._abort(context, refusal.status, str(refusal))
            except self._grpc.aio.AbortError:
                raise
            except Exception as error:
                failed = self._app.failed(error)
                return await self._abort(context, failed.status, told_of(failed))

        return handle

    async def _abort(self, context: Context, status: int, message: str) -> bytes:
        code = getattr(self._grpc.StatusCode, CODES.get(status, "UNKNOWN"))
        await context.abort(code, message, RETRY if status in (429, 503) else ())
        raise AssertionError(status)

    async def _ServerLive(self, request: Request, given: Any, context: Context) -> Any:  # noqa: N802 as the protocol calls it
        return messages()["ServerLiveResponse"](live=True)

    async def _ServerReady(self, request: Request, given: Any, context: Context) -> Any:  # noqa: N802 the same
        return messages()["ServerReadyResponse"](ready=any(slot.ready for slot in self._app.router.slots()))

    async def _ServerMetadata(self, request: Request, given: Any, context: Context) -> Any:  # noqa: N802 the same
        made = messages()["ServerMetadataResponse"]
        return made(name=NAME, version=metadata.version(NAME), extensions=["binary_tensor_data"])

    async def _ModelReady(self, request: Request, given: Any, context: Context) -> Any:  # noqa: N802 the same
        slot = version_of(self._app.router.slots(), given.name, given.version)
        return messages()["ModelReadyResponse"](ready=slot.ready)

    async def _ModelMetadata(self, request: Request, given: Any, context: Context) -> Any:  # noqa: N802 the same
        slots = self._app.router.slots()
        slot = version_of(slots, given.name, given.version)
        inputs, outputs = ([messages()["TensorMetadata"](**tensor) for tensor in some] for some in described(slot))
        return messages()["ModelMetadataResponse"](
            name=slot.name,
            versions=[s.version for s in slots if s.name == slot.name],
            platform="mlflow",
            inputs=inputs,
            outputs=outputs,
        )

    async def _ModelInfer(self, request: Request, given: Any, context: Context) -> Any:  # noqa: N802 the same
        slot = version_of(self._app.router.slots(), given.model_name, given.model_version)
        names = [wanted.name for wanted in given.outputs]
        tensors = _tensors(given)
        outputs, headers, answered = await infer(
            self._app, request, slot, given.model_version, tensors, names, given.id
        )
        sent = [(name.decode(), value.decode("latin-1")) for name, value in headers if name != b"retry-after"]
        if request.trace is not None:
            sent.append(("traceparent", request.trace.decode()))
        await context.send_initial_metadata(tuple(sent))
        if isinstance(outputs, Answer):
            raise Refusal(outputs.status, told_of(outputs))
        return _response(answered, given, outputs)


async def _no_body() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def _tensors(given: Any) -> list[TensorValue]:
    raw: Sequence[bytes] = given.raw_input_contents
    if raw and len(raw) != len(given.inputs):
        raise BadTensor(f"{len(raw)} raw contents come with {len(given.inputs)} inputs.")
    return [_tensor(tensor, raw[number] if raw else None) for number, tensor in enumerate(given.inputs)]


def _tensor(tensor: Any, raw: bytes | None) -> TensorValue:
    shape = tuple(tensor.shape)
    filled = [field.name for field, _ in tensor.contents.ListFields()]
    if raw is not None:
        if filled:
            raise BadTensor(f"input {tensor.name!r} has raw contents and others.")
        return TensorValue(tensor.name, shape, tensor.datatype, read_binary(tensor.name, tensor.datatype, shape, raw))
    field = FIELDS.get(tensor.datatype, "")
    if filled and filled != [field]:
        raise BadTensor(f"input {tensor.name!r} is {tensor.datatype}, and its contents come in {', '.join(filled)}.")
    data: list[Any] = list(getattr(tensor.contents, field)) if field else []
    if field == "bytes_contents":
        try:
            data = [value.decode() for value in data]
        except UnicodeDecodeError as error:
            raise BadTensor(f"input {tensor.name!r} holds bytes that are no UTF-8.") from error
    return TensorValue(tensor.name, shape, tensor.datatype, data)


def _response(slot: Slot, given: Any, outputs: Sequence[Output]) -> Any:
    """Raw, as Triton answers, where the request came raw; else in the field of each output's datatype."""
    raw = bool(given.raw_input_contents)
    response = messages()["ModelInferResponse"](model_name=slot.name, model_version=slot.version, id=given.id)
    for output in outputs:
        told = response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if raw:
            response.raw_output_contents.append(to_binary(output))
            continue
        data = output.data
        if output.datatype == "BYTES":
            data = [str(value).encode() for value in data]
        elif output.datatype == "FP64":
            data = [math.nan if value is None else value for value in data]
        getattr(told.contents, FIELDS[output.datatype]).extend(data)
    return response
