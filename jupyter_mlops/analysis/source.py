"""Source text: cut into statements, moved in and out, edited in places; never rewritten, so that the author knows it again."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Edit", "Segment", "apply_edits", "dedent", "edit_span", "indent", "segments"]


@dataclass(frozen=True)
class Segment:
    """One statement as it stands in the source.

    Parameters
    ----------
    text
        The statement with the comments above it and beside it, not indented.
    line
        The line of the source on which the statement itself begins, from 1.
    apart
        An empty line stands between it and the statement before it.
    """

    text: str
    line: int
    apart: bool = False


@dataclass(frozen=True)
class Edit:
    """Replace the characters from `start` to `end` of a text."""

    start: int
    end: int
    text: str


def segments(source: str, body: Iterable[ast.stmt]) -> list[Segment]:
    """The statements of a block, each with its comments; `body` are nodes of the parsed `source`."""
    lines = source.splitlines()
    inside = _inside_strings(source)
    found: list[Segment] = []
    free = 0  # the first line that no statement has taken yet
    last_end = (0, 0)
    for node in body:
        first, last = _first_line(node), node.end_lineno or node.lineno
        if first == last_end[0]:  # a second statement on one line, after a semicolon
            found.append(Segment(ast.get_source_segment(source, node) or ast.unparse(node), node.lineno))
        else:
            above = _comments_above(lines, max(free, 0), first - 1)
            column = node.col_offset
            taken = [*lines[above : last - 1], _without_semicolon(lines[last - 1], node)]
            text = _dedent(taken, column, {i - above for i in inside if above <= i < last})
            apart = bool(found) and any(not line.strip() for line in lines[free:above])
            found.append(Segment(text, node.lineno, apart))
        free = last
        last_end = (last, node.end_col_offset or 0)
    return found


def indent(text: str, prefix: str = "    ") -> str:
    r"""Indent every line that begins in code; the inside of a string stays as it is.

    Examples
    --------
    >>> print(indent("a = 1\nb = 2"))
        a = 1
        b = 2
    """
    inside = _inside_strings(text)
    return "\n".join(
        line if i in inside or not line.strip() else prefix + line for i, line in enumerate(text.split("\n"))
    )


def dedent(text: str, columns: int) -> str:
    """Take `columns` blanks off every line that begins in code."""
    return _dedent(text.split("\n"), columns, _inside_strings(text))


def edit_span(text: str, first: ast.AST, last: ast.AST, new: str) -> Edit:
    """The edit that puts `new` in the place of everything from the node `first` to the end of the node `last`."""
    start = _offset(text, getattr(first, "lineno", 1), getattr(first, "col_offset", 0))
    end = _offset(text, getattr(last, "end_lineno", 1), getattr(last, "end_col_offset", 0))
    return Edit(start, end, new)


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Carry out edits that do not overlap.

    Examples
    --------
    >>> apply_edits("display(df)", [Edit(0, 7, "print")])
    'print(df)'
    """
    for edit in sorted(edits, key=lambda e: e.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _offset(text: str, line: int, byte_column: int) -> int:
    lines = text.split("\n")
    column = len(lines[line - 1].encode()[:byte_column].decode(errors="ignore"))
    return sum(len(before) + 1 for before in lines[: line - 1]) + column


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _comments_above(lines: list[str], free: int, first: int) -> int:
    """The index of the first line of the comment block that stands right above line index `first`."""
    above = first
    while above > free and lines[above - 1].strip().startswith("#"):
        above -= 1
    return above


def _without_semicolon(line: str, node: ast.stmt) -> str:
    end = len(line.encode()[: node.end_col_offset].decode(errors="ignore"))
    code, rest = line[:end], line[end:].strip()
    if not rest.startswith(";"):
        return line.rstrip()
    comment = rest.lstrip("; ").strip()
    return f"{code}  {comment}" if comment.startswith("#") else code


def _dedent(lines: list[str], columns: int, inside: set[int]) -> str:
    return "\n".join(
        line if i in inside else line[columns:] if not line[:columns].strip() else line.lstrip()
        for i, line in enumerate(lines)
    ).rstrip()


def _inside_strings(text: str) -> set[int]:
    """The indices of lines that begin inside a string."""
    inside: set[int] = set()
    if not any(mark in text for mark in ('"""', "'''", "\\\n")):
        return inside
    depth: list[int] = []
    begins = getattr(tokenize, "FSTRING_START", -1)
    ends = getattr(tokenize, "FSTRING_END", -1)
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.STRING:
                inside.update(range(token.start[0], token.end[0]))
            elif token.type == begins:
                depth.append(token.start[0])
            elif token.type == ends and depth:
                inside.update(range(depth.pop(), token.end[0]))
    except (tokenize.TokenError, SyntaxError):
        return inside
    return inside
