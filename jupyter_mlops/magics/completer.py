"""The matcher: Tab on a `%mlops` line, for IPython's completer."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.completer import SimpleCompletion

from ..domain.command_line import split
from ..domain.completion import Names, complete
from ..errors import InvalidArgument
from .magic import Magic

__all__ = ["Matcher"]

KINDS = {"command": "keyword", "option": "param", "value": "text", "variable": "instance", "path": "path"}


class Matcher:
    """A matcher of IPython's second interface; it answers on its magic's lines only, and then alone."""

    matcher_api_version = 2
    matcher_priority = 100
    matcher_identifier = "jupyter_mlops"

    def __init__(self, magic: Magic) -> None:
        self.magic = magic
        self.__qualname__ = "Matcher"  # IPython asks for it as it would of a function
        self.names = Names(magic.session.names)
        self._line = re.compile(rf"\s*(?:[\w\s,]+=\s*)?(?P<cell>%?)%{re.escape(magic.name)}\s+(?P<rest>.*)$")

    def __call__(self, context: Any) -> dict[str, Any]:
        """What may stand at the cursor."""
        words = self._words(str(context.text_until_cursor), first=not context.cursor_line)
        if words is None:
            return {"completions": []}
        shell = self.magic.shell
        variables = {name: held for name, held in shell.user_ns.items() if name not in shell.user_ns_hidden}
        candidates = complete(self.magic.tree, words, self.names, variables)
        return {
            "completions": [SimpleCompletion(text, type=KINDS[kind]) for text, kind in candidates],
            "matched_fragment": words[-1],
            "suppress": True,
            "ordered": True,
        }

    def _words(self, line: str, *, first: bool) -> list[str] | None:
        """The words behind the magic's name, the one at the cursor last; None on any other line."""
        found = self._line.match(line)
        if found is None or (found["cell"] and not first):
            return None
        rest = found["rest"]
        try:
            words = split(rest)
        except InvalidArgument:
            return None
        if not rest or rest[-1].isspace():
            words.append("")
        return words
