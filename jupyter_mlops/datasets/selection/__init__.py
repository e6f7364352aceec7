"""Feature selection: each method in a file of its own, the same problem, folds and model for all."""

from __future__ import annotations

from .method import Chosen, Method
from .mutual_information import MUTUAL_INFORMATION
from .pca import PCA
from .permutation import PERMUTATION
from .problem import Problem
from .rfe import RFE
from .shap_values import SHAP

__all__ = ["METHODS", "Chosen", "Method", "Problem"]

METHODS: dict[str, Method] = {
    "mutual-information": MUTUAL_INFORMATION,
    "rfe": RFE,
    "permutation": PERMUTATION,
    "shap": SHAP,
    "pca": PCA,
}
"""In the order in which they are tried; quickest first, components last."""
