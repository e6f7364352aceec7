"""Data versions whose packs lie in S3, over HTTP, at an endpoint of its own: saved, read, compared, collected, and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.datasets.operations_keeping import places
from jupyter_mlops.session import Session
from jupyter_mlops.store import garbage
from jupyter_mlops.store.garbage import Garbage
from jupyter_mlops.store.store import Store

pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]

BUCKET = "versions"


def made(seed: int, rows: int = 60_000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"id": np.arange(rows), "x": rng.normal(size=rows), "y": rng.normal(size=rows)})


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A real S3 endpoint on this machine: moto's server, in an environment of its own."""
    place = Path(".cache/moto").absolute()
    uv = Path(sys.executable).parent / "uv"
    if not (place / "bin/moto_server").exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, place], check=True)
        done = subprocess.run(
            [uv, "pip", "install", "-q", "--python", place / "bin/python", "moto[server]"], check=False
        )
        if done.returncode:
            pytest.skip("moto cannot be installed here")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [place / "bin/python", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=2).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.3)
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def bucket(endpoint: str) -> Iterator[Any]:
    boto3 = pytest.importorskip("boto3")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLOPS_ARTIFACTS": f"s3://{BUCKET}/project",
        }.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture(scope="module")
def far(bucket: Any, make_session: Callable[..., Session]) -> Session:
    return make_session()


def keys(bucket: Any) -> dict[str, int]:
    found = bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {each["Key"]: each["Size"] for each in found}


def packs(bucket: Any) -> dict[str, int]:
    return {key: size for key, size in keys(bucket).items() if key.endswith(".pack")}


def test_versions_are_objects_and_come_back_equal(far: Session, bucket: Any) -> None:
    data, first = far.data, made(1)
    assert data.save(first, name="far").ref == "far@v1"
    assert data.save(first, name="far").new is False
    later = first.assign(y=first["y"].where(first["id"] != 777, 0.0))
    assert data.save(later, name="far").ref == "far@v2"
    sizes = sorted(packs(bucket).values())
    assert len(sizes) == 2
    assert sizes[0] < sizes[1] / 10  # the second holds what changed
    assert not list((far.context.workspace.home / "artifacts").glob("**/*.pack"))
    pd.testing.assert_frame_equal(data.load("far@v1"), first)
    pd.testing.assert_frame_equal(data.load("far@v2"), later)
    found = data.diff("far@v1", "far@v2")
    assert (found.changed, [c.name for c in found.columns]) == (1, ["y"])
    data.view("seen", on=["far"], entity=["id"])
    assert data.views("seen").versions == ("far@v2",)
    assert data.join(pd.DataFrame({"id": [777, -1]}), ["seen"]).table["y"].isna().tolist() == [False, True]


def test_another_process_reads_them_from_the_bucket(far: Session, tmp_path: Path) -> None:
    target = tmp_path / "far.parquet"
    words = ["data", "export", "far@v1", "--output", str(target), "--workspace", str(far.context.workspace.root)]
    subprocess.run([Path(sys.executable).with_name("jupyter-mlops"), *words], check=True, capture_output=True)
    pd.testing.assert_frame_equal(pd.read_parquet(target), made(1))


def test_what_nothing_uses_goes_from_the_bucket(far: Session, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    far.data.save(made(5).drop(columns="id"), name="old")
    far.data.save(made(6).drop(columns="id"), name="old")  # no chunk of the first is in it
    before = packs(bucket)
    store = Store.open(far.context.workspace)
    monkeypatch.setattr(garbage, "RECENT_MS", -1)
    done = Garbage(store, places, far.context.workspace.home / "cache" / "gc", {}).collect("old", 1, apply=True)
    assert done.removed == ("old@v1",)
    after = packs(bucket)
    assert len(after) == len(before) - 1
    assert done.bytes == sum(before.values()) - sum(after.values())
    pd.testing.assert_frame_equal(far.data.load("old@v2"), made(6).drop(columns="id"))
    pd.testing.assert_frame_equal(far.data.load("far@v1"), made(1))


def test_the_service_is_killed_while_it_uploads(far: Session, bucket: Any) -> None:
    for number, delay in enumerate((0.05, 0.3), start=1):
        pid = far.status().service_pid
        storing = threading.Event()

        def strike(pid: int = int(pid or 0), delay: float = delay, storing: threading.Event = storing) -> None:
            storing.wait(60)
            threading.Event().wait(delay)
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=strike)
        killer.start()
        far.context.progress = lambda line, storing=storing: storing.set() if "storing" in line else None
        saved = far.data.save(made(10 + number, 300_000), name="killed")
        killer.join()
        assert saved.ref == f"killed@v{number}"
        pd.testing.assert_frame_equal(far.data.load(saved.ref), made(10 + number, 300_000))
    assert [v.version for v in far.data.log("killed")] == [2, 1]


KERNEL = """
    import sys
    from pathlib import Path
    import numpy as np, pandas as pd
    from jupyter_mlops.session import Session
    rng = np.random.default_rng(77)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=400_000) for i in range(4)})
    session = Session.open(root=Path(sys.argv[1]))
    session.context.progress = lambda line: print(line, flush=True)
    session.data.save(frame, name="cut")
"""


def test_the_kernel_is_killed_while_it_saves(far: Session, bucket: Any) -> None:
    root = str(far.context.workspace.root)
    for word in ("writing", "storing"):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KERNEL), root], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if word in line:
                process.kill()
                break
        process.wait()
        process.stdout.close()
    rng = np.random.default_rng(77)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=400_000) for i in range(4)})
    saved = far.data.save(frame, name="cut")
    assert [v.version for v in far.data.log("cut")] == [saved.version] == [1]  # half of one was never seen
    pd.testing.assert_frame_equal(far.data.load("cut"), frame)
