"""New words: the share of the words that the reference has never seen."""

from __future__ import annotations

from ..correction import two_proportions
from ..detector import Detector, Measurement
from ..samples import Sample, Texts

__all__ = ["NEW_WORDS", "measure"]


def measure(reference: Sample, current: Sample) -> Measurement | None:
    """By how much the share of unseen words is above what a reference of this size leaves unseen; None where it is cut.

    A word that only one cell of the reference holds would be new without that cell: their share is what to expect of
    the next table of the same source (Good 1953, after Turing).

    >>> cats, dogs = (Texts.of([f"the {animal}"] * 50) for animal in ("cat", "dog"))
    >>> measure(cats, dogs).value, measure(cats, dogs).p_value < 1e-6
    (0.5, True)
    """
    if not (isinstance(reference, Texts) and isinstance(current, Texts)):
        return None
    before, now = reference.words, current.words
    if before.rest or now.rest or not before.total or not now.total:
        return None
    new = sum(n for word, n in now.index.items() if word not in before.index)
    share, expected = new / now.total, before.once / before.total
    # The words of one cell come together: as many independent ones as there are cells are counted.
    cells = (min(before.cells, before.total), min(now.cells, now.total))
    p = two_proportions(round(expected * cells[0]), cells[0], round(share * cells[1]), cells[1])
    return Measurement(max(0.0, share - expected), p if share > expected else 1.0)


NEW_WORDS = Detector(
    name="new_words",
    title="New words",
    kinds=("text",),
    unit="share of the words, above the expected share",
    range=(0.0, 1.0),
    threshold=0.02,
    large=0.1,
    alarm_when="above",
    min_rows=20,
    convention=(
        "words that no cell of the reference holds, as a share of all words (each counted once a cell), above the share of "
        "the reference's words that one cell alone holds (Good-Turing); two-proportion test with one word a cell; not "
        "measured where a table has more than 50,000 words"
    ),
    measure=measure,
)
