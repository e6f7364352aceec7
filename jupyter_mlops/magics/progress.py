"""Progress: one line that is written over, in a notebook and in a terminal; plain lines in a file."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from html import escape
from typing import Any

from IPython.display import display

__all__ = ["Progress"]

EVERY = 0.1  # seconds between two updates of the line: a frontend that falls behind shows nothing at all
PICTURE_EVERY = 1.0  # the same for a whole picture
AFTER = 0.5  # seconds before there is a line at all: what is done by then needs none, and leaves no empty output
STYLE = "font-size:90%;opacity:.7"


class Progress:
    """Shows the line of what is being done now.

    Parameters
    ----------
    shell
        IPython's shell; one with a kernel updates a display, another prints.
    """

    def __init__(self, shell: Any) -> None:
        self._notebook = getattr(shell, "kernel", None) is not None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._handle: Any = None
        self._shown = 0.0
        self._line = ""
        self._pictures: dict[str, Any] = {}
        self._pictured = 0.0

    def __call__(self, line: str) -> None:
        """Show `line` in the place of the one before, once the work has taken a while; an empty one shows nothing."""
        with self._lock:
            if line == self._line:
                return
            self._line = line
            if not self._notebook:
                self._write(line)
            elif self._handle is not None:
                if not line or time.monotonic() - self._shown >= EVERY:
                    self._show()
            elif self._timer is None:
                self._timer = threading.Timer(AFTER, self._begin)
                self._timer.daemon = True
                self._timer.start()

    def show(self, key: str, thing: Any, *, stays: bool = False) -> None:
        """Show a result as it stands in the place of the one of the same key before; in a notebook only.

        Parameters
        ----------
        key
            One for each piece of work.
        thing
            Anything with a MIME bundle.
        stays
            This is how it was in the end: it stays when the work is done.
        """
        now = time.monotonic()
        if not self._notebook or (now - self._pictured < PICTURE_EVERY and not stays):
            return
        self._pictured = now
        try:
            drawn = {"text/plain": str(thing), **thing._repr_mimebundle_()}
            if key in self._pictures:
                self._pictures[key].update(drawn, raw=True)
            else:
                self._pictures[key] = display(drawn, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            if stays:
                del self._pictures[key]
        except Exception:  # a display that fails must not fail the work it tells of
            self._pictures.pop(key, None)

    def finish(self) -> None:
        """Take the line away: what was done shows by itself."""
        for handle in self._pictures.values():
            handle.update(_drawn(""), raw=True)
        self._pictures.clear()
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._line and not self._notebook:
                self._write("")
            handle, self._handle, self._timer, self._line = self._handle, None, None, ""
        if handle is not None:
            handle.update(_drawn(""), raw=True)

    def _write(self, line: str) -> None:
        """In a terminal, write over the line before; where there is none, one line after the other."""
        told = f"… {line}" if line else ""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{told[: shutil.get_terminal_size().columns - 1]}\x1b[K")
            sys.stderr.flush()
        elif told:
            sys.stderr.write(f"{told}\n")

    def _begin(self) -> None:
        with self._lock:
            if self._timer is not None and self._line:
                self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        try:
            if self._handle is None:
                self._handle = display(_drawn(self._line), raw=True, display_id=True)  # type: ignore[no-untyped-call]
            else:
                self._handle.update(_drawn(self._line), raw=True)
        except Exception:  # a display that fails must not fail the work it tells of
            self._handle = None


def _drawn(line: str) -> dict[str, str]:
    if not line:
        return {"text/plain": "", "text/html": ""}
    return {"text/plain": f"{line} …", "text/html": f'<span style="{STYLE}">{escape(line)} …</span>'}
