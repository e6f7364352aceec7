"""Places: from a path as Jupyter's pages know it to a session on the workspace around it, never outside the root folder."""

from __future__ import annotations

from pathlib import Path

from ..domain.workspace import Actor, Notebook
from ..errors import InvalidArgument
from ..session import Session

__all__ = ["inside", "session_at"]


def inside(root: Path, path: str) -> Path:
    """The file or folder at `path` below `root`; it need not exist.

    Raises
    ------
    InvalidArgument
        The path leads out of `root`, by its parts or by a link.

    Examples
    --------
    >>> inside(Path("/"), "/tmp/../etc")
    Traceback (most recent call last):
        ...
    jupyter_mlops.errors.InvalidArgument: the path '/tmp/../etc' is not below Jupyter's root folder. ...
    """
    parts = [part for part in path.split("/") if part]
    root = root.resolve()
    found = root.joinpath(*parts).resolve() if "\0" not in path and ".." not in parts else None
    if found is None or not found.is_relative_to(root):
        raise InvalidArgument(
            f"the path {path!r} is not below Jupyter's root folder.", hint="Give a path as the file browser shows it."
        )
    return found


def session_at(root: Path, path: str) -> Session:
    """A session on the workspace that holds the notebook or folder at `path`; for one request.

    Opening one costs a millisecond, so that none is shared: it carries who asks from which notebook.
    """
    place = inside(root, path)
    notebook = str(place) if place.suffix == ".ipynb" else ""
    while not place.is_dir():
        place = place.parent
    session = Session.open(place)
    context = session.context
    context.actor = Actor(context.actor.user, context.actor.host, "panel", notebook)
    context.notebook = Notebook(notebook)
    return session
