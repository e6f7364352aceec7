"""Magics: what IPython's lines mean in a pipeline: kept as the Python they stand for, left out, or out of our reach.

Cells are read after IPython has turned its own syntax into Python (``get_ipython().run_line_magic("time", "f()")``).
Where no kernel offers that, `plain_transform` does it for the forms that stand at the beginning of a line.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Magic", "find_magic", "plain_transform", "read_magic"]

# Only change what is shown, or ask for something; the pipeline needs none of them.
SHOWS = frozenset(
    name
    for line in """
    aimport alias autoawait autocall automagic autoreload autosave cat cd_history colors conda config
    connect_info debug dhist dirs doctest_mode edit env_list gui hist history less lf ll load load_ext lprun ls
    lsmagic lx magic mamba man matplotlib memit micromamba more mprun notebook page pastebin pdb pdef pdoc pfile
    pinfo pinfo2 pip pip_install popd pprint precision prun psearch psource pushd pwd pycat qtconsole recall
    rehashx reload_ext reset_selective save sql_help timeit unalias unload_ext uv watermark who who_ls whos
    xmode
    """.splitlines()
    for name in line.split()
)
SHOWS_CELL = frozenset(("html", "javascript", "js", "latex", "markdown", "memit", "mprun", "prun", "svg", "timeit"))
KEEPS_BODY = frozenset(("capture", "time"))
SYSTEM = ("system", "getoutput")


@dataclass(frozen=True)
class Magic:
    """One magic as IPython would call it: ``%name line``, ``%%name line`` with a body, or ``!line`` (name ``!``)."""

    name: str
    line: str
    body: str | None = None

    @property
    def title(self) -> str:
        """As the user knows it: ``%env``, ``%%bash``, ``!ls``."""
        if self.name == "!":
            return "!" + self.line.strip().partition(" ")[0]
        return ("%" if self.body is None else "%%") + self.name


@dataclass(frozen=True)
class Meaning:
    """What a magic comes to: ``code`` to run in its place, ``shown`` and not needed, or ``opaque``."""

    kind: Literal["code", "shown", "opaque"]
    code: str = ""


def read_magic(magic: Magic) -> Meaning:
    r"""What a magic that is not ours means.

    Examples
    --------
    >>> read_magic(Magic("env", "DEPTH=3"))
    Meaning(kind='code', code="import os\nos.environ['DEPTH'] = '3'")
    >>> read_magic(Magic("matplotlib", "inline")).kind, read_magic(Magic("!", "ls")).kind
    ('shown', 'opaque')
    """
    name, line = magic.name, magic.line.strip()
    if magic.body is not None:
        if name in KEEPS_BODY:
            return Meaning("code", magic.body)
        return Meaning("shown" if name in SHOWS_CELL else "opaque")
    if name == "time":
        return Meaning("code", line)
    if name in ("env", "set_env"):
        key, equals, value = line.partition("=")
        if not equals:
            key, _, value = line.partition(" ")
        if not value:
            return Meaning("shown")
        if "$" in value or "{" in value:
            return Meaning("opaque")
        return Meaning("code", f"import os\nos.environ[{key.strip()!r}] = {value.strip()!r}")
    if name == "cd" and line and "$" not in line and not line.startswith("-"):
        folder = line.strip("'\"")
        return Meaning("code", f"import os\nos.chdir({folder!r})")
    if name == "!":
        return Meaning("shown" if re.match(r"(python -m )?(pip|conda|mamba|uv) ", line) else "opaque")
    return Meaning("shown" if name in SHOWS else "opaque")


def find_magic(node: ast.AST) -> Magic | None:
    """The magic that a call stands for, as IPython writes it; None for any other node."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    owner = node.func.value
    if not (isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "get_ipython"):
        return None
    given = [arg.value if isinstance(arg, ast.Constant) and isinstance(arg.value, str) else "" for arg in node.args]
    if node.func.attr == "run_line_magic" and len(given) >= 2:
        return Magic(given[0], given[1])
    if node.func.attr == "run_cell_magic" and len(given) >= 3:
        return Magic(given[0], given[1], given[2])
    if node.func.attr in SYSTEM and given:
        return Magic("!", given[0])
    return Magic(node.func.attr, ast.unparse(node))


_LINE = re.compile(r"^(?P<head>\s*(?:[A-Za-z_][\w, ]*=\s*)?)(?P<mark>%|!!?)(?P<rest>[^%=\s].*)$")
_HELP = re.compile(r"^\s*(\?{1,2}\s*[\w.*]+|[\w.*]+\s*\?{1,2})\s*$")


def plain_transform(source: str) -> str:
    """Turn IPython's syntax into calls as IPython does, for whole lines.

    Examples
    --------
    >>> plain_transform("x = %mlops data load adult@v3")
    "x = get_ipython().run_line_magic('mlops', 'data load adult@v3')"
    """
    text = source.lstrip("\n")
    if text.startswith("%%"):
        head, _, body = text.partition("\n")
        name, _, line = head[2:].partition(" ")
        return f"get_ipython().run_cell_magic({name!r}, {line.strip()!r}, {body!r})"
    try:
        ast.parse(source)
    except SyntaxError:
        return "\n".join(_transform_line(line) for line in source.split("\n"))
    return source


def _transform_line(line: str) -> str:
    if _HELP.match(line):
        blanks = line[: len(line) - len(line.lstrip())]
        return f"{blanks}get_ipython().run_line_magic('pinfo', {line.strip().strip('?')!r})"
    found = _LINE.match(line)
    if found is None:
        return line
    if found["mark"] == "%":
        name, _, rest = found["rest"].partition(" ")
        return f"{found['head']}get_ipython().run_line_magic({name!r}, {rest.strip()!r})"
    call = "getoutput" if found["head"].strip() else "system"
    return f"{found['head']}get_ipython().{call}({found['rest']!r})"
