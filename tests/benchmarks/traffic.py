"""Traffic: changes of traffic, rollbacks and kills of a worker under load, and what the inference log costs.

Failed is a request that got no 200 in the end; a client whose connection a killed worker takes with it sends its request
again, as HTTP clients do, and those are counted apart. Unlogged is a 200 that the inference log does not hold.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from jupyter_mlops.session import Session

from .figures import compared

TIMES = 20


def main() -> None:
    """Twenty of each, one after the other, each under load."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
    from under_load import TABLE, Load  # the load is the tests' own

    target = np.where(TABLE.children > 1, "many", "few")
    with tempfile.TemporaryDirectory() as folder:
        session = Session.open(root=Path(folder))
        for depth in (1, 2):
            model = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(TABLE, target)
            session.register(model, name="kids", data=TABLE, alias="champion" if depth == 1 else "challenger")
        session.deploy("kids@champion", workers=2)
        try:
            seconds = []
            for what in ("traffic change", "rollback", "worker kill"):
                failed, unlogged, again, answered = [], 0, 0, 0
                for number in range(TIMES):
                    load = Load(session)
                    with load.unjudged() as load:
                        if what == "traffic change":
                            session.traffic("kids", [f"kids@2={10 + number * 4}%"])
                        elif what == "rollback":
                            session.promote("kids@2", to="champion")
                            while session.deployments()[0].model != "kids@2":
                                time.sleep(0.1)
                            began = time.perf_counter()
                            session.rollback("kids")
                            seconds.append(time.perf_counter() - began)
                        else:
                            gone = session.deployments()[0].workers[0].pid
                            os.kill(gone, signal.SIGKILL)
                            while len(w := session.deployments()[0].workers) < 2 or gone in {x.pid for x in w}:
                                time.sleep(0.1)
                    failed += load.failed
                    unlogged += len(load.unlogged())
                    again += load.again
                    answered += len(load.answered)
                if what == "traffic change":
                    session.traffic("kids", ["champion=100%"])
                told = f"{TIMES} times under load: {answered:,} answered, {again} sent again"
                for kind, count in (("failed", len(failed)), ("unlogged", unlogged)):
                    compared(
                        "traffic",
                        f"{what}, {kind} requests",
                        "requests",
                        [float(count)],
                        told,
                        [1.0],
                        goal=0.0,
                        goal_is="at most",
                    ).report()
            print(f"rollback: {min(seconds):.3f} to {max(seconds):.3f} s, median {statistics.median(seconds):.3f}")
            compared(
                "traffic",
                "rollback, alias and deployment",
                "s",
                seconds,
                "a second",
                [1.0] * len(seconds),
                goal=1.0,
                goal_is="at most",
            ).report()
        finally:
            session.undeploy("kids")
            session.service.stop()
