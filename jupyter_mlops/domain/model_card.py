"""Model card: what a version is, what it is worth and what it is for, in words that people and Hugging Face read."""

from __future__ import annotations

from dataclasses import dataclass

from .display import Displayed
from .record import Record

__all__ = ["ModelCard"]


@dataclass(frozen=True)
class ModelCard(Displayed, Record):
    """The card of a model version.

    Parameters
    ----------
    markdown
        The whole card, with Hugging Face's metadata before it.
    body
        The same as HTML without a page around it.
    path
        The file it was written to; empty for none.
    unwritten
        The sections of the user's own that nobody has filled in.
    notes
        What the card cannot say, and what to run so that it can.
    """

    model: str
    markdown: str
    body: str = ""
    path: str = ""
    digest: str = ""
    unwritten: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        head = f"card of {self.model}, stored with it" + (f" and in {self.path}" if self.path else "")
        lines = [head, "", self.markdown.partition("\n---\n")[2].strip() or self.markdown]
        if self.unwritten:
            lines.append(f"note: nobody has written yet: {', '.join(self.unwritten)}.")
        return "\n".join([*lines, *(f"note: {text}" for text in self.notes)])
