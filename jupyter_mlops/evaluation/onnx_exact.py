"""ONNX exact: trees and weighted sums as ONNX that compares and adds in 64 bits, as the library that fitted them does.

Converters round thresholds and leaves to 32 bits, which moves rows that lie on one and breaks ties otherwise. What is
used here instead is the form that the serving stage compiles models into, behind the hook ``final``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument

__all__ = ["with_final"]

LINKS = ("share", "sigmoid", "softmax", "identity", "exp", "none")
OPSETS = {"": 15, "ai.onnx.ml": 5}


def with_final(before: Any, inputs: list[Any], final: Any, forest: Any, classes: list[Any]) -> Any:
    """The preparation's ONNX model with the last step added.

    Parameters
    ----------
    before
        An ONNX model whose one output are the features; None where the one input is.
    inputs
        The inputs' descriptions, where there is no `before`.
    final, forest
        As `serving.compiled.finals.final_of` gives them.

    Raises
    ------
    InvalidArgument
        Its sums become predictions in a way that is not written here.
    """
    from onnx import TensorProto, compose, helper, numpy_helper

    if final.link not in LINKS:
        raise InvalidArgument(f"the link {final.link!r} has no 64-bit form.")
    if before is not None:  # what is added here has names of its own
        before = compose.add_prefix(before, "mlops_before_", rename_inputs=False)
    made = _Nodes(before.graph.output[0].name if before is not None else inputs[0].name)
    if final.single:
        made.add("Cast", to=TensorProto.FLOAT)
    made.add("Cast", to=TensorProto.DOUBLE)
    constants = [("mlops_base", np.asarray(final.base if final.base.size else [0.0], dtype=np.float64))]
    if forest is not None and forest.trees:
        tree = _tree_node(forest.onnx(), made)
        made.nodes.append(tree)
        made.now = tree.output[0]
        made.add("Add", "mlops_base")
        constants.append(("mlops_divide", np.asarray([final.divide], dtype=np.float64)))
        made.add("Div", "mlops_divide")
    elif forest is None:
        constants[0] = ("mlops_base", np.asarray(final.bias, dtype=np.float64))
        constants.append(("mlops_weights", np.asarray(final.weights, dtype=np.float64)))
        made.add("MatMul", "mlops_weights")
        made.add("Add", "mlops_base")
    else:
        raise InvalidArgument("every tree is a single leaf.")
    outputs = _head(made, final, classes, constants)
    nodes = [*(before.graph.node if before is not None else ()), *made.nodes]
    held = [*(before.graph.initializer if before is not None else ())]
    held += [numpy_helper.from_array(value, name) for name, value in constants]
    graph = helper.make_graph(
        nodes, "model", list(before.graph.input) if before is not None else inputs, outputs, initializer=held
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*o) for o in OPSETS.items()], ir_version=9)


class _Nodes:
    """Nodes one after another."""

    def __init__(self, start: str) -> None:
        self.now = start
        self.nodes: list[Any] = []

    def add(self, kind: str, *others: str, **attributes: Any) -> str:
        """Add a node that takes what is there now, and others; give the name of what it makes."""
        from onnx import helper

        name = f"mlops_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.now, *others], [name], **attributes))
        self.now = name
        return name


def _tree_node(model: bytes, made: _Nodes) -> Any:
    import onnx

    (node,) = onnx.load_from_string(model).graph.node
    del node.input[:], node.output[:]
    node.input.append(made.now)
    node.output.append("mlops_sums")
    return node


def _head(made: _Nodes, final: Any, classes: list[Any], constants: list[tuple[str, Any]]) -> list[Any]:
    """From sums to labels and probabilities, or to numbers."""
    from onnx import TensorProto, helper

    number = TensorProto.DOUBLE
    if not classes:
        if final.link == "exp":
            made.add("Exp")
        made.nodes.append(helper.make_node("Identity", [made.now], ["variable"]))
        return [helper.make_tensor_value_info("variable", number, [None, 1])]
    sums = made.now
    single = (final.weights.shape[1] if final.weights.size else len(final.base)) == 1
    if final.link in ("sigmoid", "softmax"):
        made.add("Sigmoid") if final.link == "sigmoid" else made.add("Softmax", axis=1)
    positive = made.now
    if single:
        constants += [("mlops_one", np.asarray([1.0])), ("mlops_above", np.asarray([final.above], dtype=np.float64))]
        made.nodes.append(helper.make_node("Sub", ["mlops_one", positive], ["mlops_negative"]))
        made.nodes.append(helper.make_node("Concat", ["mlops_negative", positive], ["probabilities"], axis=1))
        made.now = sums
        made.add("Greater", "mlops_above")
        made.add("Cast", to=TensorProto.INT64)
        constants.append(("mlops_flat", np.asarray([-1], dtype=np.int64)))
        made.add("Reshape", "mlops_flat")
    else:
        made.nodes.append(helper.make_node("Identity", [positive], ["probabilities"]))
        made.now = sums
        made.add("ArgMax", axis=1, keepdims=0)
    texts = not all(isinstance(label, (int, np.integer)) for label in classes)
    names = np.asarray([str(c) for c in classes], dtype=object) if texts else np.asarray(classes, dtype=np.int64)
    constants.append(("mlops_labels", names))
    made.nodes.append(helper.make_node("Gather", ["mlops_labels", made.now], ["label"], axis=0))
    kind = TensorProto.STRING if texts else TensorProto.INT64
    return [
        helper.make_tensor_value_info("label", kind, [None]),
        helper.make_tensor_value_info("probabilities", number, [None, len(classes)]),
    ]
