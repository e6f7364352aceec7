"""A load of requests on a deployment, of which none may be lost."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.serving.client import body_of
from jupyter_mlops.serving.deployment_folder import DeploymentFolder, find
from jupyter_mlops.serving.inference_log import read
from jupyter_mlops.session import Session

TABLE = pd.DataFrame({"age": np.arange(60) % 17 * 1.5, "children": np.arange(60) % 4})


@pytest.fixture(scope="module")
def three_versions(make_session: Callable[..., Session]) -> Session:
    """Three versions: 1 and 2 predict much alike, 3 always says `many`."""
    from sklearn.tree import DecisionTreeClassifier

    session = make_session()
    target = np.where(TABLE.children > 1, "many", "few")
    for number in (1, 2, 3):
        labels = target if number < 3 else np.where(TABLE.age > -1, "many", "few")
        model = DecisionTreeClassifier(max_depth=number, random_state=0).fit(TABLE, labels)
        session.register(model, name="kids", data=TABLE, alias={1: "champion", 2: "challenger", 3: "constant"}[number])
    session.deploy("kids@champion", workers=2)
    return session


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


class Load:
    """Asks without pause over several connections; a connection that breaks is opened again and the request sent again."""

    def __init__(self, session: Session, name: str = "kids") -> None:
        home = session.context.workspace.home
        self.stored = find(home, name)
        self.folder = DeploymentFolder.of(home, name)
        self.token = self.folder.token()
        self.answered: dict[str, str] = {}
        self.failed: list[str] = []
        self.again = 0
        self.began_ms = int(time.time() * 1000) - 1000
        self._stop = threading.Event()

    def _ask(self) -> None:
        body = body_of(TABLE.head(1))
        connection = HTTPConnection(self.stored.host, self.stored.port, timeout=30)
        while not self._stop.is_set():
            request_id = uuid.uuid4().hex
            headers = {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.token}",
                "X-Request-Id": request_id,
            }
            for attempt in range(20):
                try:
                    connection.request("POST", "/invocations", body, headers)
                    response = connection.getresponse()
                    told = response.read()
                    break
                except (OSError, HTTPException) as error:
                    connection.close()
                    self.again += 1
                    if attempt == 19:
                        self.failed.append(repr(error))
                    time.sleep(0.02)
            if response.status == 200:
                self.answered[request_id] = response.headers["X-Model-Version"]
            else:
                self.failed.append(f"{response.status} {told[:200]!r}")
        connection.close()

    @contextmanager
    def unjudged(self, connections: int = 4) -> Iterator[Load]:
        """Under load, whatever comes of it."""
        threads = [threading.Thread(target=self._ask) for _ in range(connections)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.3)
            yield self
            time.sleep(0.3)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def unlogged(self) -> set[str]:
        """What was answered and is not in the log."""
        ids = read(self.folder.log, since_ms=self.began_ms).inputs.index
        return set(self.answered) - {name.rpartition("-")[0] for name in ids}

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Under load, of which not one request may fail or be unlogged."""
        with self.unjudged():
            yield self
        assert not self.failed, self.failed[:3]
        assert self.answered
        assert not self.unlogged()


def ask(session: Session, count: int, name: str = "kids", **headers: str) -> Counter[str]:
    stored, folder = (
        find(session.context.workspace.home, name),
        DeploymentFolder.of(session.context.workspace.home, name),
    )
    connection = HTTPConnection(stored.host, stored.port, timeout=30)
    sent = {"Content-Type": "application/json", "Authorization": f"Bearer {folder.token()}"}
    found: Counter[str] = Counter()
    for _ in range(count):
        connection.request("POST", "/invocations", body_of(TABLE.head(1)), sent | headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        found[response.headers["X-Model-Version"]] += 1
    connection.close()
    return found
