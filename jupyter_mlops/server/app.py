"""The extension: what Jupyter's server loads, and what begins and ends with it."""

from __future__ import annotations

from pathlib import Path

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join

from .handlers import HANDLERS
from .watching import Watchers

__all__ = ["MLOpsExtension"]

EVENT_SCHEMA = Path(__file__).parent / "changed.yaml"


class MLOpsExtension(ExtensionApp):  # type: ignore[misc]  # jupyter_server's types are not followed
    """The commands over HTTP, for the panel, and news of what has changed over Jupyter's events."""

    name = "jupyter_mlops"
    load_other_extensions = True

    def initialize_settings(self) -> None:
        """Make the news known to Jupyter; no workspace is watched until a panel asks for it."""
        events = self.serverapp.event_logger
        events.register_event_schema(EVENT_SCHEMA)
        self.watchers = Watchers(lambda schema, data: events.emit(schema_id=schema, data=data))

    def initialize_handlers(self) -> None:
        """Serve `HANDLERS` under ``jupyter-mlops/api``."""
        self.handlers.extend((url_path_join("jupyter-mlops/api", route), handler) for route, handler in HANDLERS)

    async def stop_extension(self) -> None:
        """Stop watching. The workspaces' services are not this server's, and go on."""
        self.watchers.stop()
