"""Environment: which distributions a pipeline needs, pinned, and which modules of the project it must bring along."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

__all__ = ["local_modules", "pinned"]

# What a library loads by itself when the pipeline's text speaks of it.
ENGINES = {"parquet": "pyarrow", "excel": "openpyxl", "feather": "pyarrow"}


OTHERWISE = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "mpl_toolkits": "matplotlib",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Distributions that are called otherwise than the package they hold."""


def pinned(packages: Iterable[str], text: str) -> dict[str, str]:
    """The distributions that hold these packages, with the versions that are installed.

    Parameters
    ----------
    packages
        Top-level import names.
    text
        The pipeline, for the libraries that others load by themselves.

    Examples
    --------
    >>> sorted(pinned(["json", "numpy"], "")) == ["numpy"]
    True
    """
    wanted = {package for package in packages if package not in sys.stdlib_module_names}
    wanted |= {engine for word, engine in ENGINES.items() if word in text and engine in sys.modules}
    found: dict[str, str] = {}
    for package in wanted:
        # what is installed for development is in no list, but has its package's name as a rule
        name = _owner(package) or package.replace("_", "-")
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # a module of the project
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def local_modules(packages: Iterable[str], folder: Path) -> dict[str, Path]:
    """Modules and packages of the project itself among these, with those they import: by name, a file or a folder.

    Only what lies under `folder` and belongs to no installed distribution.
    """
    found: dict[str, Path] = {}
    waiting = list(packages)
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name in found or not file or not Path(file).is_relative_to(folder) or _owner(name):
            continue
        path = Path(file)
        found[name] = path.parent if path.name == "__init__.py" else path
        for source in found[name].rglob("*.py") if found[name].is_dir() else [path]:
            waiting += _imported(source)
    return found


def _owner(package: str) -> str:
    """The distribution that holds a package; empty for none.

    Nearly all are called as their package is, which is looked at first: to read what all hold takes a second.
    """
    for name in dict.fromkeys((OTHERWISE.get(package, package), package.replace("_", "-"))):
        try:
            found = metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):
            continue
        places = (found.locate_file(package), found.locate_file(f"{package}.py"))
        if any(Path(str(place)).exists() for place in places):
            return str(found.metadata["Name"])
    return next(iter(_owners(_installed_now()).get(package, [])), "")


def _installed_now() -> tuple[tuple[str, int], ...]:
    """Where packages come from, and when something was last installed there."""
    return tuple((place, Path(place).stat().st_mtime_ns) for place in sys.path if Path(place).is_dir())


@lru_cache(maxsize=2)
def _owners(_installed: tuple[tuple[str, int], ...]) -> dict[str, list[str]]:
    """The distributions that hold each package; to read all of them takes a second."""
    return {name: list(owners) for name, owners in metadata.packages_distributions().items()}


def _imported(source: Path) -> set[str]:
    try:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return set()
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return {name.partition(".")[0] for name in names}
