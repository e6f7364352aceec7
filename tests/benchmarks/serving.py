"""Single-row predictions over HTTP, against ``mlflow models serve`` on the same model."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jupyter_mlops.session import Session

from .figures import compared

SECONDS = 5.0
CONNECTIONS = 16


def rate(port: int, headers: dict[str, str], body: bytes) -> float:
    """Requests a second that `CONNECTIONS` kept-open connections get answered, over a few seconds."""
    counts: list[int] = []
    deadline = time.monotonic() + SECONDS

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        answered = 0
        while time.monotonic() < deadline:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            answer.read()
            answered += answer.status == 200
        counts.append(answered)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


@contextmanager
def stock(uri: str, model: str) -> Iterator[int]:
    """MLflow's own server with two workers, as its command starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "-p", str(port), "-w", "2"]
    server = subprocess.Popen(
        [*command, "--env-manager", "local"],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(240):
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=2).request("GET", "/ping")
                break
            except OSError:
                time.sleep(0.5)
        time.sleep(5)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def main() -> None:
    """Measure both in turn, each server up for the whole run."""
    table, target = load_diabetes(return_X_y=True, as_frame=True)
    table = table.assign(sex=(table["sex"] > 0).map({True: "f", False: "m"}))
    numbers = [c for c in table if c != "sex"]

    columns = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(sparse_output=False), ["sex"]))
    model = make_pipeline(columns, HistGradientBoostingRegressor()).fit(table, target)
    body = orjson.dumps({"dataframe_records": table.head(1).to_dict("records")})
    with tempfile.TemporaryDirectory() as folder:
        session = Session.open(root=Path(folder))
        session.register(model, name="bench", data=table, alias="champion")
        deployment = session.deploy("bench@champion")
        token = Path(deployment.token_file).read_text().strip()
        ours_port = int(deployment.url.rsplit(":", 1)[1])
        try:
            with stock(session.context.workspace.tracking_uri, "models:/bench@champion") as port:
                pairs = [
                    (rate(ours_port, {"Authorization": f"Bearer {token}"}, body), rate(port, {}, body))
                    for _ in range(4)
                ][1:]
        finally:
            session.undeploy("bench")
            session.service.stop()
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    compared(
        "serving",
        f"1 row, {CONNECTIONS} connections",
        "req/s",
        ours,
        "mlflow models serve, 2 workers",
        theirs,
        goal=200,
        more_is_better=True,
    ).report()
