"""Messages: the Open Inference Protocol's Protocol Buffers, made where they are needed from what `PROTOCOL` says of them.

Names, numbers and types are those of ``grpc_predict_v2.proto``; code that ``protoc`` generates is tied to versions of
protobuf and grpcio, this is not. They live in a pool of their own, so they stand beside a client's in one process.
"""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["PROTOCOL", "SERVICE", "messages"]

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

PARAMETERS = "map<string, InferParameter> parameters"
PROTOCOL: dict[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live = 1",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready = 1",),
    "ModelReadyRequest": ("string name = 1", "string version = 2"),
    "ModelReadyResponse": ("bool ready = 1",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("string name = 1", "string version = 2", "repeated string extensions = 3"),
    "ModelMetadataRequest": ("string name = 1", "string version = 2"),
    "TensorMetadata": ("string name = 1", "string datatype = 2", "repeated int64 shape = 3"),
    "ModelMetadataResponse": (
        "string name = 1", "repeated string versions = 2", "string platform = 3",
        "repeated TensorMetadata inputs = 4", "repeated TensorMetadata outputs = 5",
    ),
    "InferParameter": (
        "bool bool_param = 1", "int64 int64_param = 2", "string string_param = 3", "double double_param = 4",
        "uint64 uint64_param = 5",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents = 1", "repeated int32 int_contents = 2", "repeated int64 int64_contents = 3",
        "repeated uint32 uint_contents = 4", "repeated uint64 uint64_contents = 5",
        "repeated float fp32_contents = 6", "repeated double fp64_contents = 7", "repeated bytes bytes_contents = 8",
    ),
    "InferInputTensor": (
        "string name = 1", "string datatype = 2", "repeated int64 shape = 3", f"{PARAMETERS} = 4",
        "InferTensorContents contents = 5",
    ),
    "InferRequestedOutputTensor": ("string name = 1", f"{PARAMETERS} = 2"),
    "ModelInferRequest": (
        "string model_name = 1", "string model_version = 2", "string id = 3", f"{PARAMETERS} = 4",
        "repeated InferInputTensor inputs = 5", "repeated InferRequestedOutputTensor outputs = 6",
        "repeated bytes raw_input_contents = 7",
    ),
    "InferOutputTensor": (
        "string name = 1", "string datatype = 2", "repeated int64 shape = 3", f"{PARAMETERS} = 4",
        "InferTensorContents contents = 5",
    ),
    "ModelInferResponse": (
        "string model_name = 1", "string model_version = 2", "string id = 3", f"{PARAMETERS} = 4",
        "repeated InferOutputTensor outputs = 5", "repeated bytes raw_output_contents = 6",
    ),
}  # fmt: skip
"""Every message and its fields. On the wire a nested message is no other than one that stands alone."""


@cache
def messages() -> dict[str, Any]:
    """The message classes by name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="grpc_predict_v2.proto", package=PACKAGE, syntax="proto3")
    for name, fields in PROTOCOL.items():
        made = file.message_type.add(name=name)
        for told in fields:
            _add_field(made, told)
        if name == "InferParameter":  # one of them is told
            made.oneof_decl.add(name="parameter_choice")
            for field in made.field:
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in PROTOCOL}


def _add_field(message: Any, told: str) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    declared, _, number = told.rpartition(" = ")
    kind, _, name = declared.rpartition(" ")
    repeated = kind.startswith("repeated ")
    kind = kind.removeprefix("repeated ")
    if kind.startswith("map<"):
        key, value = kind[4:-1].split(", ")
        entry = message.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _add_field(entry, f"{key} key = 1")
        _add_field(entry, f"{value} value = 2")
        kind, repeated = f"{message.name}.ParametersEntry", True
    field = message.field.add(name=name, number=int(number))
    field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    if kind[0].isupper():
        field.type, field.type_name = Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = getattr(Field, f"TYPE_{kind.upper()}")
