"""Reference: how a version of something is named: ``adult@v3``, ``clf@7``, ``clf@champion``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidArgument

__all__ = ["Reference", "check_name"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
RESERVED_ALIAS = re.compile(r"v?\d+|latest", re.IGNORECASE)


def check_name(name: str, what: str) -> str:
    """Return `name` if it can name a `what`, else raise.

    The same rule for models, data versions and deployments: letters, digits, dot, dash and underscore, at most 128,
    beginning with a letter or digit; so a name is also a safe file name and needs no quoting in a shell or a URL.

    Raises
    ------
    InvalidArgument
        The name is empty, too long or holds another character.

    Examples
    --------
    >>> check_name("adult-clf", "model")
    'adult-clf'
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} cannot name {'an' if what[0] in 'aeiou' else 'a'} {what}.",
            hint="Use letters, digits, '.', '-' and '_', beginning with a letter or digit, at most 128.",
        )
    return name


@dataclass(frozen=True)
class Reference:
    """A name and, after the ``@``, a version number or an alias; neither means the latest.

    Examples
    --------
    >>> Reference.parse("adult@v3", "data version")
    Reference(name='adult', version=3, alias=None)
    >>> str(Reference.parse("clf@champion", "model version"))
    'clf@champion'
    """

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str, what: str) -> Reference:
        """Read ``name``, ``name@3``, ``name@v3``, ``name@latest`` or ``name@alias``.

        Raises
        ------
        InvalidArgument
            The text is not of one of these forms.
        """
        name, at, rest = str(text).partition("@")
        check_name(name, what)
        if not at or rest == "latest":
            return cls(name)
        number = re.fullmatch(r"v?(\d+)", rest)
        if number:
            return cls(name, version=int(number[1]))
        return cls(name, alias=check_name(rest, "alias"))

    def __str__(self) -> str:
        tail = self.version if self.version is not None else self.alias
        return self.name if tail is None else f"{self.name}@{tail}"


def check_alias(alias: str) -> str:
    """Return `alias` if a model version may carry it: a name that is neither a number nor ``latest``."""
    if RESERVED_ALIAS.fullmatch(alias):
        raise InvalidArgument(
            f"{alias!r} cannot be an alias: versions are named so.", hint="Use a word, such as 'champion'."
        )
    return check_name(alias, "alias")
