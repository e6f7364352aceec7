"""The sinks: where alerts go besides the notebook, the panel and the store. A new one is a file here and a line below."""

from __future__ import annotations

from ...errors import InvalidArgument
from .email import EMAIL
from .log import LOG
from .sink import Message, Sink
from .webhook import WEBHOOK

__all__ = ["SINKS", "Message", "Sink", "check_sink", "sink_of"]

SINKS: dict[str, Sink] = {sink.name: sink for sink in (LOG, WEBHOOK, EMAIL)}


def sink_of(text: str) -> tuple[Sink, str]:
    """The sink and the target that ``webhook:https://host/path`` names.

    Raises
    ------
    InvalidArgument
        There is no such sink.
    """
    name, _, target = text.partition(":")
    if name not in SINKS:
        raise InvalidArgument.unknown(
            "sink", name, SINKS, hint=f"Write one such as {', '.join(s.example for s in SINKS.values())}."
        )
    return SINKS[name], target


def check_sink(text: str, smtp: str) -> None:
    """Raise the error that says what is wrong with a sink's target, before anything is to be sent there."""
    sink, target = sink_of(text)
    sink.check(target, smtp)
