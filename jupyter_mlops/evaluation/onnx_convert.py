"""ONNX convert: scikit-learn's steps as ONNX nodes by skl2onnx, mended where its own form cannot be run or does not keep the names.

skl2onnx writes columns under names without blanks, takes one matrix for most models, and has the imputer in 32 bits
alone. Here a file's inputs are called as the table's columns are, columns are put side by side for a model that takes a
matrix, and imputed values keep their 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["converted", "last_step", "side_by_side"]


def last_step(estimator: Any) -> Any:
    """The model at the end of a pipeline, or the estimator itself."""
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def side_by_side(estimator: Any, types: list[Any]) -> Any:
    """A model for one matrix as one for as many columns: a step before it that changes nothing puts them side by side.

    Most converters take one matrix alone; a `ColumnTransformer` takes the columns by their names.
    """
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    steps = list(getattr(estimator, "steps", [("model", estimator)]))
    texts = any(type(kind).__name__ == "StringTensorType" for _, kind in types)
    if len(types) < 2 or texts or isinstance(steps[0][1], ColumnTransformer):
        return estimator
    names = [name for name, _ in types]
    beside = FunctionTransformer(feature_names_out="one-to-one")
    beside.fit(pd.DataFrame([[0.0] * len(names)], columns=names))
    return Pipeline([("mlops_columns", beside), *steps])


def converted(estimator: Any, types: list[Any], opset: dict[str, int], *, classifier: bool = False) -> Any:
    """An estimator as skl2onnx writes it, with inputs called as `types` calls them.

    Raises
    ------
    Exception
        Whatever skl2onnx raises for what it knows no form of.
    """
    from skl2onnx import convert_sklearn
    from sklearn.impute import SimpleImputer

    made = convert_sklearn(
        estimator,
        initial_types=types,
        target_opset=opset,
        options={id(last_step(estimator)): {"zipmap": False}} if classifier else None,
        custom_conversion_functions={SimpleImputer: _imputer},
        custom_shape_calculators={SimpleImputer: _imputer_shape},
    )
    renamed = {given.name: f"mlops column {i}" for i, given in enumerate(made.graph.input)}
    _rename(made.graph, renamed)  # in two steps: a new name may be another's old one
    _rename(made.graph, {f"mlops column {i}": str(name) for i, (name, _) in enumerate(types)})
    return made


def _rename(graph: Any, names: dict[str, str]) -> None:
    for given in graph.input:
        given.name = names.get(given.name, given.name)
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)


def _imputer_shape(operator: Any) -> None:
    """As many columns as it was fitted on, of the kind that it takes."""
    kind = type(operator.inputs[0].type)
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = kind([rows, len(operator.raw_operator.statistics_)])


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    """A missing number is NaN and a missing text is empty; both give way to what was fitted, in its full width."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import StringTensorType, guess_proto_type

    step = operator.raw_operator
    fill = np.asarray(step.statistics_, dtype=object)
    if step.add_indicator or any(value is None or value != value for value in fill):  # noqa: PLR0124 NaN alone differs from itself
        raise NotImplementedError("an imputer that adds or leaves out columns")
    missing = step.missing_values
    plain = missing is None or missing != missing  # noqa: PLR0124
    names = [each.full_name for each in operator.inputs]
    given = names[0]
    if len(names) > 1:
        given = scope.get_unique_variable_name("beside")
        container.add_node("Concat", names, given, name=scope.get_unique_operator_name("Concat"), axis=1)
    kept, held = scope.get_unique_variable_name("fill"), scope.get_unique_variable_name("missing")
    if isinstance(operator.inputs[0].type, StringTensorType):
        marked = scope.get_unique_variable_name("marked")
        container.add_node(
            "LabelEncoder",
            given,
            marked,
            name=scope.get_unique_operator_name("LabelEncoder"),
            op_domain="ai.onnx.ml",
            op_version=2,
            keys_strings=["" if plain else str(missing)],
            values_int64s=[1],
            default_int64=0,
        )
        container.add_node("Cast", marked, held, name=scope.get_unique_operator_name("Cast"), to=TensorProto.BOOL)
        words = [str(value).encode() for value in fill]
        container.add_initializer(kept, TensorProto.STRING, [1, len(fill)], words)
    else:
        kind = guess_proto_type(operator.inputs[0].type)
        container.add_initializer(kept, kind, [1, len(fill)], [float(value) for value in fill])
        if plain:
            container.add_node("IsNaN", given, held, name=scope.get_unique_operator_name("IsNaN"))
        else:
            mark = scope.get_unique_variable_name("mark")
            container.add_initializer(mark, kind, [1, 1], [float(missing)])
            container.add_node("Equal", [given, mark], held, name=scope.get_unique_operator_name("Equal"))
    where = scope.get_unique_operator_name("Where")
    container.add_node("Where", [held, kept, given], operator.outputs[0].full_name, name=where)
