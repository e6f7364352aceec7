"""The command of the registry stage that writes model cards."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.dossier import Dossier
from ..domain.model_card import ModelCard
from ..errors import Conflict, InvalidArgument

__all__ = ["CardCommands"]

FORMS = (".md", ".html")


class CardCommands(CommandSet):
    """What a model version is, for people."""

    @command("card", stage="registry", changes=True)
    def card(
        self,
        model: Annotated[str, Arg(complete="model-versions", metavar="MODEL@VERSION")],
        *,
        output: Annotated[str, Arg(value="path", metavar="FILE")] = "",
    ) -> ModelCard:
        """Write a model's card from all that is known of it; what people wrote into an earlier one is kept.

        Data, metrics with intervals, slices, fairness, limits, energy, owners, gates and approvals come from the store.
        Between `<!-- mlops:own NAME -->` and `<!-- mlops:end -->` the card is yours: write there, in the file, and give
        the command again. Hugging Face's metadata stands before it; keys of your own, `license`, stay. The card is kept
        with the version, and its short form becomes the version's description.

        Parameters
        ----------
        model
            The version: `clf@7`, `clf@champion`; `clf` alone is the newest.
        output
            A file for it besides: Markdown (.md) or a page (.html).

        Examples
        --------
        %mlops card adult-clf@champion -o MODEL_CARD.md
        """
        from .card import OWN_SECTIONS, markdown, missing, short, written
        from .card_words import metadata_of, own_words

        path = Path(output).expanduser() if output else None
        earlier = _earlier(path)
        dossier = Dossier.from_dict(self.context.call("registry.dossier", model=model))
        own, kept = own_words(dossier.card), metadata_of(dossier.card)
        own |= own_words(earlier)
        kept |= metadata_of(earlier)
        text, page = markdown(dossier, own, kept), written(dossier, own)
        ref = dossier.model.ref
        told = self._keep(ref, text, short(dossier, own))
        if path is not None:
            _write(path, page.html() if path.suffix == ".html" else text)
        notes = list(missing(dossier))
        if not told["file"]:
            notes.append(f"{ref} has no logged model, so only its description was stored; keep the file.")
        unwritten = tuple(title for name, (title, _) in OWN_SECTIONS.items() if not own.get(name))
        return ModelCard(ref, text, page.body(), str(path or ""), str(told["digest"]), unwritten, tuple(notes))

    def _keep(self, ref: str, text: str, short: str) -> dict[str, Any]:
        """Hand the card to the service by a file, so that the audit trail holds its digest and not its words."""
        folder = self.context.workspace.home / "staging" / "card"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{uuid.uuid4().hex}.json"
        file.write_text(json.dumps({"text": text, "short": short}), encoding="utf-8")
        try:
            return dict(self.context.call("registry.card", model=ref, file=str(file)))
        finally:
            file.unlink(missing_ok=True)


def _earlier(path: Path | None) -> str:
    """The card that a file holds; empty for none."""
    from .card_words import edited_outside, is_card

    if path is None:
        return ""
    if path.suffix not in FORMS:
        raise InvalidArgument(f"{str(path)!r} tells no format.", hint="Name it .md or .html.")
    if not path.parent.is_dir():
        raise InvalidArgument(f"there is no folder {path.parent}.", hint="Make it first.")
    if path.suffix == ".html" or not path.exists():
        return ""
    text = path.read_text(encoding="utf-8")
    if not text.strip():
        return ""
    if not is_card(text):
        raise Conflict(f"{path} exists and is no card of ours.", hint="Name another file.")
    if edited_outside(text):
        raise Conflict(
            f"{path} was edited where the card is written anew, and those words would be lost.",
            hint="Move them between `<!-- mlops:own NAME -->` and `<!-- mlops:end -->`; any NAME will do.",
        )
    return text


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
