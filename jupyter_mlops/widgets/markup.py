"""Markup: the few building blocks of static HTML that every noun is drawn from.

Whatever is not `Markup` is escaped, so text out of the store stays text. The HTML has to read well in five places: JupyterLab light and dark,
nbviewer, VS Code, and GitHub, which takes styles away; so tables are plain tables with ``align`` and ``title``, and
colours come from JupyterLab's variables with a fallback that suits light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..domain.display import clock, cut

__all__ = [
    "LIVE_STYLE",
    "STYLE",
    "Markup",
    "Number",
    "code",
    "facts",
    "grid",
    "join",
    "more",
    "note",
    "page",
    "picture",
    "pill",
    "short",
    "tag",
    "when",
]

LONGEST = 48

# `.mlops.mlops`: JupyterLab's own rule, which puts every cell to the right, counts two classes
STYLE = """
.mlops{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45;color:var(--jp-content-font-color1,inherit);max-width:100%;overflow-x:auto}
.mlops table{border-collapse:collapse;margin:4px 0 6px;font-size:12.5px;border:0;table-layout:auto}
.mlops th,.mlops td{padding:3px 12px 3px 0;vertical-align:top;border:0;border-bottom:1px solid rgba(127,127,127,.22);background:none;white-space:nowrap;max-width:none}
.mlops.mlops th,.mlops.mlops td{text-align:left}
.mlops th{font-weight:600;border-bottom:1px solid rgba(127,127,127,.55)}
.mlops.mlops td[align=right],.mlops.mlops th[align=right]{text-align:right;font-variant-numeric:tabular-nums}
.mlops tbody tr:nth-child(odd),.mlops tbody tr:nth-child(even){background:none}
.mlops tbody tr:nth-child(n):hover{background:rgba(127,127,127,.1)}
.mlops .mlops-facts td:first-child,.mlops .mlops-dim{opacity:.66}
.mlops .mlops-facts td{white-space:normal;border-bottom:0;padding:1px 14px 1px 0}
.mlops .mlops-title{font-weight:600;font-size:14px;margin:2px 0}
.mlops code{font-family:var(--jp-code-font-family,monospace);font-size:12px;background:rgba(127,127,127,.13);color:inherit;padding:0 4px;border-radius:3px}
.mlops pre{font-family:var(--jp-code-font-family,monospace);font-size:12px;line-height:1.35;background:rgba(127,127,127,.09);color:inherit;padding:6px 8px;margin:4px 0;overflow-x:auto}
.mlops .mlops-pill{display:inline-block;padding:0 8px;border-radius:9px;font-size:11px;line-height:18px;white-space:nowrap;background:rgba(127,127,127,.18)}
.mlops .mlops-good{background:rgba(46,160,67,.3)}.mlops .mlops-bad{background:rgba(229,57,53,.34)}
.mlops .mlops-busy{background:rgba(33,133,240,.34)}.mlops .mlops-warn{background:rgba(230,150,0,.28)}
.mlops .mlops-more summary{cursor:pointer;opacity:.75}
.mlops .mlops-section{margin:4px 0;padding-left:2px}.mlops .mlops-section summary{cursor:pointer;padding:3px 0;border-top:1px solid rgba(127,127,127,.22)}
.mlops svg{display:block;overflow:visible}.mlops .mlops-bare{display:none}
.mlops .mlops-add{background:rgba(46,160,67,.2)}.mlops .mlops-del{background:rgba(229,57,53,.2)}
.mlops .mlops-best{font-weight:600}
.mlops .mlops-scroll{max-height:36em;overflow:auto}.mlops .mlops-scroll th{position:sticky;top:0;background:var(--jp-layout-color0,Canvas)}
""".strip().replace("\n", "")

LIVE_STYLE = """
.mlops .mlops-bar{display:flex;flex-wrap:wrap;gap:6px 12px;align-items:center;margin:2px 0 6px}
.mlops .mlops-button,.mlops .mlops-input{font:inherit;font-size:12px;line-height:20px;padding:1px 8px;border-radius:3px;color:inherit;background:var(--jp-layout-color1,transparent);border:1px solid rgba(127,127,127,.5)}
.mlops .mlops-button{cursor:pointer}.mlops .mlops-button:hover:enabled{background:rgba(127,127,127,.16)}
.mlops .mlops-button:disabled{opacity:.5;cursor:default}
.mlops .mlops-sort{font:inherit;font-weight:600;color:inherit;background:none;border:0;padding:0;margin:0;cursor:pointer}
.mlops button:focus-visible,.mlops input:focus-visible,.mlops select:focus-visible{outline:2px solid var(--jp-brand-color1,#2185f0);outline-offset:1px}
.mlops label{display:inline-flex;gap:3px;align-items:center}
.mlops .mlops-choice{display:flex;flex-wrap:wrap;gap:2px 14px;max-height:8em;overflow-y:auto;width:100%}
.mlops .mlops-bar .mlops-more[open]{flex-basis:100%}
.mlops .mlops-error:not(:empty){margin:6px 0;padding:4px 8px;background:rgba(229,57,53,.2);border-radius:3px}
.mlops .mlops-legend{display:flex;flex-wrap:wrap;gap:2px 14px;margin:0 0 6px 66px;font-variant-numeric:tabular-nums}
.mlops-waiting{cursor:progress}.mlops-waiting .mlops-button{pointer-events:none;opacity:.5}
""".strip().replace("\n", "")
"""What only the live views need."""

TONES = {
    "good": ("FINISHED", "running", "done", "PASS", "ok", "intact"),
    "bad": ("FAILED", "failed", "FAIL", "interrupted", "drift", "error"),
    "busy": ("RUNNING", "starting", "restarting"),
    "warn": ("warning", "not judged", "slight drift"),
}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


@dataclass(frozen=True)
class Number:
    """A number in a table: right-aligned, with its full value on hover.

    Parameters
    ----------
    value
        None shows as a dash.
    format
        As in `format`.
    """

    value: float | None
    format: str = ".5g"

    def markup(self) -> Markup:
        """The number as written."""
        if self.value is None:
            return Markup("–")
        shown = format(self.value, self.format)
        exact = repr(self.value)
        return tag("span", shown, title=exact) if exact != shown else Markup(escape(shown))


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """An element; attributes that are None or empty are left out, ``class_`` is ``class``.

    Examples
    --------
    >>> tag("b", "<script>", title='"')
    '<b title="&quot;">&lt;script&gt;</b>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value not in (None, "")
    )
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[Any], between: str = "") -> Markup:
    """Parts one after another, escaped unless they are markup."""
    return Markup(between.join(_markup(part) for part in parts))


def _markup(part: Any) -> str:
    if isinstance(part, Markup):
        return part
    if isinstance(part, Number):
        return part.markup()
    return "" if part is None else escape(str(part))


BARE = (
    "The drawings are left out: this page takes SVG away. In JupyterLab they show once the notebook is trusted "
    "(command palette, Trust Notebook)."
)


def page(*parts: Any) -> Markup:
    """The whole of one display: a scoped style and the parts.

    A page that takes the style away, as of a notebook that is not trusted, takes the drawings away too; only there the
    sentence shows that says so.
    """
    inside = join(parts)
    bare = tag("div", BARE, class_="mlops-bare") if "<svg" in inside else None
    return Markup(f"<style>{STYLE}</style>") + tag("div", inside, bare, class_="mlops")  # type: ignore[return-value]


def picture(svg: Markup) -> Markup:
    """A drawing; the words in it have their own size, and none is left of them where the drawing itself is taken away."""
    return tag("div", svg, style="font-size:0")


def short(text: str, longest: int = LONGEST) -> Any:
    """A text that fits a cell, its beginning and its end; the whole of it on hover."""
    text = str(text)
    if len(text) <= longest:
        return text
    return tag("span", cut(text, longest), title=text)


def code(text: str) -> Markup:
    """Something to type or a name of the store's."""
    return tag("code", text)


def when(ms: int | None) -> Any:
    """A time to the minute; the second on hover. A saved notebook must not say "3 min ago"."""
    if not ms:
        return "–"
    exact = clock(ms)
    return tag("span", exact[:16], title=exact)


def pill(word: str, tone: str = "", *, title: str = "") -> Markup:
    """A state as a coloured word."""
    tone = tone or next((tone for tone, words in TONES.items() if word in words), "")
    return tag("span", word, class_=f"mlops-pill mlops-{tone}" if tone else "mlops-pill", title=title)


def note(text: Any) -> Markup:
    """A remark below a table."""
    return tag("div", text, class_="mlops-dim")


def more(title: str, *children: Any) -> Markup:
    """Something to unfold."""
    return tag("details", tag("summary", title), *children, class_="mlops-more")


def facts(rows: Iterable[tuple[str, Any]]) -> Markup:
    """Names and values, one a line; rows without a value are left out."""
    lines = [tag("tr", tag("td", name), tag("td", value)) for name, value in rows if value not in (None, "", ())]
    return tag("table", tag("tbody", *lines), class_="mlops-facts")


def grid(heads: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Markup:
    """A table; a column is right-aligned where its first value that is there is a `Number`."""
    lines = [list(row) for row in rows]
    sides = ["right" if any(isinstance(line[i], Number) for line in lines) else "left" for i in range(len(heads))]
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, align=side) for head, side in zip(heads, sides, strict=True)))),
        tag(
            "tbody",
            *(
                tag("tr", *(tag("td", cell, align=side) for cell, side in zip(line, sides, strict=True)))
                for line in lines
            ),
        ),
    )
