"""Hooks: what a stage needs of one that it may not import, each loading what it offers when it is called; `Session` hands them out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from .domain.context import Context
from .errors import InvalidArgument, MLOpsError

__all__ = [
    "digest_of",
    "final_step",
    "glance_at",
    "mask_document",
    "news_of",
    "personal_columns",
    "prepare_serving",
    "table_of",
    "warm_builder",
    "write_profile",
]


def write_profile(
    training: Any, target: Any, model: Any, folder: Path, personal: Collection[str] = (), **known: Any
) -> Any:
    """Write the reference profile of what a model was fitted on."""
    from .datasets.profile import write_training_profile

    return write_training_profile(training, target, model, folder, personal, **known)


def personal_columns(context: Context, training: Any) -> Any:
    """The personal columns of what a model was fitted on, as declared and as found."""
    from .datasets.personal import mask_key
    from .datasets.personal.training import look_in

    return look_in(training, context.personal, lambda: mask_key(context.workspace.home))


def mask_document(context: Context, text: str) -> str:
    """JSON that is about to be stored, with the personal data in it hashed."""
    from .datasets.personal import mask_key
    from .datasets.personal.documents import masked_document

    return masked_document(text, lambda: mask_key(context.workspace.home))


def digest_of(table: Any) -> str:
    """The identity of a table's content."""
    from .datasets.identity import digest

    return digest(table)


def glance_at(table: Any) -> str | None:
    """A mark of a table's content that a change in place nearly always changes."""
    from .datasets.identity import glance

    return glance(table)


def table_of(context: Context, given: Any) -> Any:
    """What was given as a table."""
    from .datasets.tables import as_table

    return as_table(context, given)


def final_step(estimator: Any, width: int) -> Any:
    """A model's last step as sums in 64 bits."""
    from .serving.compiled.encode import NotCompilable
    from .serving.compiled.finals import final_of

    try:
        return final_of(estimator, width)
    except NotCompilable as error:
        raise InvalidArgument(f"{error}.") from None


def warm_builder(context: Context) -> None:
    """Let what compiles models be loaded beside the storing of one; nobody waits for that, nor for the service to start."""

    def ask() -> None:
        with contextlib.suppress(MLOpsError):
            context.call("serving.warm", python=context.interpreter)

    if context.settings.prepare:
        threading.Thread(target=ask, name="warm builder", daemon=True).start()


def news_of(context: Context) -> list[str]:
    """What the service has decided by itself about the deployments that this process shares out, a line each; told once."""
    from .serving.news import news

    return news(context)


def prepare_serving(context: Context, model: str) -> None:
    """Let a model version be compiled for serving while its maker goes on."""
    with contextlib.suppress(MLOpsError):  # it is registered all the same
        context.call("serving.prepare", model=model, python=context.interpreter)
