"""Extension: everything that `%load_ext jupyter_mlops` puts into a shell, and takes out again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from IPython.core.error import UsageError

from ..errors import MLOpsError
from ..session import Session, current, set_current
from .completer import Matcher
from .hooks import CellHooks
from .magic import Magic, MagicFunction
from .progress import Progress

__all__ = ["Extension"]

NAMES = ("mlops", "jmlops")


class Extension:
    """What is in one shell.

    Parameters
    ----------
    shell
        IPython's shell.
    session
        The session to work on; by default one on the current folder.
    """

    def __init__(self, shell: Any, session: Session | None = None) -> None:
        try:
            self.session = session or Session.open()
        except MLOpsError as error:
            raise UsageError(str(error)) from None
        self.shell = shell
        self.name = self._free_name()
        self.progress = Progress(shell)
        self.magic = Magic(shell, self.session, self.name, self.progress)
        self.hooks = CellHooks(shell, self.session, self.magic, self.progress)
        self.matcher = Matcher(self.magic)
        self._connect()
        shell.register_magic_function(MagicFunction(self.magic), "line_cell", self.name)
        self.hooks.register()
        shell.Completer.custom_matchers.append(self.matcher)
        set_current(self.session)

    def close(self) -> None:
        """Leave the shell as it was."""
        self.hooks.unregister()
        self.session.track("off")
        if self.matcher in self.shell.Completer.custom_matchers:
            self.shell.Completer.custom_matchers.remove(self.matcher)
        for kind in ("line", "cell"):
            self.shell.magics_manager.magics[kind].pop(self.name, None)
        for hook in ("transform_cell", "live", "show", "listen_to_displays"):
            self.session.context.hooks.pop(hook, None)
        self.session.context.namespace = None
        self.session.context.progress = lambda _line: None
        if current() is self.session:
            set_current(None)

    def _connect(self) -> None:
        """Hand the session what only a kernel has."""
        context = self.session.context
        context.namespace = self.shell.user_ns
        context.progress = self.progress
        # How the pipelines stage reads cells that hold magics.
        context.hooks["transform_cell"] = self.shell.input_transformer_manager.transform_cell
        # Whether a widget made now can come alive: read by whoever draws, at the time of drawing.
        context.hooks["live"] = self._live
        context.hooks["locate_notebook"] = self.magic.locate_notebook
        # What long work shows of itself on the way; taken away when the result is there.
        context.hooks["show"] = self.progress.show
        # What cells show during a run.
        context.hooks["listen_to_displays"] = self._listen

    def _listen(self, shown: Callable[[Any], None]) -> Callable[[], None]:
        """Call `shown` with whatever is displayed from now on; gives what ends that."""
        formatter: Any = self.shell.display_formatter
        before = formatter.format

        def listening(thing: Any, *args: Any, **kwargs: Any) -> Any:
            shown(thing)
            return before(thing, *args, **kwargs)

        def forget() -> None:
            if vars(formatter).get("format") is listening:
                del formatter.format

        formatter.format = listening
        return forget

    def _live(self) -> bool:
        """Whether a frontend that runs our labextension may be at the other end of this kernel.

        VS Code and Colab show the static form; so does whoever runs a notebook without a Jupyter server.
        """
        if getattr(self.shell, "kernel", None) is None:
            return False
        namespace = self.shell.user_ns
        if "__vsc_ipynb_file__" in namespace or "google.colab" in sys.modules:
            return False
        return bool(self.session.context.settings.in_jupyter_server())

    def _free_name(self) -> str:
        wanted, other = NAMES
        if self.shell.find_line_magic(wanted) is None and self.shell.find_cell_magic(wanted) is None:
            return wanted
        print(f"%{wanted} belongs to another extension; use %{other} and %%{other} here.", file=sys.stderr)  # noqa: T201 a message to the user
        return other
