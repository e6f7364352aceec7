"""A deployment whose world turns over, with an exported pipeline that can train for it again, on a workspace of its own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from jupyter_mlops.domain.retrain import Retrain
from jupyter_mlops.session import Session

sys.path.insert(0, str(Path(__file__).parent.parent / "pipelines"))

from played import play

INPUTS = ["a", "b", "era"]
CELLS = [
    "import pandas as pd\nfrom sklearn.tree import DecisionTreeClassifier",
    "path = 'train.csv'",
    "table = pd.read_csv(path)",
    f"clf = DecisionTreeClassifier(max_depth=6, random_state=0).fit(table[{INPUTS}], table['y'])",
]
_rng = np.random.default_rng(0)


def rows(count: int, era: int) -> pd.DataFrame:
    """In the first era `a + b` decides, in the second `a - b`; classes are as frequent in both."""
    table = pd.DataFrame({"a": _rng.normal(size=count), "b": _rng.normal(size=count), "era": float(era)})
    table["y"] = ((table["a"] + table["b"] if era == 0 else table["a"] - table["b"]) > 0).astype(int)
    return table


def served(make_session: Callable[..., Session], root: Path) -> Session:
    """The champion of the first era, deployed, its pipeline in ``good``, and one that fails in ``bad``."""
    make_session(root)
    os.chdir(root)
    rows(600, 0).to_csv("train.csv", index=False)
    session = play(root, list(CELLS))
    namespace = session.context.namespace or {}
    session.data.save(namespace["table"], name="train")
    session.register(namespace["clf"], name="clf", data=session.data.load("train"), alias="champion")
    assert session.export(output="good", targets="clf").verification.ok
    shutil.copytree("good", "bad")
    file = Path("bad/pipeline.py")
    was = "max_depth=6"
    assert was in file.read_text()
    file.write_text(file.read_text().replace(was, "max_depth='deep'"))
    session.deploy("clf@champion")
    return session


def ask(session: Session, count: int, *, label: bool = False, era: int = 1) -> None:
    """Ask the deployment about new rows, and say how they turned out."""
    later = rows(count, era)
    told = session.predict("clf", later[INPUTS])
    if label:
        session.label("clf", told.to_pandas().drop(columns="prediction").assign(label=later["y"].to_numpy()))


def kill_service(session: Session) -> None:
    """Kill the service as a machine that fails would; the next call starts it again."""
    pid = session.status().service_pid
    assert pid
    os.kill(pid, signal.SIGKILL)


def until(said: Callable[[], bool], seconds: float = 90, every: Callable[[], None] = lambda: None) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < deadline, "it never came"
        every()
        time.sleep(0.3)


def job_in(session: Session, *states: str) -> Retrain | None:
    """The newest retrain if it is in one of these states."""
    found = session.retrains("clf")
    return found[0] if len(found) and found[0].state in states else None


def actions(session: Session, word: str) -> list[str]:
    """What the audit trail has, oldest first, of actions with a beginning."""
    return [e.action for e in reversed(tuple(session.audit(limit=500))) if e.action.startswith(word)]


def champion(session: Session) -> str:
    """The version that the alias points to."""
    (found,) = [m.ref for m in session.models("clf") if "champion" in m.aliases]
    return found
