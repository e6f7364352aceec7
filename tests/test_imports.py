"""Who may import whom, and what may import what from outside: the design's table, walked over every module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_mlops

PACKAGE = Path(jupyter_mlops.__file__).parent
BASE = {"domain", "errors"}
STAGES = ("tracking", "datasets", "evaluation", "registry", "serving", "monitoring", "pipelines", "retraining")

# folder or module -> what it may import of ours; "store" only in the parts that run inside the service or a server
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "domain": {"errors"},
    "settings": BASE,
    "analysis": BASE,
    "store": BASE | {"settings"},
    **{stage: BASE | {"settings", "store", "analysis", *STAGES[:i]} for i, stage in enumerate(STAGES)},
    "audit": BASE | {"settings", "store", *STAGES},
    "service": BASE | {"settings", "store", "audit", *STAGES},
    "panel_commands": BASE,
    "hooks": BASE | {*STAGES},
    "session": BASE | {"hooks", "settings", "service", "audit", "panel_commands", *STAGES},
    "widgets": BASE | {"session"},
    "magics": BASE | {"session", "widgets"},
    "server": BASE | {"session"},
    "cli": BASE | {"session", "__version__"},
    "__init__": BASE | {"session", "magics", "widgets", "server"},
}
INSIDE_SERVICE = ("operations", "supervisor", "drains", "writing", "server", "load")
CLIENT = {"client.py": BASE | {"settings", "service"}, "wire.py": BASE | {"settings", "service"}}

# outside package -> the only places that may import it
ONLY: dict[str, tuple[str, ...]] = {
    "mlflow": ("store/", "tracking/user_mlflow.py", "pipelines/standalone/log.py"),
    "sqlalchemy": ("store/",),
    "IPython": ("magics/",),
    "ipywidgets": ("widgets/",),
    "anywidget": ("widgets/",),
    "plotly": ("widgets/", "pipelines/standalone/passing_objects.py"),
    "jupyter_server": ("server/",),
    "tornado": ("server/",),
    "uvicorn": ("serving/",),
}
STANDARD = set(sys.stdlib_module_names)


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "templates" not in p.parts and "labextension" not in p.parts)


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """What a module imports: dotted name from the package's root for ours (``.domain.run``), line, only for types.

    An import inside a ``to_pandas`` counts as one for types: whoever calls it has asked for pandas.
    """
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        or (isinstance(node, ast.FunctionDef) and node.name == "to_pandas")
        for inner in ast.walk(node)
    }
    here = path.relative_to(PACKAGE).with_suffix("").parts
    found = []
    for node in ast.walk(tree):
        only = id(node) in typing_only
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, only) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((node.module or "", node.lineno, only))
        elif isinstance(node, ast.ImportFrom):
            package = here[: len(here) - node.level + (here[-1] == "__init__" and node.level == 0)]
            parts = [*package, *(node.module.split(".") if node.module else [])]
            names = [[*parts, alias.name] for alias in node.names] if not node.module else [parts]
            found += [("." + ".".join(name), node.lineno, only) for name in names]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    place = relative.parts[0].removesuffix(".py")
    allowed = ALLOWED[place] | {place}
    if place == "service" and relative.name in CLIENT:
        allowed = CLIENT[relative.name]
    for name, line, typing_only in imports(path):
        where = f"{relative}:{line} imports {name}"
        if name.startswith("."):
            target = name.split(".")[1]
            assert target in allowed, where
            if target == "store" and place in STAGES and not typing_only:
                assert relative.stem.startswith(INSIDE_SERVICE), f"{where}: not a part that runs inside the service"
            continue
        top = name.split(".")[0]
        assert top != "jupyter_mlops", f"{where}: import relatively"
        if place in ("domain", "errors") and not typing_only:
            assert top in STANDARD, where
        if top in ONLY and not typing_only:
            assert str(relative).startswith(ONLY[top]), where


def test_every_folder_of_the_design_is_in_the_table() -> None:
    there = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert there == set(ALLOWED)


HEAVY = ("mlflow", "pandas", "sklearn", "scipy", "plotly", "ipywidgets", "numpy", "pyarrow", "sqlalchemy")


@pytest.mark.parametrize("module", ["jupyter_mlops", "jupyter_mlops.session", "jupyter_mlops.cli"])
def test_importing_costs_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_utils_module_anywhere() -> None:
    assert not [p for p in modules() if p.stem in ("utils", "util", "helpers", "misc")]


def test_what_the_tests_import_is_there() -> None:
    """A name that moved is told at once and by itself, not by a file that cannot be collected."""
    missing = []
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or node.level or (node.module or "").split(".")[0] != PACKAGE.name:
                continue
            source = PACKAGE.joinpath(*(node.module or "").split(".")[1:])
            file = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
            names = set(re.findall(r"\w+", file.read_text())) if file.exists() else set()
            missing += [
                f"{path.name}:{node.lineno} {alias.name}"
                for alias in node.names
                if alias.name not in names
                and not (source / f"{alias.name}.py").exists()
                and not (source / alias.name).is_dir()
            ]
    assert not missing
