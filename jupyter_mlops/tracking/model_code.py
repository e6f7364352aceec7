"""A model's surroundings: the packages it needs, pinned, and the user's own modules that its classes come from."""

from __future__ import annotations

import ast
import platform
import shutil
import site
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from .installed import version

__all__ = ["build_requirements", "copy_code", "python_version", "requirements"]

# what every model folder of ours needs to be read and served by MLflow
OURS = __name__.partition(".")[0]
ALWAYS = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy")
INSTALLED = {"site-packages", "dist-packages"}


def python_version() -> str:
    """This interpreter's version, as MLflow writes it."""
    return platform.python_version()


def requirements(modules: Iterable[str], *, storage: str) -> list[str]:
    """The packages that reading and calling a model needs, pinned to what is installed here.

    Parameters
    ----------
    modules
        The modules that the model's file names.
    storage
        The package that reads the file: ``skops`` or ``cloudpickle``.

    Examples
    --------
    >>> [line.split("==")[0] for line in requirements(["sklearn.svm._classes"], storage="skops")]
    ['mlflow', 'numpy', 'pandas', 'scikit-learn', 'scipy', 'skops']
    """
    roots = {module.partition(".")[0] for module in modules} - {"sklearn", "numpy", "scipy", "pandas"}
    packages = {*ALWAYS, storage}
    for root in roots - sys.stdlib_module_names - {"__main__"}:
        if _own_place(root) is None:
            packages.update(_packages_of(root))
    return [f"{name}=={version(name)}" for name in sorted(packages, key=str.lower) if version(name)]


def build_requirements() -> list[str]:
    """What building the environment needs, as MLflow writes it."""
    return [f"{name}=={version(name)}" if version(name) else name for name in ("pip", "setuptools", "wheel")]


def copy_code(modules: Iterable[str], folder: Path) -> list[str]:
    """Copy the user's own modules among `modules`, and what these import of each other, into `folder`.

    A module is the user's own when it lies outside Python's package folders: a file beside the notebook, or a project
    installed in place. Gives the names of what was copied; makes no folder when there is none.
    """
    waiting = sorted({module.partition(".")[0] for module in modules} - sys.stdlib_module_names)
    done: list[str] = []
    while waiting:
        root = waiting.pop()
        place = _own_place(root)
        if place is None or root in done:
            continue
        done.append(root)
        folder.mkdir(exist_ok=True)
        if place.is_dir():
            shutil.copytree(place, folder / place.name, ignore=_not_python, dirs_exist_ok=True)
            files = sorted((folder / place.name).rglob("*.py"))
        else:
            shutil.copy2(place, folder / place.name)
            files = [place]
        for file in files:
            waiting.extend(name for name in _imports(file) if _lies_beside(name, place))
    return sorted(done)


@cache
def _packages_of(root: str) -> tuple[str, ...]:
    return (root,) if version(root) else tuple(_providers().get(root, ()))


@cache
def _providers() -> dict[str, list[str]]:
    return {name: list(packages) for name, packages in metadata.packages_distributions().items()}


def _own_place(root: str) -> Path | None:
    """The file or folder of a module of the user's own, None for an installed or a built-in one."""
    module = sys.modules.get(root)
    file = getattr(module, "__file__", None)
    if file is None or root in ("__main__", OURS):  # ours is a package like any other, however it was installed
        return None
    path = Path(file).resolve()
    if INSTALLED.intersection(path.parts):  # of another environment too, that this one is layered upon
        return None
    if path.suffix != ".py" or any(path.is_relative_to(place) for place in _package_folders()):
        return None
    return path.parent if path.name == "__init__.py" else path


@cache
def _package_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    places = {sysconfig.get_path(name) for name in names} | set(site.getsitepackages()) | {site.getusersitepackages()}
    return tuple(Path(place).resolve() for place in places if place)


def _lies_beside(root: str, place: Path) -> bool:
    if (place.parent / f"{root}.py").is_file() or (place.parent / root / "__init__.py").is_file():
        return _own_place(root) is not None
    return False


def _imports(file: Path) -> set[str]:
    try:
        tree = ast.parse(file.read_text(errors="replace"))
    except (OSError, SyntaxError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _not_python(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not name.endswith(".py") and not (Path(folder) / name).is_dir()} | {
        name for name in names if name == "__pycache__" or name.startswith(".")
    }
