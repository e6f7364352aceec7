"""Written: a document of headings, paragraphs, lists and tables, given as Markdown and as HTML that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

__all__ = ["Bullets", "Grid", "Link", "Own", "Pill", "Section", "Written"]

CODE = re.compile(r"`([^`]+)`")

Tone = Literal["", "good", "bad", "warn"]

STYLE = """
:root{color-scheme:light dark;--line:#d4d7dd;--dim:#5b626e;--soft:#f3f4f7;--good:#d8efdc;--bad:#f8d9d7;--warn:#f8e6c4;--link:#0a58b8}
@media (prefers-color-scheme:dark){:root{--line:#3c414b;--dim:#a2a9b6;--soft:#1e2229;--good:#1d4a29;--bad:#5f2321;--warn:#574012;--link:#7fb4f5}}
*{box-sizing:border-box}
body{font:15px/1.55 system-ui,sans-serif;max-width:72rem;margin:2rem auto 4rem;padding:0 1.25rem;background:Canvas;color:CanvasText}
h1{font-size:1.65rem;line-height:1.25;margin:0 0 .4rem}h2{font-size:1.18rem;margin:2.1rem 0 .5rem;padding-bottom:.25rem;border-bottom:1px solid var(--line)}
p{margin:.45rem 0}.lead,.dim{color:var(--dim)}a{color:var(--link)}
.scroll{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0;font-size:.9rem;width:100%}
th,td{text-align:left;vertical-align:top;padding:.32rem .9rem .32rem 0;border-bottom:1px solid var(--line)}
td:first-child{min-width:7.5rem}
th{font-weight:600;border-bottom-width:2px;white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,pre{font:.86em ui-monospace,monospace}code{background:var(--soft);padding:.05em .35em;border-radius:3px;overflow-wrap:anywhere}
.own{white-space:pre-wrap;border-left:3px solid var(--line);padding:.15rem 0 .15rem .8rem;margin:.6rem 0}
.pill{display:inline-block;padding:0 .6em;border-radius:1em;font-size:.85em;white-space:nowrap;background:var(--soft)}
.good{background:var(--good)}.bad{background:var(--bad)}.warn{background:var(--warn)}
ul{margin:.4rem 0;padding-left:1.3rem}
""".strip()


@dataclass(frozen=True)
class Link:
    """A text that leads to another file of the same folder."""

    text: str
    to: str


@dataclass(frozen=True)
class Pill:
    """A state as a coloured word."""

    word: str
    tone: Tone = ""


Cell = str | int | float | Link | Pill | tuple[Link, ...] | None


@dataclass(frozen=True)
class Grid:
    """A table; numbers are right-aligned."""

    heads: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Bullets:
    """A list."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Own:
    """Words of the user's, kept when the rest is written anew.

    Parameters
    ----------
    name
        How they are found again: ``intended-use``.
    prompt
        What stands there while they have written nothing.
    """

    name: str
    text: str
    prompt: str = ""


Block = str | Grid | Bullets | Own


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Written:
    r"""A document.

    Examples
    --------
    >>> page = Written("A <b>", "all of it", (Section("One", ("text", Grid(("a", "n"), [["x|y", 1.5]]))),))
    >>> print(page.markdown())
    # A &lt;b&gt;
    <BLANKLINE>
    all of it
    <BLANKLINE>
    ## One
    <BLANKLINE>
    text
    <BLANKLINE>
    | a | n |
    | --- | ---: |
    | x\|y | 1.5 |
    <BLANKLINE>
    >>> "<td>x|y</td>" in page.html()
    True
    """

    title: str
    lead: str
    sections: Sequence[Section]

    def markdown(self) -> str:
        """The document as GitHub's Markdown; what users wrote stands between marks by which it is found again."""
        parts = [f"# {_flat(self.title)}", _flat(self.lead)]
        for section in self.sections:
            parts.append(f"## {_flat(section.title)}")
            parts += [_block_markdown(block) for block in section.blocks]
        return "\n\n".join(part for part in parts if part) + "\n"

    def body(self) -> str:
        """The document as HTML without a page around it."""
        parts = [f"<h1>{escape(self.title)}</h1>"]
        if self.lead:
            parts.append(f'<p class="lead">{escape(self.lead)}</p>')
        for section in self.sections:
            parts.append(f"<h2>{escape(section.title)}</h2>")
            parts += [_block_html(block) for block in section.blocks]
        return "\n".join(parts)

    def html(self) -> str:
        """The document as a page of its own, for light and dark, without a script or anything from elsewhere."""
        head = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self.title)}</title>\n<style>\n{STYLE}\n</style></head>\n<body>\n"
        )
        return f"{head}{self.body()}\n</body></html>\n"


def _flat(text: str) -> str:
    return escape(" ".join(text.split()), quote=False)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def _words(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Link):
        return cell.text
    if isinstance(cell, tuple):
        return ", ".join(link.text for link in cell)
    if isinstance(cell, Pill):
        return cell.word
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.5g}" if isinstance(cell, float) else cell


def _numeric(grid: Grid) -> list[bool]:
    return [any(_is_number(row[i]) for row in grid.rows) for i in range(len(grid.heads))]


def _block_markdown(block: Block) -> str:
    if isinstance(block, Grid):
        sides = ["---:" if number else "---" for number in _numeric(block)]
        lines = [block.heads, sides, *([_cell_markdown(cell) for cell in row] for row in block.rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if isinstance(block, Bullets):
        return "\n".join(f"- {_flat(line)}" for line in block.lines)
    if isinstance(block, Own):
        text = block.text.strip() or f"_{block.prompt}_"
        return f"<!-- mlops:own {block.name} -->\n{text}\n<!-- mlops:end -->"
    return _flat(block)


def _cell_markdown(cell: Cell) -> str:
    if isinstance(cell, tuple):
        return ", ".join(map(_cell_markdown, cell))
    text = _flat(_words(cell)).replace("|", "\\|")
    return f"[{text}]({cell.to})" if isinstance(cell, Link) else text


def _block_html(block: Block) -> str:
    if isinstance(block, Grid):
        sides = [' class="n"' if number else "" for number in _numeric(block)]
        head = "".join(f"<th{side}>{escape(text)}</th>" for side, text in zip(sides, block.heads, strict=True))
        rows = [
            "".join(f"<td{side}>{_cell_html(cell)}</td>" for side, cell in zip(sides, row, strict=True))
            for row in block.rows
        ]
        body = "".join(f"<tr>{row}</tr>\n" for row in rows)
        top = f"<thead><tr>{head}</tr></thead>" if any(block.heads) else ""
        return f'<div class="scroll"><table>{top}<tbody>\n{body}</tbody></table></div>'
    if isinstance(block, Bullets):
        return "<ul>" + "".join(f"<li>{_inline(line)}</li>" for line in block.lines) + "</ul>"
    if isinstance(block, Own):
        text = block.text.strip()
        return f'<div class="own{"" if text else " dim"}">{escape(text or block.prompt)}</div>'
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    """Text as HTML; what stands between backticks is something to type."""
    return CODE.sub(r"<code>\1</code>", escape(text))


def _cell_html(cell: Cell) -> str:
    if isinstance(cell, tuple):
        return "<br>".join(map(_cell_html, cell))
    text = escape(_words(cell))
    if isinstance(cell, Link):
        return f'<a href="{escape(cell.to)}">{text}</a>'
    if isinstance(cell, Pill):
        return f'<span class="pill {cell.tone}">{text}</span>'
    return text
