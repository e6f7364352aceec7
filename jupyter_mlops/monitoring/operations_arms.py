"""What the service does for A/B tests on served traffic: the labelled outcomes of a deployment's versions, in their order."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidArgument, NotReady
from ..store.host import Host
from .labels import plain
from .operations_performance import source_of

__all__ = ["arms"]

RIGHT = "right"


def arms(host: Host, *, name: str, outcome: str = RIGHT, models: list[str] | None = None) -> dict[str, Any]:
    """Version and outcome of every labelled prediction, oldest first.

    Parameters
    ----------
    outcome
        ``right``: whether the prediction was the label; else a label: whether it came true.
    models
        The two versions to compare; by default the two that have the most labels.

    Returns
    -------
    dict
        ``deployment``; ``arm`` and ``outcome``, one a row; ``found``: labelled rows of every version.
    """
    source = source_of(host, name)
    window = source.window(None)
    labels = source.labels.read()
    rows: list[tuple[str, float]] = []
    seen: set[str] = set()
    for id_, model, said in zip(window.inputs.index, window.models, window.predictions, strict=True):
        if str(id_) not in labels or isinstance(said, (list, dict)):
            continue
        truth = plain(labels[str(id_)])
        seen.add(str(truth))
        rows.append((str(model), float(plain(said) == truth if outcome == RIGHT else str(truth) == outcome)))
    if not rows:
        raise NotReady(
            f"no prediction of {source.deployment} has a label yet.",
            hint=f"Give them as they come: `%mlops label {source.deployment} TABLE`.",
        )
    if outcome not in (RIGHT, *seen):
        raise InvalidArgument.unknown("label", outcome, [RIGHT, *sorted(seen)[:20]])
    found: dict[str, int] = {}
    for model, _ in rows:
        found[model] = found.get(model, 0) + 1
    wanted = models or sorted(found, key=lambda model: -found[model])[:2]
    for model in wanted:
        if model not in found:
            raise InvalidArgument.unknown(f"version with labels of {source.deployment}", model, sorted(found))
    if len(wanted) != 2:
        raise NotReady(
            f"labels came for {len(found)} version of {source.deployment}; an A/B test compares two.",
            hint=f"Let another answer a share: `%mlops traffic {source.deployment} MODEL@VERSION=50%`.",
        )
    kept = [(model, value) for model, value in rows if model in wanted]
    return {
        "deployment": source.deployment,
        "arm": [model for model, _ in kept],
        "outcome": [value for _, value in kept],
        "found": found,
    }
