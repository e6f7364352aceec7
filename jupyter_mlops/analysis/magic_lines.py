"""Magics: what IPython's lines mean in a pipeline: kept as the Python they stand for, left out, or out of our reach.

Cells are read after IPython has turned its own syntax into Python (``get_ipython().run_line_magic("time", "f()")``).
Where no kernel offers that, `plain_transform` does it for the forms that stand at the beginning of a line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Magic",
    "find_magic",
    "forgiving",
    "given_value",
    "only_looks",
    "plain_transform",
    "read_magic",
    "seen_runs",
    "shell_call",
    "timed_result",
    "timed_runs",
]

# Only change what is shown, or ask for something; the pipeline needs none of them.
SHOWS = frozenset(
    name
    for line in """
    aimport alias autoawait autocall automagic autoreload autosave cat cd_history colors conda config
    connect_info debug dhist dirs doctest_mode edit env_list gui hist history less lf ll load load_ext lprun ls
    logstart logstop lsmagic lx magic mamba man matplotlib memit micromamba more mprun notebook page pastebin pdb
    pdef pdoc pfile pinfo pinfo2 pip pip_install popd pprint precision psearch psource pushd pwd pycat qtconsole
    recall rehashx reload_ext save sql_help tb timeit unalias unload_ext uv watermark who who_ls whos xmode
    """.splitlines()
    for name in line.split()
)
SHOWS_CELL = frozenset(("html", "HTML", "javascript", "js", "latex", "markdown", "memit", "mprun", "svg", "timeit"))
KEEPS_BODY = frozenset(("capture", "prun", "time"))
SYSTEM = ("system", "getoutput")
SHELLS = {"bash": "bash", "sh": "sh", "zsh": "zsh", "!": "sh", "sx": "sh", "system": "sh"}
FILES = frozenset(("mkdir", "rm", "rmdir", "cp", "mv"))
"""What IPython hands to the shell under the name of a magic."""
PYLAB = """import numpy
import matplotlib
from matplotlib import pylab, mlab, pyplot
np = numpy
plt = pyplot
from pylab import *
from numpy import *"""

_LOOKS = frozenset(
    [
        "cat",
        "conda",
        "date",
        "df",
        "du",
        "echo",
        "file",
        "find",
        "free",
        "git",
        "grep",
        "head",
        "htop",
        "java",
        "jupyter",
        "ls",
        "lscpu",
        "mamba",
        "nproc",
        "nvidia-smi",
        "pip",
        "pip3",
        "ps",
        "pwd",
        "tail",
        "tree",
        "uname",
        "uptime",
        "uv",
        "wc",
        "which",
        "whoami",
    ]
)
"""Shell commands that only show something, unless their output is put into a file."""


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
    ('shown', 'shown')
    >>> print(read_magic(Magic("!", "touch {name}.csv")).code)
    import subprocess
    subprocess.run(f'touch {name}.csv', shell=True, check=False)
    """
    name, line = magic.name, magic.line.strip()
    if magic.body is not None:
        return _read_cell_magic(name, line, magic.body)
    if name in ("time", "prun"):
        return Meaning("code", re.sub(r"^(-\w+\s+(\d+\s+)?)+", "", line)) if line else Meaning("shown")
    if name == "pylab":
        return Meaning("code", PYLAB)
    if name == "xdel" and line.isidentifier():
        return Meaning("code", f"del {line}")
    if name in FILES:
        return Meaning("code", f"import subprocess\n{shell_call(f'{name} {line}')}")
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
        return Meaning("shown") if only_looks(line) else Meaning("code", f"import subprocess\n{shell_call(line)}")
    return Meaning("shown" if name in SHOWS else "opaque")


def given_value(magic: Magic) -> str:
    """The value that a line magic gives, as an expression of `os`; empty for one that gives none, or not such a one.

    Examples
    --------
    >>> given_value(Magic("pwd", "")), given_value(Magic("env", "HOME")), given_value(Magic("env", "DEPTH=3"))
    ('os.getcwd()', "os.environ['HOME']", '')
    """
    line = magic.line.strip()
    if magic.body is not None:
        return ""
    if magic.name == "pwd":
        return "os.getcwd()"
    return f"os.environ[{line!r}]" if magic.name == "env" and line.isidentifier() else ""


def _read_cell_magic(name: str, line: str, body: str) -> Meaning:
    if name in KEEPS_BODY:
        return Meaning("code", body)
    if name in ("writefile", "file") and line:
        words = line.split()
        file, mode = words[-1].strip("'\""), "a" if "-a" in words or "--append" in words else "w"
        if "$" in file or "{" in file:
            return Meaning("opaque")
        return Meaning(
            "code", f'with open({file!r}, {mode!r}, encoding="utf-8") as written:\n    written.write({body!r})'
        )
    script = _read_script(name, line, body)
    if script:
        return Meaning("code", script)
    if name in ("python", "python3") and not line:
        return Meaning(
            "code",
            f"import subprocess\nimport sys\nsubprocess.run([sys.executable], input={body!r}, text=True, check=False)",
        )
    return Meaning("shown" if name in SHOWS_CELL else "opaque")


def _read_script(name: str, line: str, body: str) -> str:
    """``%%bash`` and its like as Python; empty where an option says more than we can do."""
    words = line.split()
    program = words.pop(0) if name == "script" and words else name
    shell = SHELLS.get(program, "") if program != "script" else ""
    kept: dict[str, str] = {}
    while words:
        option, equals, value = words.pop(0).partition("=")
        if option == "--no-raise-error":
            continue
        value = value if equals else words.pop(0) if words else ""
        if option not in ("--out", "--err") or not value.isidentifier():
            return ""
        kept[option] = value
    if not shell:
        return ""
    streams = "".join(
        f", {stream}=subprocess.PIPE" for option, stream in (("--out", "stdout"), ("--err", "stderr")) if option in kept
    )
    call = f"subprocess.run([{shell!r}], input={body!r}, text=True, check=False{streams})"
    names = [f"{value} = {{}}.{'stdout' if option == '--out' else 'stderr'}" for option, value in kept.items()]
    if len(names) == 1:
        return f"import subprocess\n{names[0].format(call)}"
    if names:
        return "import subprocess\n" + "\n".join([f"ran = {call}", *(text.format("ran") for text in names)])
    return f"import subprocess\n{call}"


def only_looks(command: str) -> bool:
    """Whether a shell command is known to only show something, or to install packages.

    Examples
    --------
    >>> only_looks("ls -l data | head"), only_looks("echo a > b.txt"), only_looks("python -m pip install x")
    (True, False, True)
    """
    if ">" in command or "tee " in command or "`" in command:
        return False
    command = re.sub(r"^\s*(sudo |python3? -m )?", "", command)
    parts = [part.split() for part in re.split(r"[|;&]+", command)]
    return all(not words or words[0] in _LOOKS for words in parts) and not re.search(
        r"\bgit (clone|pull|checkout)|-delete|-exec", command
    )


def shell_call(command: str, *, lines: bool = False) -> str:
    """The Python that runs a shell command as IPython does: ``{expression}`` and ``$name`` are filled in.

    Parameters
    ----------
    lines
        Give the lines that it prints.
    """
    text = re.sub(r"(?<!\$)\$([A-Za-z_]\w*)", lambda m: m[0] if m[1].isupper() else "{" + m[1] + "}", command)
    filled = re.search(r"(?<!\{)\{[A-Za-z_][^{}]*\}(?!\})", text) is not None and "'" not in "".join(
        re.findall(r"\{([^{}]*)\}", text)
    )
    given = f"f{text!r}" if filled else repr(command)
    if not lines:
        return f"subprocess.run({given}, shell=True, check=False)"
    return (
        f"subprocess.run({given}, shell=True, check=False, text=True, stdout=subprocess.PIPE, "
        "stderr=subprocess.STDOUT).stdout.splitlines()"
    )


def timed_runs(magic: Magic, seen: int = 0) -> tuple[int, str] | None:
    """How often ``%timeit`` has run its code, and the code; None where it found the number out by itself, or sets up more.

    Parameters
    ----------
    seen
        How often it was seen to run, 0 where that is not known.

    Examples
    --------
    >>> timed_runs(Magic("timeit", "-n 10 -r2 f(x)")), timed_runs(Magic("timeit", "f(x)"), 811)
    ((20, 'f(x)'), (811, 'f(x)'))
    >>> timed_runs(Magic("timeit", "f(x)")), timed_runs(Magic("timeit", "-n1 -r1 x = 0", "f(x)"))
    (None, None)
    """
    given, rest = _timeit_options(magic.line)
    runs = given["n"] * given["r"] if given.keys() >= {"n", "r"} else seen
    if not runs or (magic.body is not None and rest):
        return None
    return runs, rest if magic.body is None else magic.body


def seen_runs(magic: Magic, text: str, counts: Sequence[int]) -> int:
    r"""How often a ``%timeit`` of a cell was seen to run its code; 0 where it cannot be told which of the counts is its.

    Parameters
    ----------
    text
        The cell as IPython runs it.
    counts
        What was counted while the cell ran, one for each ``%timeit`` that came by.

    Examples
    --------
    >>> text = plain_transform("%timeit f()\n%timeit g()")
    >>> seen_runs(Magic("timeit", "g()"), text, [70, 811]), seen_runs(Magic("timeit", "g()"), text, [70])
    (811, 0)
    """
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    calls.sort(key=lambda node: (node.lineno, node.col_offset))
    written = [found for found in map(find_magic, calls) if found is not None and found.name == "timeit"]
    return counts[written.index(magic)] if len(counts) == len(written) and written.count(magic) == 1 else 0


def _timeit_options(line: str) -> tuple[dict[str, int], str]:
    given: dict[str, int] = {}
    rest = line.strip()
    while found := re.match(r"-(?:([nr])\s*(\d+)|[qov]+\b|[tcp]\s*\d*)\s*", rest):
        given |= {found[1]: int(found[2])} if found[1] else {}
        rest = rest[found.end() :]
    return given, rest


def timed_result(bound: str, line: str, *, cell: int) -> str:
    """The Python that gives what ``bound = %timeit -o code`` gives: the seconds a run takes, under IPython's names for them.

    Parameters
    ----------
    cell
        The execution count, for names of its own.
    """
    given, code = _timeit_options(line)
    loops, name = given.get("n", 1), f"timed_{cell}"
    return (
        f"import timeit\nfrom statistics import fmean, pstdev\nfrom types import SimpleNamespace\n"
        f"def {name}():\n    {code}\n"
        f"{name}_runs = [seconds / {loops} for seconds in timeit.repeat({name}, number={loops}, repeat={given.get('r', 3)})]\n"
        f"{bound} = SimpleNamespace(best=min({name}_runs), worst=max({name}_runs), average=fmean({name}_runs), "
        f"stdev=pstdev({name}_runs), timings={name}_runs, all_runs={name}_runs, loops={loops}, repeat=len({name}_runs))"
    )


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


def forgiving(transform: Callable[[str], str]) -> Callable[[str], str]:
    r"""A transformation that leaves what is no Python as it is; IPython's own raises where lines are indented wrongly.

    Examples
    --------
    >>> from IPython.core.inputtransformer2 import TransformerManager
    >>> forgiving(TransformerManager().transform_cell)("if x:\n    y\n  z")
    'if x:\n    y\n  z'
    """

    def transformed(source: str) -> str:
        try:
            return transform(source)
        except SyntaxError:
            return source

    return transformed


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
