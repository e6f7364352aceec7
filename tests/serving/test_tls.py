"""TLS: a certificate of one's own over HTTP and gRPC, and certificates that cannot be used."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.serving.commands import check_tls
from jupyter_mlops.session import Session

TABLE = pd.DataFrame({"a": np.arange(40.0) % 7, "b": np.arange(40.0) % 3})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*made, *names], check=True, capture_output=True)
    return certificate, key


def test_what_cannot_be_used_is_told_before_anything_is_started(pair: tuple[str, str], tmp_path: Path) -> None:
    certificate, key = pair
    assert check_tls("0.0.0.0", certificate, key) == (certificate, key)
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", key, "-out", str(locked)], check=True, capture_output=True
    )  # fmt: skip
    for given in ((str(junk), key), (certificate, ""), (key, key), (certificate, str(locked))):
        with pytest.raises(InvalidArgument, match="cannot be used for TLS"):
            check_tls("", *given)
    with pytest.raises(InvalidArgument, match="no file"):
        check_tls("", str(tmp_path / "nowhere"), "")
    with pytest.raises(InvalidArgument, match="belongs to a certificate"):
        check_tls("", "", key)


def test_a_deployment_over_tls(make_session: Callable[..., Session], pair: tuple[str, str]) -> None:
    from sklearn.linear_model import LinearRegression

    certificate, key = pair
    session = make_session()
    model = LinearRegression().fit(TABLE, TABLE.a * 2 + TABLE.b)
    session.register(model, name="line", data=TABLE, alias="champion")
    told = session.deploy("line@champion", workers=2, certificate=certificate, key=key)
    assert told.url.startswith("https://127.0.0.1:")
    np.testing.assert_allclose(session.predict("line", TABLE.head(5)).values, model.predict(TABLE.head(5)))
    assert [worker.health for worker in session.deployments()[0].workers] == ["healthy"] * 2
    port = int(told.url.rpartition(":")[2])
    with pytest.raises(ssl.SSLCertVerificationError):  # nobody vouches for it
        HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl.create_default_context()).request("GET", "/ping")
    plain = HTTPConnection("127.0.0.1", port, timeout=10)
    plain.request("GET", "/ping")
    with pytest.raises((HTTPException, OSError)):
        plain.getresponse()
    session.undeploy("line")
