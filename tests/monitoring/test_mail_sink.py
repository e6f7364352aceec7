"""Alerts by e-mail, to a real mail server on loopback: in the clear, by STARTTLS and by TLS, with a login, and while it is away."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from logs import answered, deployed, host_at, writer_of

from jupyter_mlops.datasets.profile import Profile
from jupyter_mlops.domain.alert import Alert, AlertTable
from jupyter_mlops.domain.context import now_ms
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.monitoring.alerts import read_state, write_state
from jupyter_mlops.monitoring.operations_alerts import alerts, look_at_all, monitor
from jupyter_mlops.monitoring.sinks import Message, check_sink, sink_of

smtpd = pytest.importorskip("aiosmtpd.smtp")
Controller = pytest.importorskip("aiosmtpd.controller").Controller

PASSWORD = "top/secret@1"
QUOTED = "top%2Fsecret%401"


class Mailbox:
    """What a mail server took in, and who had logged in."""

    def __init__(self) -> None:
        self.mails: list[tuple[str | None, Any]] = []

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 aiosmtpd's name
        user = session.auth_data.login.decode() if session.auth_data else None
        self.mails.append((user, message_from_bytes(envelope.content)))
        return "250 taken"


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
    known = isinstance(data, smtpd.LoginPassword) and data.password.decode() == PASSWORD
    return smtpd.AuthResult(success=known, auth_data=data, handled=known)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key in the same file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "mail.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


Serve = Callable[..., tuple[Mailbox, int]]


@pytest.fixture
def serve(certificate: Path) -> Iterator[Serve]:
    """Start mail servers: plain, with STARTTLS and a login, or TLS from the first byte."""
    with ExitStack() as stack:

        def start(how: str = "smtp", port: int = 0) -> tuple[Mailbox, int]:
            box, port = Mailbox(), port or free_port()
            options: dict[str, Any] = {}
            if how != "smtp":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                options = {"authenticator": authenticate, "auth_required": True}
                if how == "smtps":
                    options |= {"ssl_context": context, "auth_require_tls": False}
                else:
                    options |= {"tls_context": context, "require_starttls": True}
            controller = Controller(box, hostname="127.0.0.1", port=port, **options)
            controller.start()
            stack.callback(controller.stop)
            return box, port

        yield start


ALERT = Alert("a1", "m", "m@1", "drift", "drifted: n", 1_700_000_000_000, 1_700_000_000_000)


def send(smtp: str, home: Path) -> str:
    check_sink("email:ops@example.org", smtp)
    sink, target = sink_of("email:ops@example.org")
    return sink.send(target, Message("a1-firing", "alert.firing", ALERT, home, smtp))


@pytest.mark.parametrize("how", ["smtp", "smtp+starttls", "smtps"])
def test_a_mail_arrives_by_each_way(serve: Serve, certificate: Path, tmp_path: Path, monkeypatch, how: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    box, port = serve(how)
    login = "" if how == "smtp" else f"mlops%40example.org:{QUOTED}@"
    assert send(f"{how}://{login}127.0.0.1:{port}", tmp_path) == "sent"
    ((user, mail),) = box.mails
    assert user == (None if how == "smtp" else "mlops@example.org")
    assert (mail["To"], mail["Subject"]) == ("ops@example.org", "[firing] m: drift")
    assert mail["From"] == ("mlops@127.0.0.1" if how == "smtp" else "mlops@example.org")
    assert mail["Message-ID"] == "<a1-firing@jupyter-mlops>"
    assert "drifted: n" in mail.get_payload()


def test_a_wrong_password_and_a_certificate_nobody_vouches_for_send_nothing(
    serve: Serve, certificate: Path, tmp_path: Path, monkeypatch
) -> None:
    box, port = serve("smtp+starttls")
    with pytest.raises(ssl.SSLCertVerificationError):
        send(f"smtp+starttls://u:{QUOTED}@127.0.0.1:{port}", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(Exception, match="535"):
        send(f"smtp+starttls://u:wrong@127.0.0.1:{port}", tmp_path)
    assert box.mails == []
    with pytest.raises(InvalidArgument, match="in the clear"):
        check_sink("email:ops@example.org", "smtp://u:p@mail.example.org")


def test_while_the_server_is_away_the_mail_waits_and_goes_once(serve: Serve, tmp_path: Path, empty_database) -> None:
    host = host_at(tmp_path, empty_database)
    port = free_port()
    host = replace(host, settings=replace(host.settings, smtp=f"smtp://127.0.0.1:{port}"))
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"n": rng.normal(size=2_000), "s": rng.choice(list("ab"), 2_000)})
    host.shared["monitoring"] = {"references": {"m@1": Profile.of(table)}}
    hour = 3_600_000
    answered(writer_of(deployed(host)), rng.normal(1, 1, 200), now_ms() // hour * hour - 2 * hour)
    monitor(host, name="m", every="1h", rules=["drift(n)"], sinks=["email:ops@example.org"])
    look_at_all(host)
    assert "tried again later" in str(AlertTable.from_dict(alerts(host))[0].sent)
    box, _ = serve(port=port)
    for _ in range(3):
        state = read_state(host.workspace.home, "m")
        for post in state.outbox:
            post.next_ms = 0
        write_state(host.workspace.home, state)
        look_at_all(host)
    ((_, mail),) = box.mails
    (alert,) = AlertTable.from_dict(alerts(host))
    assert mail["Message-ID"] == f"<{alert.id}-firing@jupyter-mlops>"
    assert alert.sent["email:ops@example.org firing"] == "sent"
