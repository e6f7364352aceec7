"""Lasting: statements that change how later code works, or how drawings look, without binding a name."""

from __future__ import annotations

import ast
import re

__all__ = ["is_display_option", "is_setting", "sets_style"]

SETTINGS = (
    "warnings.filterwarnings",
    "warnings.simplefilter",
    "pd.set_option",
    "pandas.set_option",
    "np.seterr",
    "numpy.seterr",
    "set_config",
    "sklearn.set_config",
    "locale.setlocale",
    "os.chdir",
    "os.environ",
    "load_dotenv",
    "dotenv.load_dotenv",
    "os.putenv",
    "sys.path",
    "sys.setrecursionlimit",
)
_STYLES = re.compile(
    r"(plt|mpl|pyplot|matplotlib|pylab)\.(style\.use|rc|rcdefaults|rcParams\b.*|set_cmap|rc_file)|(sns|seaborn)\.set(_\w+)?|\w+\.set_style"
)


def is_setting(node: ast.stmt) -> bool:
    """Whether a statement changes how later code works without binding anything."""
    if isinstance(node, (ast.Expr, ast.Assign)) and isinstance(node.value, ast.Call):
        text = ast.unparse(node.value.func)
        shows = any(
            isinstance(a, ast.Constant) and str(a.value).startswith(("display", "styler", "plotting"))
            for a in node.value.args
        )
        if text.startswith(SETTINGS):
            return not (shows or text in ("os.environ.get", "os.environ.copy", "os.environ.items", "os.environ.keys"))
    if isinstance(node, ast.Assign):
        return any(
            ast.unparse(target).startswith(("os.environ[", "pd.options.mode", "pd.options.future"))
            for target in node.targets
        )
    return False


def sets_style(node: ast.stmt) -> bool:
    """Whether a statement says how drawings are drawn from then on."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _STYLES.fullmatch(ast.unparse(node.value.func)) is not None
    return isinstance(node, ast.Assign) and any(_STYLES.fullmatch(ast.unparse(target)) for target in node.targets)


def is_display_option(node: ast.stmt) -> bool:
    """Whether a statement sets how tables and drawings look."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(
        ast.unparse(t).startswith(("pd.options.display", "pd.options.plotting", "plt.rcParams")) for t in targets
    )
