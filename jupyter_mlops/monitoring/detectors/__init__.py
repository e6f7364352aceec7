"""The detectors, in the order in which reports show them. A new one is a file here and a line below."""

from __future__ import annotations

from ..detector import Detector
from .chi2 import CHI2
from .earth_movers import EARTH_MOVERS
from .hellinger import HELLINGER
from .jensen_shannon import JENSEN_SHANNON
from .ks import KS
from .kullback_leibler import KULLBACK_LEIBLER
from .new_words import NEW_WORDS
from .psi import PSI
from .text_length import TEXT_LENGTH
from .total_variation import TOTAL_VARIATION
from .vocabulary import VOCABULARY
from .wasserstein import WASSERSTEIN

__all__ = ["DETECTORS"]

DETECTORS: dict[str, Detector] = {
    detector.name: detector
    for detector in (
        KS,
        CHI2,
        PSI,
        WASSERSTEIN,
        JENSEN_SHANNON,
        KULLBACK_LEIBLER,
        HELLINGER,
        TOTAL_VARIATION,
        EARTH_MOVERS,
        TEXT_LENGTH,
        VOCABULARY,
        NEW_WORDS,
    )
}
