"""The detectors, in the order in which reports show them. A new one is a file here and a line below."""

from __future__ import annotations

from ..detector import Detector
from .chi2 import CHI2
from .jensen_shannon import JENSEN_SHANNON
from .ks import KS
from .psi import PSI
from .wasserstein import WASSERSTEIN

__all__ = ["DETECTORS"]

DETECTORS: dict[str, Detector] = {detector.name: detector for detector in (KS, CHI2, PSI, WASSERSTEIN, JENSEN_SHANNON)}
