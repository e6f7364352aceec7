"""Our own lines: what `%mlops ...`, `mlops.register(...)` and `run.log_metric(...)` are to a pipeline.

Loading a data version is code of the pipeline. What is logged or registered are its results. The rest acts on the
workspace, and is no part of what gives the results.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Literal

from ..domain.command_line import split
from ..errors import InvalidArgument

__all__ = ["METRIC_CALL", "Own", "Scope", "metric_calls", "metric_name", "read_line"]

NAMES = ("mlops", "jmlops")
_REF = re.compile(r"[A-Za-z0-9][\w.-]*(@[\w.-]+)?")
METRIC_CALL = re.compile(r"(\w+_(score|error|loss|deviance|scores)|score|confusion_matrix|classification_report|auc)")


@dataclass(frozen=True)
class Own:
    """What a line or call of ours comes to.

    Parameters
    ----------
    kind
        ``code`` to run in its place, ``action`` on the workspace, ``results`` logged, or ``opaque``: it binds
        something that only the workspace can give.
    results
        What it logs or registers: a name for it, and the expression.
    """

    kind: Literal["code", "action", "results", "opaque"]
    title: str
    code: str = ""
    binds: str = ""
    results: tuple[tuple[str, ast.expr], ...] = ()


def read_line(line: str) -> Own:
    """What ``%mlops LINE`` is.

    Examples
    --------
    >>> read_line("data load adult@v3 -o df").code
    'df = mlops.data.load("adult@v3")'
    >>> read_line("deploy clf@champion").kind
    'action'
    """
    try:
        words = split(line)
    except InvalidArgument:
        return Own("opaque", f"%mlops {line}")
    binds, rest = "", []
    queue = iter(words)
    for word in queue:
        if word in ("-o", "--into"):
            binds = next(queue, "")
        elif word.startswith("--into="):
            binds = word.removeprefix("--into=")
        else:
            rest.append(word)
    title = "%mlops " + " ".join(rest[:2] if rest[:1] == ["data"] else rest[:1])
    if rest[:2] == ["data", "load"] and len(rest) == 3 and _REF.fullmatch(rest[2]):
        code = f'mlops.data.load("{rest[2]}")'
        return Own("code", title, f"{binds} = {code}" if binds else code, binds)
    if rest[:1] == ["register"]:
        pairs = zip(["", *rest[1:]], rest[1:], strict=False)  # a word after an option is the option's
        loose = [word for before, word in pairs if before in ("", "--allow-pickle") or not before.startswith("--")]
        model = next((word for word in loose if word.isidentifier()), "")
        results: tuple[tuple[str, ast.expr], ...] = ((model, ast.Name(model, ast.Load())),) if model else ()
        return Own("action", title, binds=binds, results=results)
    if rest[:1] in (["export"], ["verify"]):
        binds = ""  # the directory
    return Own("opaque" if binds else "action", title, binds=binds)


@dataclass
class Scope:
    """The names by which the notebook calls us and MLflow, and the runs it holds."""

    ours: set[str] = field(default_factory=set)
    mlflow: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    own_display: bool = False
    """The notebook has a function or class `display` of its own."""

    def note(self, node: ast.stmt) -> None:
        """Take in what a statement binds."""
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == "display":
            self.own_display = True
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                if alias.name == "jupyter_mlops":
                    self.ours.add(bound)
                elif alias.name.partition(".")[0] == "mlflow":
                    self.mlflow.add(bound)

    def is_run(self, node: ast.expr) -> bool:
        """Whether this is ``mlops.run(...)`` or ``mlflow.start_run(...)``."""
        chain = _chain(node.func) if isinstance(node, ast.Call) else []
        return (chain[1:] == ["run"] and chain[0] in self.ours) or (
            chain[1:] == ["start_run"] and chain[0] in self.mlflow
        )

    def enter(self, node: ast.With | ast.AsyncWith) -> bool:
        """Whether a ``with`` is only there to record a run; remembers the name it gives the run."""
        if not all(self.is_run(item.context_expr) for item in node.items):
            return False
        self.runs |= {item.optional_vars.id for item in node.items if isinstance(item.optional_vars, ast.Name)}
        return True

    def read_call(self, node: ast.AST) -> Own | None:
        """What a call of ours or of MLflow is; None for any other node, and for what stays as it is."""
        if not isinstance(node, ast.Call):
            return None
        chain = _chain(node.func)
        if len(chain) < 2 or chain[0] not in self.ours | self.mlflow | self.runs:
            return None
        title, verb = ".".join(chain) + "()", chain[-1]
        if chain[0] in self.ours and chain[1:] == ["data", "load"]:
            return None
        if verb in ("log_metric", "log_metrics"):
            return Own("results", title, results=_logged(node))
        if chain[0] in self.runs:
            return Own("action", title)
        results: tuple[tuple[str, ast.expr], ...] = ()
        if verb in ("register", "log_model") and node.args:
            results = (("model", node.args[0]),)
        return Own("action", title, results=results)


def metric_calls(node: ast.expr) -> list[ast.Call]:
    """The outermost calls of metrics in an expression."""
    if isinstance(node, ast.Call):
        chain = _chain(node.func)
        if chain and METRIC_CALL.fullmatch(chain[-1]):
            return [node]
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return []  # what they call depends on names of their own
    inner: list[ast.expr] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            inner.append(child)
        elif isinstance(child, ast.keyword):
            inner.append(child.value)
    return [call for child in inner for call in metric_calls(child)]


def metric_name(call: ast.Call) -> str:
    """A name for what a metric's call gives.

    Examples
    --------
    >>> metric_name(ast.parse("accuracy_score(y, p)").body[0].value), metric_name(ast.parse("clf.score(X, y)").body[0].value)
    ('accuracy', 'clf_score')
    """
    chain = _chain(call.func)
    if chain[-1] == "score" and len(chain) > 1:
        return f"{chain[-2]}_score"
    return chain[-1].removesuffix("_score") or chain[-1]


def _logged(node: ast.Call) -> tuple[tuple[str, ast.expr], ...]:
    given = [*node.args, *(k.value for k in node.keywords)]
    if len(given) >= 2 and isinstance(given[0], ast.Constant):
        return ((_identifier(str(given[0].value)), given[1]),)
    if given and isinstance(given[0], ast.Dict):
        pairs = zip(given[0].keys, given[0].values, strict=True)
        return tuple((_identifier(str(k.value)), v) for k, v in pairs if isinstance(k, ast.Constant))
    if given and isinstance(given[0], ast.Name):
        return ((given[0].id, given[0]),)
    return ()


def _identifier(name: str) -> str:
    made = re.sub(r"\W+", "_", name).strip("_") or "metric"
    return made if made.isidentifier() else f"metric_{made}"


def _chain(node: ast.expr) -> list[str]:
    """``a.b.c`` as its names; what is not written so begins with an empty name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [*_chain(node.value), node.attr]
    return [""]
