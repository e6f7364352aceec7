"""Notebook file: what an .ipynb tells that a kernel does not know: headings, tags, the order of the cells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument, NotFound
from .trace import Execution

__all__ = ["FileCell", "NotebookFile"]

STEP_TAG = "mlops:step="


@dataclass(frozen=True)
class FileCell:
    """One code cell of the file.

    Parameters
    ----------
    heading
        The nearest Markdown heading above it.
    step
        What its tag ``mlops:step=NAME`` says.
    """

    position: int
    id: str
    source: str
    text: str
    heading: str = ""
    step: str = ""
    is_parameters: bool = False


@dataclass(frozen=True)
class NotebookFile:
    """The code cells of an .ipynb, and when it was saved; those without an id are called by their number."""

    path: Path
    cells: tuple[FileCell, ...]
    saved_ms: int

    @classmethod
    def read(cls, path: Path, transform: Callable[[str], str]) -> NotebookFile:
        """Read an .ipynb.

        Raises
        ------
        NotFound
            There is no such file.
        InvalidArgument
            It is no notebook.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            cells = tuple(_cells(data["cells"], transform))
        except (FileNotFoundError, IsADirectoryError):
            raise NotFound(f"no notebook {str(path)!r}.", hint="Name an .ipynb file that exists.") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidArgument(f"{path} is no Jupyter notebook: {type(error).__name__}: {error}.") from error
        return cls(path, cells, int(path.stat().st_mtime * 1000))

    def find(self, execution: Execution) -> FileCell | None:
        """The cell that was executed: by its id, else by its source."""
        identity = execution.cell.id
        found = next((cell for cell in self.cells if identity and cell.id == identity), None)
        if found is not None:
            return found
        same = [c for c in self.cells if c.source.strip() == execution.cell.source.strip()]
        same = same or [c for c in self.cells if c.text.strip() == execution.text.strip()]
        return same[0] if same else None


def _cells(cells: list[dict[str, Any]], transform: Callable[[str], str]) -> list[FileCell]:
    found: list[FileCell] = []
    heading = ""
    for cell in cells:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            fenced = re.sub(r"^(```|~~~).*?^\1", "", source, flags=re.MULTILINE | re.DOTALL)
            headings = re.findall(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", fenced, re.MULTILINE)
            heading = headings[-1] if headings else heading
        elif cell["cell_type"] == "code":
            tags = [str(tag) for tag in cell.get("metadata", {}).get("tags", [])]
            step = next((tag.removeprefix(STEP_TAG) for tag in tags if tag.startswith(STEP_TAG)), "")
            found.append(
                FileCell(
                    len(found),
                    str(cell.get("id") or f"cell-{len(found)}"),
                    source,
                    transform(source),
                    heading,
                    step,
                    "parameters" in tags,
                )
            )
    return found
