"""Trees: ensembles of scikit-learn, XGBoost and LightGBM as one ONNX operator that compares and adds in float64.

Converters turn thresholds into float32, which moves rows that lie on one. The operator ``TreeEnsemble`` of ai.onnx.ml 5
keeps them as they are: a row takes the same way through every tree as it does in the library that grew it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .encode import NotCompilable

__all__ = ["LESS", "LESS_OR_EQUAL", "Forest", "Tree", "of_histogram", "of_lightgbm", "of_tree", "of_xgboost"]

Array = np.ndarray[Any, Any]

LESS_OR_EQUAL, LESS = 0, 1
BRANCH_MODES = {LESS_OR_EQUAL: 0, LESS: 1}  # as the operator numbers them


@dataclass(frozen=True)
class Tree:
    """One tree as arrays, a value a node; root first.

    Parameters
    ----------
    left, right
        The nodes below; `left` is below 0 for a leaf.
    missing_left
        Whether a missing value goes to the left.
    value
        What a leaf adds.
    target
        To which sum.
    """

    left: Array
    right: Array
    feature: Array
    split: Array
    missing_left: Array
    value: Array
    target: int

    @property
    def leaf(self) -> Array:
        """Whether a node is one."""
        return np.asarray(self.left < 0)


@dataclass
class Forest:
    """Trees being put together.

    Parameters
    ----------
    features
        How many the trees look at.
    targets
        How many sums there are; a leaf adds to one.
    mode
        How a node compares; true leads to the left.
    base
        What the trees that are a single leaf add.
    """

    features: int
    targets: int
    mode: int = LESS_OR_EQUAL
    base: list[float] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.base = self.base or [0.0] * self.targets

    def add(
        self,
        left: Any,
        right: Any,
        feature: Any,
        split: Any,
        missing_left: Any,
        value: Any,
        target: int,
    ) -> None:
        """Add a tree given by its nodes: root first, ``left`` below 0 for a leaf."""
        if left[0] < 0:
            self.base[target] += float(value[0])
            return
        left, right, feature = (np.asarray(numbers, dtype=np.int64) for numbers in (left, right, feature))
        split, value = np.asarray(split, dtype=np.float64), np.asarray(value, dtype=np.float64)
        self.trees.append(Tree(left, right, feature, split, np.asarray(missing_left, dtype=bool), value, target))

    @property
    def nodes(self) -> int:
        """How many nodes all trees have."""
        return sum(len(tree.left) for tree in self.trees)

    def splits(self) -> dict[int, list[float]]:
        """The thresholds of each feature, in no order."""
        if not self.trees:
            return {}
        feature = np.concatenate([tree.feature[~tree.leaf] for tree in self.trees])
        split = np.concatenate([tree.split[~tree.leaf] for tree in self.trees])
        order = np.argsort(feature, kind="stable")
        features, first = np.unique(feature[order], return_index=True)
        parts = np.split(split[order], first[1:])
        return {int(number): part.tolist() for number, part in zip(features, parts, strict=True)}

    def onnx(self) -> bytes:
        """The model, with one input ``x`` and one output, both float64; empty where every tree is a single leaf."""
        if not self.trees:
            return b""
        from onnx import TensorProto, helper, numpy_helper

        parts: dict[str, list[Array]] = {}
        roots, inner_before, leaves_before = [], 0, 0
        for tree in self.trees:
            leaf = tree.leaf
            inner = ~leaf
            place = np.where(leaf, leaves_before + np.cumsum(leaf), inner_before + np.cumsum(inner)) - 1
            for name, values in (
                ("nodes_featureids", tree.feature[inner]),
                ("nodes_truenodeids", place[tree.left[inner]]),
                ("nodes_falsenodeids", place[tree.right[inner]]),
                ("nodes_trueleafs", leaf[tree.left[inner]].astype(int)),
                ("nodes_falseleafs", leaf[tree.right[inner]].astype(int)),
                ("nodes_missing_value_tracks_true", tree.missing_left[inner].astype(int)),
                ("leaf_targetids", np.full(int(leaf.sum()), tree.target)),
                ("nodes_splits", tree.split[inner]),
                ("leaf_weights", tree.value[leaf]),
            ):
                parts.setdefault(name, []).append(values)
            roots.append(inner_before)
            inner_before, leaves_before = inner_before + int(inner.sum()), leaves_before + int(leaf.sum())
        whole = {name: np.concatenate(values) for name, values in parts.items()}
        floats = {name: whole.pop(name) for name in ("nodes_splits", "leaf_weights")}
        node = helper.make_node(
            "TreeEnsemble",
            ["x"],
            ["sums"],
            domain="ai.onnx.ml",
            n_targets=self.targets,
            aggregate_function=1,
            post_transform=0,
            tree_roots=roots,
            **{name: values.tolist() for name, values in whole.items()},
        )
        modes = np.full(inner_before, BRANCH_MODES[self.mode], dtype=np.uint8)
        for name, values in (*floats.items(), ("nodes_modes", modes)):
            node.attribute.append(helper.make_attribute(name, numpy_helper.from_array(values)))
        graph = helper.make_graph(
            [node],
            "trees",
            [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, self.features])],
            [helper.make_tensor_value_info("sums", TensorProto.DOUBLE, [None, self.targets])],
        )
        opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 5)]
        made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
        return made


def of_tree(forest: Forest, tree: Any, values: Any, target: int) -> None:
    """Add a ``sklearn.tree`` tree (its ``tree_``) with a value a node."""
    missing = getattr(tree, "missing_go_to_left", None)
    if missing is None:
        missing = np.zeros(tree.node_count, dtype=bool)
    forest.add(tree.children_left, tree.children_right, tree.feature, tree.threshold, missing, values, target)


def of_histogram(forest: Forest, nodes: Any, target: int) -> None:
    """Add a tree of scikit-learn's histogram gradient boosting."""
    if nodes["is_categorical"].any():
        raise NotCompilable("histogram gradient boosting splits by category")
    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, -1, nodes["left"].astype(np.int64))
    forest.add(
        left,
        nodes["right"].astype(np.int64),
        nodes["feature_idx"],
        nodes["num_threshold"],
        nodes["missing_go_to_left"],
        nodes["value"],
        target,
    )


def of_xgboost(booster: Any) -> tuple[Forest, str, int]:
    """The trees of an XGBoost booster, its objective, and its number of classes (0 for none)."""
    told = json.loads(bytes(booster.save_raw("json")))["learner"]
    if told["gradient_booster"]["name"] != "gbtree":
        raise NotCompilable(f"XGBoost's {told['gradient_booster']['name']} has no compiled form")
    objective = told["objective"]["name"]
    classes = int(told["learner_model_param"]["num_class"])
    model = told["gradient_booster"]["model"]
    shape = told["learner_model_param"]
    if int(shape.get("num_target", "1")) > 1:
        raise NotCompilable("XGBoost with several targets has no compiled form")
    score = np.atleast_1d(np.asarray(json.loads(shape["base_score"]), dtype=np.float64))
    if objective == "binary:logistic":
        score = np.log(score / (1 - score))
    targets = max(1, classes)
    forest = Forest(int(shape["num_feature"]), targets, LESS, [float(s) for s in np.resize(score, targets)])
    for tree, target in zip(model["trees"], model["tree_info"], strict=True):
        if any(tree["split_type"]):
            raise NotCompilable("XGBoost splits by category")
        # the float32 written as the shortest decimal that reads back as it
        split = np.asarray(tree["split_conditions"], dtype=np.float32).astype(np.float64)
        forest.add(
            tree["left_children"],
            tree["right_children"],
            tree["split_indices"],
            split,
            tree["default_left"],
            split,
            target,
        )
    return forest, objective, classes


def of_lightgbm(booster: Any) -> tuple[Forest, str, int]:
    """The trees of a LightGBM booster, its objective, and how many trees an iteration has."""
    told = booster.dump_model()
    if told.get("average_output"):
        raise NotCompilable("LightGBM's random forest has no compiled form")
    targets = int(told["num_tree_per_iteration"])
    forest = Forest(int(told["max_feature_idx"]) + 1, targets, LESS_OR_EQUAL)
    best = booster.best_iteration
    trees = told["tree_info"][: best * targets] if best and best > 0 else told["tree_info"]
    for number, tree in enumerate(trees):
        _add_lightgbm(forest, tree["tree_structure"], number % targets)
    return forest, str(told["objective"]), targets


def _add_lightgbm(forest: Forest, root: dict[str, Any], target: int) -> None:
    nodes: list[dict[str, Any]] = [root]
    left, right = [], []
    at = 0
    while at < len(nodes):
        node = nodes[at]
        at += 1
        if "split_feature" not in node:
            left.append(-1)
            right.append(-1)
            continue
        if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
            raise NotCompilable("LightGBM splits by category, or takes 0 for missing")
        left.append(len(nodes))
        right.append(len(nodes) + 1)
        nodes += [node["left_child"], node["right_child"]]
    forest.add(
        left,
        right,
        [node.get("split_feature", 0) for node in nodes],
        [node.get("threshold", 0.0) for node in nodes],
        # without missing values in training, LightGBM takes one for 0
        [n.get("default_left", False) if n.get("missing_type") == "NaN" else n.get("threshold", 0) >= 0 for n in nodes],
        [node.get("leaf_value", 0.0) for node in nodes],
        target,
    )
