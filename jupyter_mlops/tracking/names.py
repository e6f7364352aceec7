"""Names for runs that were given none: the notebook and the number of the cell, else two words and a number."""

from __future__ import annotations

import random
import re
from pathlib import PurePath
from typing import Any

from ..errors import InvalidArgument

__all__ = ["make_name"]

LONGEST = 200
FIRST = ["amber", "bold", "brisk", "calm", "clear", "deft", "eager", "fair", "fleet", "glad", "keen", "kind", "light"]
SECOND = ["badger", "crane", "falcon", "finch", "fox", "heron", "ibex", "jay", "kite", "lark", "lynx", "otter", "raven"]


def make_name(given: Any, notebook: str = "", count: int = 0) -> str:
    """The name to use: what was given, else one made up.

    Raises
    ------
    InvalidArgument
        What was given is no name.

    Examples
    --------
    >>> make_name(None, "work/churn model.ipynb", 7)
    'churn-model-7'
    """
    if given is None:
        stem = re.sub(r"[^\w.-]+", "-", PurePath(notebook).stem).strip("-") if notebook else ""
        if stem and count:
            return f"{stem}-{count}"
        pick = random.SystemRandom()
        return f"{pick.choice(FIRST)}-{pick.choice(SECOND)}-{pick.randrange(1000)}"
    if not isinstance(given, str) or not given.strip() or len(given) > LONGEST or not given.isprintable():
        raise InvalidArgument(
            f"{given!r} cannot name a run.", hint=f"Use a text of at most {LONGEST} characters, or leave it out."
        )
    return given.strip()
