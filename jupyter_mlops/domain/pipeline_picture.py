"""A pipeline as a picture: steps as boxes, data on the arrows, the verdict on each as a mark, a word and a colour.

Static SVG that needs no kernel and no script. Colours are Okabe and Ito's, told apart by the colour-blind; none is the
only sign of anything. Text takes the colour of what is around it, so that it reads in light and dark.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from .pipeline import Check, Step, Verification

__all__ = ["draw"]

COLOURS = {
    "same": "#009E73",
    "accepted": "#CC79A7",
    "nondeterministic": "#E69F00",
    "differs": "#D55E00",
    "failed": "#D55E00",
    "not comparable": "#56B4E9",
    "": "#8c8c8c",
}
MARKS = {"same": "✓", "accepted": "☑", "nondeterministic": "≈", "differs": "✗", "failed": "✗", "not comparable": "∅", "": "·"}  # fmt: skip
WORST = ("failed", "differs", "nondeterministic", "accepted", "same", "not comparable", "")
"""The verdict of a step is the first of these that one of its results has."""
WIDTH, HEIGHT = 212, 46
APART, BETWEEN = 58, 54  # columns, rows: the data's names stand between the rows
MARGIN = 8
LETTERS, LINE = 23, 30  # that fit a box, and beside an arrow
NAMED = 2  # of the variables on an arrow
MOST = 60
ALONE = """<style>svg{font-family:system-ui,sans-serif;color:#1f2328;background:#fff}
@media (prefers-color-scheme:dark){svg{color:#e6edf3;background:#0d1117}}</style>"""


@dataclass(frozen=True)
class _Arrow:
    source: str
    target: str
    names: tuple[str, ...]


def draw(steps: Sequence[Step], verification: Verification | None = None, *, alone: bool = False) -> str:
    """Draw the steps in layers from top to bottom.

    Parameters
    ----------
    verification
        What was compared; without it no step has a verdict.
    alone
        For a file of its own, which brings its background with it.

    Examples
    --------
    >>> steps = [Step("load", "Load", (), ("df",)), Step("train", "Train", ("df",), ("model",))]
    >>> verdict = Verification("p", (Check("train", "model", "predictions", ok=True),))
    >>> svg = draw(steps, verdict)
    >>> svg.count("<rect"), "df" in svg, "1 same" in svg
    (2, True, True)
    """
    steps = steps[:MOST]
    verdicts = _verdicts(verification)
    arrows = _arrows(steps)
    layers = _layers(steps, arrows)
    rows: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        rows[layers[step.name]].append(step)
    widest = max((len(row) for row in rows.values()), default=0)
    inner = widest * (WIDTH + APART) - APART if widest else 0
    at: dict[str, tuple[float, float]] = {}
    for number, row in rows.items():
        own = len(row) * (WIDTH + APART) - APART
        for i, step in enumerate(row):
            at[step.name] = (MARGIN + (inner - own) / 2 + i * (WIDTH + APART), MARGIN + number * (HEIGHT + BETWEEN))
    long = [a for a in arrows if layers[a.target] - layers[a.source] > 1]
    right = MARGIN + inner + (26 + 13 * len(long) + LINE * 6.4 if long else max(0.0, LINE * 6.4 - WIDTH / 2 + 12))
    height = 2 * MARGIN + max(1, len(rows)) * (HEIGHT + BETWEEN) - BETWEEN
    short = Counter(a.source for a in arrows if a not in long)
    parts = [
        _arrow(a, at, verdicts, -1 if a not in long else long.index(a), MARGIN + inner, near_target=short[a.source] > 1)
        for a in arrows
    ]
    parts += [_box(step, *at[step.name], verdicts) for step in steps]
    told = escape(_told(steps, verification))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {right:.0f} {height:.0f}" role="img" aria-label="{told}" font-size="12">'
        f"{ALONE if alone else ''}<title>{told}</title>{''.join(parts)}</svg>"
    )


def _told(steps: Sequence[Step], verification: Verification | None) -> str:
    """The picture in words, for those who do not see it."""
    chain = ", ".join(step.name for step in steps)
    if verification is None:
        return f"Pipeline of {len(steps)} steps, not verified: {chain}"
    return f"Pipeline of {len(steps)} steps, {'PASS' if verification.ok else 'FAIL'}: {chain}"


def _verdicts(verification: Verification | None) -> dict[str, dict[str, str]]:
    """The verdict of each variable, by step."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for check in verification.checks if verification is not None else ():
        found[check.step][check.variable] = _verdict(check)
    return found


def _verdict(check: Check) -> str:
    return "accepted" if check.accepted else str(check.verdict)


def _worst(found: Iterable[str]) -> str:
    return min(found, key=WORST.index, default="")


def _arrows(steps: Sequence[Step]) -> list[_Arrow]:
    """Which step hands what to which: each input comes from the last step before that gives it."""
    givers: dict[str, str] = {}
    arrows: list[_Arrow] = []
    for step in steps:
        handed: dict[str, list[str]] = defaultdict(list)
        for name in step.inputs:
            if name in givers:
                handed[givers[name]].append(name)
        arrows += [_Arrow(giver, step.name, tuple(names)) for giver, names in handed.items()]
        givers |= dict.fromkeys(step.outputs, step.name)
    return arrows


def _layers(steps: Sequence[Step], arrows: Sequence[_Arrow]) -> dict[str, int]:
    into: dict[str, list[str]] = defaultdict(list)
    for arrow in arrows:
        into[arrow.target].append(arrow.source)
    layers: dict[str, int] = {}
    for step in steps:  # in the order in which they run: what a step needs stands before it
        layers[step.name] = 1 + max((layers[name] for name in into[step.name] if name in layers), default=-1)
    return layers


def _arrow(
    arrow: _Arrow,
    at: dict[str, tuple[float, float]],
    verdicts: dict[str, dict[str, str]],
    lane: int,
    right: float,
    *,
    near_target: bool,
) -> str:
    """An arrow with the names of what it hands on; one that passes other steps by runs to the right of them."""
    (x1, y1), (x2, y2) = at[arrow.source], at[arrow.target]
    states = {name: verdicts[arrow.source].get(name, "") for name in arrow.names}
    state = _worst(states.values())
    colour = COLOURS[state]
    every = ", ".join(f"{name} {MARKS[s]} {s}".rstrip(" ·") for name, s in states.items())
    more = f" +{len(arrow.names) - NAMED}" if len(arrow.names) > NAMED else ""
    label = f"{MARKS[state]} {_cut(', '.join(arrow.names[:NAMED]), LINE - len(more))}{more}".removeprefix("· ")
    anchor = ""
    if lane < 0:
        x1, x2, y1 = x1 + WIDTH / 2, x2 + WIDTH / 2, y1 + HEIGHT
        path = (
            f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + BETWEEN / 2:.0f} {x2:.0f} {y2 - BETWEEN / 2:.0f} {x2:.0f} {y2 - 5:.0f}"
        )
        left = x2 < x1 if near_target else x1 < x2  # away from where the arrow bends to
        place = (x2, y2 - 12) if near_target else (x1, y1 + 26)
        place = (place[0] + (-8 if left else 8), place[1])
        anchor = ' text-anchor="end"' if left else ""
    else:
        out = right + 14 + 13 * lane
        x1, x2, y1 = x1 + WIDTH - 20, x2 + WIDTH - 20, y1 + HEIGHT
        a, b = y1 + 9 + 3 * (lane % 3), y2 - 13 - 3 * (lane % 3)
        path = (
            f"M{x1:.0f} {y1:.0f}Q{x1:.0f} {a:.0f} {x1 + 9:.0f} {a:.0f}H{out - 9:.0f}Q{out:.0f} {a:.0f} {out:.0f} {a + 9:.0f}"
            f"V{b - 9:.0f}Q{out:.0f} {b:.0f} {out - 9:.0f} {b:.0f}H{x2 + 9:.0f}Q{x2:.0f} {b:.0f} {x2:.0f} {y2 - 5:.0f}"
        )
        place = (out + 6, (y1 + y2) / 2 + 4 + 13 * (lane % 3 - 1))
    head = f"M{x2:.0f} {y2:.0f}l-3.5 -6h7z"
    return (
        f"<g><title>{escape(f'{arrow.source} hands to {arrow.target}: {every}')}</title>"
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"></path><path d="{head}" fill="{colour}"></path>'
        f'<text x="{place[0]:.0f}" y="{place[1]:.0f}" fill="currentColor" font-size="11"{anchor}>{escape(label)}</text></g>'
    )


def _box(step: Step, x: float, y: float, verdicts: dict[str, dict[str, str]]) -> str:
    own = verdicts.get(step.name, {})
    state = _worst(own.values())
    colour = COLOURS[state]
    counts = [f"{n} {s}" for s in WORST if s and (n := sum(v == s for v in own.values()))]
    second = ", ".join(counts) or ("nothing compared" if verdicts else "not verified")
    told = [step.title or step.name, f"needs {', '.join(step.inputs) or 'nothing'}", f"gives {', '.join(step.outputs) or 'nothing'}"]  # fmt: skip
    told += [f"{MARKS[v]} {name}: {v}" for name, v in own.items() if v != "same"]
    thick = 2.4 if state in ("failed", "differs", "nondeterministic") else 1.4
    return (
        f"<g><title>{escape(chr(10).join(told))}</title>"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{colour}" fill-opacity=".13" '
        f'stroke="{colour}" stroke-width="{thick}"></rect>'
        f'<text x="{x + 12:.0f}" y="{y + 19:.0f}" fill="{colour}" font-size="14" font-weight="700">{MARKS[state]}</text>'
        f'<text x="{x + 30:.0f}" y="{y + 19:.0f}" fill="currentColor" font-weight="600">{escape(_cut(step.name, LETTERS))}</text>'
        f'<text x="{x + 30:.0f}" y="{y + 36:.0f}" fill="currentColor" font-size="11">{escape(_cut(second, LETTERS + 7))}</text></g>'
    )


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
