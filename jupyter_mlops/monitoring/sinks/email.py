"""E-mail: an alert as a plain-text message by the mail server that the settings name."""

from __future__ import annotations

import re
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from ...errors import InvalidArgument
from .sink import Message, Sink

__all__ = ["EMAIL"]

SECONDS = 10.0
HOW = (
    "Set MLOPS_SMTP=smtps://USER:PASSWORD@HOST (or smtp+starttls://USER:PASSWORD@HOST, or smtp://HOST:PORT) for the "
    "service, and start it anew."
)
NEAR = ("localhost", "127.0.0.1", "::1")
ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")


def _check(target: str, smtp: str) -> None:
    if not ADDRESS.fullmatch(target):
        raise InvalidArgument(f"{target!r} is no e-mail address.", hint="Write email:NAME@HOST.")
    if not smtp:
        raise InvalidArgument("no mail server is set, so no e-mail can be sent.", hint=HOW)
    parts = urlsplit(smtp)
    if parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname:
        raise InvalidArgument("the mail server that is set has no address that can be used.", hint=HOW)
    if parts.scheme == "smtp" and parts.password and parts.hostname not in NEAR:
        raise InvalidArgument("the mail server's password would go over the network in the clear.", hint=HOW)


def _send(target: str, message: Message) -> str:
    parts = urlsplit(message.smtp)
    alert = message.alert
    mail = EmailMessage()
    mail["Subject"] = f"[{alert.state}] {alert.deployment}: {alert.rule}"
    mail["To"] = target
    sender = unquote(parts.username or "")
    mail["From"] = sender if "@" in sender else f"{sender or 'mlops'}@{parts.hostname}"
    mail["Message-ID"] = f"<{message.id}@jupyter-mlops>"
    mail.set_content(f"{alert.sentence}\n\nalert {alert.id}\n")
    secure = parts.scheme == "smtps"
    context = ssl.create_default_context()
    host = parts.hostname or ""
    server: smtplib.SMTP = (
        smtplib.SMTP_SSL(host, parts.port or 465, timeout=SECONDS, context=context)
        if secure
        else smtplib.SMTP(host, parts.port or 25, timeout=SECONDS)
    )
    with server:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=context)
        if parts.username and parts.password:
            server.login(unquote(parts.username), unquote(parts.password))
        server.send_message(mail)
    return "sent"


EMAIL = Sink("email", "email:NAME@HOST", _check, _send)
