"""A card's own words: what people wrote into it and its metadata, found again so that writing it anew keeps them.

Between ``<!-- mlops:own NAME -->`` and ``<!-- mlops:end -->`` a card belongs to its reader. Everything else is written from
what is known; the first comment holds a digest of it, so that words written elsewhere are noticed and not thrown away.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidArgument

__all__ = ["MARK", "edited_outside", "is_card", "metadata_of", "own_words", "sealed", "split_metadata"]

MARK = "<!-- mlops:card"
OWN = re.compile(r"<!-- mlops:own (?P<name>[\w-]+) -->\n(?P<text>.*?)\n?<!-- mlops:end -->", re.DOTALL)
STATED = re.compile(r"<!-- mlops:card (?P<digest>[0-9a-f]{16}) -->\n*")
PROMPT = re.compile(r"_.*_", re.DOTALL)


def split_metadata(text: str) -> tuple[str, str]:
    r"""The YAML before a card, and the card.

    Examples
    --------
    >>> split_metadata("---\nlicense: mit\n---\n# A card")
    ('license: mit', '# A card')
    >>> split_metadata("# A card")
    ('', '# A card')
    """
    lines = text.replace("\r\n", "\n")
    if not lines.startswith("---\n"):
        return "", lines
    head, mark, rest = lines[4:].partition("\n---\n")
    return (head, rest) if mark else ("", lines)


def metadata_of(text: str) -> dict[str, Any]:
    """A card's metadata.

    Raises
    ------
    InvalidArgument
        It is no YAML mapping.
    """
    import yaml

    head, _ = split_metadata(text)
    try:
        told = yaml.safe_load(head) if head else {}
    except yaml.YAMLError as error:
        raise InvalidArgument(
            f"the card's metadata cannot be read: {error}.", hint="Mend the lines up to `---`."
        ) from None
    if not isinstance(told, Mapping):
        raise InvalidArgument("the card's metadata is no list of names and values.", hint="Mend the lines up to `---`.")
    return dict(told)


def own_words(text: str) -> dict[str, str]:
    r"""What people wrote, by section; one that still holds its prompt is left out, one that was emptied is empty.

    Raises
    ------
    InvalidArgument
        A section begins and does not end.

    Examples
    --------
    >>> own_words("<!-- mlops:own use -->\nFor nurses.\n<!-- mlops:end -->")
    {'use': 'For nurses.'}
    """
    _, body = split_metadata(text)
    found = {m["name"]: m["text"].strip() for m in OWN.finditer(body)}
    if body.count("<!-- mlops:own ") != len(OWN.findall(body)):
        raise InvalidArgument(
            "a section of the card begins with `<!-- mlops:own NAME -->` and does not end.",
            hint="Put `<!-- mlops:end -->` on a line of its own after it.",
        )
    return {name: words for name, words in found.items() if not PROMPT.fullmatch(words)}


def is_card(text: str) -> bool:
    """Whether we wrote it, at first."""
    return MARK in text


def sealed(body: str) -> str:
    """The card with the digest of everything in it that is not the reader's, as its first line."""
    return f"{MARK} {_digest(body)} -->\n\n{body}"


def edited_outside(text: str) -> bool:
    """Whether something was changed that does not belong to the reader, and would be lost."""
    _, body = split_metadata(text)
    stated = STATED.search(body)
    return stated is not None and stated["digest"] != _digest(STATED.sub("", body, count=1))


def _digest(body: str) -> str:
    lines = [line.rstrip() for line in OWN.sub("", body).splitlines() if line.strip()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
