"""Predictions over HTTP on two processes, against ``mlflow models serve`` and against a constant answer of the same server.

The load is `wrk`'s where it is installed (``apt install wrk``), on the same machine. MLflow runs once as its command runs
where it alone is installed (asyncio and h11), once by uvloop and httptools; the constant is what uvicorn reaches by uvloop
and httptools with an application that reads the body and answers always the same.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import psutil
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jupyter_mlops.session import Session

from .figures import compared

SECONDS = 2
ROUNDS = 3
LOG_ROUNDS = (
    12  # of a second each: what the log costs is less than what a machine's speed varies by from one to the next
)
MOST_SECONDS = 570  # for everything; what would begin later is left out, and told of
PATIENCE = 60  # for one load
START_PATIENCE = 180  # for one server to come up: two of MLflow's take a minute on a busy machine
WORKERS = 2
BEGAN = time.monotonic()
ROWS = 20_000
TEXTS = {
    "workclass": 8,
    "education": 16,
    "marital": 7,
    "occupation": 14,
    "relationship": 6,
    "race": 5,
    "sex": 2,
    "country": 41,
}

LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = os.getenv("BENCH_AUTHORIZATION")
local file = io.open(os.getenv("BENCH_BODY"), "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %d, "us": %d, "p50": %d, "p99": %d, "failed": %d}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""

CONSTANT = """
BODY = b'{"predictions":["<=50K"]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
"""


@dataclass(frozen=True)
class Load:
    """What one run of the load found: requests a second, latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Target:
    """A server under load."""

    port: int
    token: str = ""

    def load(self, body: bytes, connections: int, seconds: int = SECONDS) -> Load:
        """Ask it over kept-open connections, for some seconds."""
        with tempfile.TemporaryDirectory() as folder:
            script, sent = Path(folder) / "load.lua", Path(folder) / "body"
            script.write_text(LUA)
            sent.write_bytes(body)
            command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
            environment = {**os.environ, "BENCH_AUTHORIZATION": f"Bearer {self.token}", "BENCH_BODY": str(sent)}
            told = subprocess.run(
                [*command, f"http://127.0.0.1:{self.port}/invocations"],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
                timeout=seconds + PATIENCE,
            ).stdout
        found = json.loads(told.partition("RESULT ")[2])
        if found["failed"]:
            raise RuntimeError(f"{found['failed']} of {found['requests']} requests failed")
        return Load(found["requests"] / found["us"] * 1e6, found["p50"] / 1000, found["p99"] / 1000)

    def wait(self, server: subprocess.Popen[bytes], patience: float = START_PATIENCE) -> None:
        """Until it answers."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if server.poll() is not None:
                raise RuntimeError(f"the server has ended with {server.returncode}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/ping")
                connection.getresponse()
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: list[str], port: int, **environment: str) -> Iterator[Target]:
    """A server by its own command."""
    server = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        target = Target(port)
        target.wait(server)
        time.sleep(3)
        yield target
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def mlflow_server(uri: str, model: str, loop: str, parser: str) -> Any:
    """MLflow's own server, as its command starts it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "-p", str(port), "-w", str(WORKERS)]
    told = {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "UVICORN_LOOP": loop,
        "UVICORN_HTTP": parser,
        # it looks for uvicorn's command, which lies beside Python's
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    return started([*command, "--env-manager", "local"], port, **told)


def constant_server(folder: Path) -> Any:
    """Always the same answer."""
    (folder / "constant.py").write_text(CONSTANT)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "constant:app", "--app-dir", str(folder), "--port", str(port)]
    command += [
        "--workers",
        str(WORKERS),
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
        "--lifespan",
        "off",
    ]
    return started([*command, "--no-server-header", "--no-date-header"], port)


def adult() -> tuple[pd.DataFrame, Any]:
    """A table like the Adult census: six whole numbers, eight texts, an income."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.integers(17, 90, ROWS),
            "fnlwgt": rng.integers(12_000, 1_500_000, ROWS),
            "education_num": rng.integers(1, 17, ROWS),
            "capital_gain": np.where(rng.random(ROWS) < 0.9, 0, rng.integers(100, 99_999, ROWS)),
            "capital_loss": np.where(rng.random(ROWS) < 0.95, 0, rng.integers(100, 4_000, ROWS)),
            "hours": rng.integers(1, 99, ROWS),
        }
    )
    for name, count in TEXTS.items():
        table[name] = [f"{name} {i}" for i in rng.integers(0, count, ROWS)]
    score = table.age / 90 + table.education_num / 17 + (table.sex == "sex 1") * 0.3 + rng.normal(0, 0.3, ROWS)
    return table, np.where(score > 1.2, ">50K", "<=50K")


ESTIMATORS = {
    "boosted": HistGradientBoostingClassifier,
    "logistic": lambda: LogisticRegression(max_iter=500),
    "forest": lambda: RandomForestClassifier(100, random_state=0),
}


def report(
    figure: str, unit: str, ours: list[float], against: str, theirs: list[float], goal: float, **more: Any
) -> None:
    compared("serving", figure, unit, ours, against, theirs, goal=goal, **more).report()


def rates(ours: Target, other: Target, body: bytes, connections: int) -> tuple[list[Load], list[Load]]:
    """Both in turn, after one warm-up each."""
    ours.load(body, connections), other.load(body, connections)
    pairs = [(ours.load(body, connections), other.load(body, connections)) for _ in range(ROUNDS)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def compare_rates(
    figure: str, ours: Target, other: Target, body: bytes, connections: int, against: str, goal: float
) -> tuple[list[Load], list[Load]]:
    mine, theirs = rates(ours, other, body, connections)
    report(
        figure, "req/s", [m.rate for m in mine], against, [t.rate for t in theirs], goal, more_is_better=True
    )  # fmt: skip
    return mine, theirs


def log_cost(ours: Target, bare: Target, workers: dict[Target, list[int]], body: bytes) -> None:
    """What the log costs: many short rounds, every other the other way round, each compared with its neighbor only.

    Told beside the throughput, which the load's own process shares: what a request takes of the servers' processor time.
    """
    loads: dict[Target, list[Load]] = {ours: [], bare: []}
    spent: dict[Target, list[float]] = {ours: [], bare: []}
    for number in range(-1, LOG_ROUNDS):  # the first warms up
        for target in (ours, bare) if number % 2 else (bare, ours):
            before = processor_seconds(workers[target])
            load = target.load(body, 16, 1)
            if number >= 0:
                loads[target].append(load)
                spent[target].append((processor_seconds(workers[target]) - before) / load.rate * 1e6)
    rate = {target: [load.rate for load in found] for target, found in loads.items()}
    ratios = [a / b for a, b in zip(rate[ours], rate[bare], strict=True)]
    low, _, high = statistics.quantiles(ratios)
    costs = statistics.median(a / b for a, b in zip(spent[ours], spent[bare], strict=True))
    with_log, without = statistics.median(spent[ours]), statistics.median(spent[bare])
    print(
        f"the log: half of the {LOG_ROUNDS} ratios of throughput lie from {low:.3f} to {high:.3f}; a request takes "
        f"{with_log:.1f} us of the servers' processors with it and {without:.1f} without, {costs:.3f} times as much"
    )
    against = "the same without a log"
    report(
        "boosted: with the log, 16 connections", "req/s", rate[ours], against, rate[bare], 0.95, more_is_better=True
    )  # fmt: skip


def processor_seconds(processes: list[int]) -> float:
    """What some processes have used of the processor so far."""
    times = [psutil.Process(pid).cpu_times() for pid in processes]
    return sum(each.user + each.system for each in times)


def first_answer(session: Session, kind: str, body: bytes) -> tuple[Target, float]:
    """Deploy, and ask until it answers; the server, and how many seconds that took."""
    began = time.perf_counter()
    ours = target_of(session.deploy(f"{kind}@champion", workers=WORKERS))
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=PATIENCE)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ours.token}"}
    connection.request("POST", "/invocations", body, headers)
    answer = connection.getresponse()
    took = time.perf_counter() - began
    assert answer.status == 200, answer.read()
    answer.read()
    connection.close()
    return ours, took


def target_of(deployment: Any) -> Target:
    return Target(int(deployment.url.rsplit(":", 1)[1]), Path(deployment.token_file).read_text().strip())


def in_time(what: str) -> bool:
    """Whether there is time left to begin something; tells where there is none."""
    if time.monotonic() - BEGAN < MOST_SECONDS:
        return True
    print(f"left out after {MOST_SECONDS} s: {what}", file=sys.stderr)
    return False


def measure(session: Session, kind: str, folder: Path, table: pd.DataFrame, target: Any) -> None:
    """Everything about one estimator."""
    columns = make_column_transformer(
        (StandardScaler(), list(table.columns[:6])),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(TEXTS)),
    )
    model = make_pipeline(columns, ESTIMATORS[kind]()).fit(table, target)
    session.register(model, name=kind, data=table, alias="champion")
    one, hundred = (orjson.dumps({"dataframe_records": table.head(n).to_dict("records")}) for n in (1, 100))
    limit = {"goal_is": "at most"}
    _, took = first_answer(session, kind, one)  # its plan is being proven meanwhile
    report(f"{kind}: deploy at once after registering, to the first 200", "s", [took], "limit", [3.0], 1.0, **limit)
    session.undeploy(kind)
    ours, took = first_answer(session, kind, one)
    report(f"{kind}: deploy to the first 200", "s", [took], "limit", [3.0], 1.0, **limit)
    with ExitStack() as stack:
        stack.callback(session.undeploy, kind)
        constant = stack.enter_context(constant_server(folder))
        fixed = f"constant answer, uvicorn with uvloop, {WORKERS} workers"
        alone, at_rest = rates(ours, constant, one, 1)
        report(f"{kind}: p50 alone", "ms", [a.p50 for a in alone], fixed, [a.p50 for a in at_rest], 3.0, **limit)
        mine, theirs = compare_rates(f"{kind}: 1 row, 16 connections", ours, constant, one, 16, fixed, 0.55)
        report(
            f"{kind}: p99, 16 connections", "ms", [m.p99 for m in mine], fixed, [t.p99 for t in theirs], 2.0, **limit
        )
        compare_rates(f"{kind}: 1 row, 64 connections", ours, constant, one, 64, fixed, 0.8)
        memory = [worker.memory / 1e6 for worker in session.deployments()[0].workers]
        report(f"{kind}: memory a worker", "MB", memory, "limit", [200.0] * len(memory), 1.0, **limit)
        if kind == "boosted":
            session.deploy(f"{kind}@champion", name="unlogged", workers=WORKERS, log_sample=1e-9)
            stack.callback(session.undeploy, "unlogged")
            other = next(d for d in session.deployments() if d.name == "unlogged")
            bare = target_of(other)
            pids = {d.name: [worker.pid for worker in d.workers] for d in session.deployments()}
            log_cost(ours, bare, {ours: pids[kind], bare: pids["unlogged"]}, one)
    ours = target_of(session.deploy(f"{kind}@champion", workers=WORKERS))
    uri = session.context.workspace.tracking_uri
    try:
        for name, loop, parser, goal in (
            ("as installed", "asyncio", "h11", 300),
            ("with uvloop and httptools", "uvloop", "httptools", 100),
        ):
            # with uvloop it is the same server for every model: once tells
            if (loop == "uvloop" and kind != "boosted") or not in_time(f"{kind} against mlflow {name}"):
                continue
            with mlflow_server(uri, f"models:/{kind}@champion", loop, parser) as peer:
                against = f"mlflow models serve, {WORKERS} workers, {name}"
                compare_rates(f"{kind}: 1 row, 16 connections", ours, peer, one, 16, against, goal)
                if loop == "asyncio":
                    compare_rates(f"{kind}: 100 rows, 16 connections", ours, peer, hundred, 16, against, 30)
    finally:
        session.undeploy(kind)


def main() -> None:
    """Measure one estimator after the other; ``BENCH_ESTIMATORS`` names some of them."""
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: apt install wrk")
    table, target = adult()
    kinds = os.environ.get("BENCH_ESTIMATORS", "").split() or list(ESTIMATORS)
    # what makes Parquet of the log ends by itself a moment after the service
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        session = Session.open(root=Path(folder))
        try:
            for kind in kinds:
                if not in_time(kind):
                    continue
                measure(session, kind, Path(folder), table, target)
        finally:
            session.service.stop()


if __name__ == "__main__":
    main()
