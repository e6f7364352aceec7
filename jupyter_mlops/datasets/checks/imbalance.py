"""Classes of the target that are too rare to be learnt, or to be measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...domain.data_check import Finding
from ..check import Check, Subject, finding, share

NAME = "imbalance"
RARE, UNEVEN = 0.05, 0.2
FEWEST = 10


def look(subject: Subject) -> Iterator[Finding]:
    """A class below 5 % is a warning, below 20 % of a fair share an info; fewer than ten rows an error."""
    target = subject.column(subject.target)
    counts, n = target.counts, int(target.counts.sum())
    if len(counts) < 2:
        return
    shares = {f"share of {target.uniques[i]}": counts[i] / n for i in np.argsort(counts)[:10]}
    few = [i for i in range(len(counts)) if counts[i] < FEWEST]
    name = subject.code(subject.target)
    if few:
        words = [str(target.uniques[i]) for i in few[:5]]
        yield finding(
            NAME, "error", subject.target, f"{f'the class {words[0]} has' if len(few) == 1 else f'{len(few)} classes have'} fewer than {FEWEST} rows{'' if len(few) == 1 else ': ' + ', '.join(words)}",
            np.flatnonzero(np.isin(target.codes, few)), of=n, examples=tuple(words), numbers=shares,
            convention="ten rows are two a fold of a five-fold cross-validation",
            fix=f"{subject.name} = {subject.name}[{name}.map({name}.value_counts()) >= {FEWEST}]",
        )  # fmt: skip
    least, most = int(counts.argmin()), int(counts.argmax())
    part = counts[least] / n
    if part >= RARE and part * len(counts) >= UNEVEN:
        return
    rows = np.flatnonzero(target.codes == least)
    yield finding(
        NAME, "warning" if part < RARE else "info", subject.target,
        f"{target.uniques[least]} is {share(counts[least], n)} of the rows: saying {target.uniques[most]} always is right "
        f"for {share(counts[most], n)}",
        rows, of=n, numbers=shares | {"accuracy of the largest class": counts[most] / n},
        convention="shares of the rows that have a target",
        fix=(
            "# stratify the split, weight the classes, judge by average precision, choose the threshold by cost\n"
            "from sklearn.model_selection import train_test_split\n"
            f"train, test = train_test_split({subject.name}, stratify={name}, random_state=0)\n"
            "# then fit with class_weight='balanced'"
        ),
    )  # fmt: skip


CHECK = Check(NAME, "classes that are too rare", look, when=lambda s: bool(s.target) and s.classes)
