"""Model cards and evidence packs."""

from __future__ import annotations

from ..domain.evidence_pack import EvidencePack
from ..domain.model_card import ModelCard
from .markup import Markup, Number, code, grid, more, note, page, pill, tag

__all__ = ["evidence_pack", "model_card"]

CARD_STYLE = """
.mlops .mlops-card h1{font-size:16px;margin:6px 0 2px}.mlops .mlops-card h2{font-size:13.5px;margin:12px 0 2px}
.mlops .mlops-card p{margin:2px 0}.mlops .mlops-card td{white-space:normal}.mlops .mlops-card td.n{white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums}
.mlops .mlops-card th.n{text-align:right}.mlops .mlops-card .own{white-space:pre-wrap;border-left:3px solid rgba(127,127,127,.4);padding-left:8px}
.mlops .mlops-card .dim,.mlops .mlops-card .lead{opacity:.66}.mlops .mlops-card td{overflow-wrap:anywhere}
.mlops .mlops-card .pill{padding:0 8px;border-radius:9px;background:rgba(127,127,127,.18)}
.mlops .mlops-card .good{background:rgba(46,160,67,.3)}.mlops .mlops-card .bad{background:rgba(229,57,53,.34)}.mlops .mlops-card .warn{background:rgba(230,150,0,.28)}
""".strip().replace("\n", "")


def model_card(card: ModelCard) -> Markup:
    """Where the card is, what nobody has written yet, and the card."""
    place = [" and in ", code(card.path)] if card.path else []
    return page(
        Markup(f"<style>{CARD_STYLE}</style>"),
        tag("div", f"The card of {card.model} is stored with it", *place, ".", class_="mlops-title"),
        note(f"Nobody has written yet: {', '.join(card.unwritten)}.") if card.unwritten else "",
        *(note(text) for text in card.notes),
        more("the card", tag("div", Markup(card.body), class_="mlops-card")),
    )


def evidence_pack(pack: EvidencePack) -> Markup:
    """The files of a pack, and how much of each framework they show."""
    files = [[code(f.name), f.title, f.standard, f.check, Number(f.bytes, ",")] for f in pack.files]
    covered = [
        [
            c.framework,
            pill(f"{c.shown} shown", "good"),
            pill(f"{c.partly} in part", "warn"),
            pill(f"{c.nothing} not", "bad"),
        ]
        for c in pack.covered
    ]
    return page(
        tag("div", f"Evidence of {pack.model} in ", code(pack.directory), class_="mlops-title"),
        grid(["file", "what", "standard", "checked with", "bytes"], files),
        grid(["framework", "", "", ""], covered) if covered else "",
        *(note(text) for text in pack.gaps),
    )
