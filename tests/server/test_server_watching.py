"""News of a workspace reach Jupyter's events while somebody looks, through crashes of the service, and then no more."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time

import pytest

from jupyter_mlops.server import watching
from jupyter_mlops.server.watching import SCHEMA
from jupyter_mlops.session import Session

API = ("jupyter-mlops", "api")


@pytest.fixture
def news(jp_serverapp):
    """The events as they come, and a wait for the first one that has a topic."""
    heard: list[dict] = []

    async def listen(logger, schema_id, data):
        heard.append(data)

    jp_serverapp.event_logger.add_listener(schema_id=SCHEMA, listener=listen)

    async def hear(*topics: str, since: int = 0) -> dict:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for event in heard[since:]:
                if set(topics) & set(event["topics"]) or (not topics and not event["topics"]):
                    return event
            await asyncio.sleep(0.02)
        raise AssertionError(f"nothing of {topics} in {heard[since:]}")

    hear.heard = heard
    return hear


@pytest.fixture
def settle(jp_fetch, news):
    async def settle() -> dict:
        """Begin to watch, as a panel does, and wait for the first news."""
        reply = json.loads((await jp_fetch(*API, "watch")).body)
        await news("all")
        return reply

    return settle


async def test_a_change_by_anybody_is_told(settle, news, workspace: Session, jp_root_dir):
    settled = await settle()
    assert settled["workspace"] == str(jp_root_dir)
    hello = await news()
    assert (hello["workspace"], hello["topics"]) == (str(jp_root_dir), [])
    count = len(news.heard)
    await asyncio.to_thread(workspace.connect, experiment="elsewhere")
    told = await news("status", "runs", since=count)
    assert told["workspace"] == str(jp_root_dir)
    assert told["number"] > settled["number"]


async def test_a_killed_service_comes_back_and_a_stopped_one_stays_away(
    settle, news, workspace: Session, jp_fetch, monkeypatch
):
    await settle()
    pid = (await asyncio.to_thread(workspace.status)).service_pid
    count = len(news.heard)
    os.kill(pid, signal.SIGKILL)
    await news("all", since=count)
    assert await asyncio.to_thread(workspace.context.service.running)
    assert (await asyncio.to_thread(workspace.status)).service_pid != pid

    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    count = len(news.heard)
    await asyncio.to_thread(workspace.service.stop)
    await news("ended", since=count)
    await asyncio.sleep(0.5)
    assert not await asyncio.to_thread(workspace.context.service.running)

    await jp_fetch(*API, "commands", "status")  # somebody needs it again
    await news("all", since=count)


async def test_a_service_that_is_stopped_while_the_watch_does_not_listen_stays_away(
    settle, news, workspace: Session, jp_fetch, monkeypatch
):
    monkeypatch.setattr(watching, "GATHER_SECONDS", 3.0)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    await settle()
    count = len(news.heard)
    await asyncio.to_thread(workspace.connect, experiment="elsewhere")
    await news("status", "runs", since=count)  # now it gathers
    await asyncio.to_thread(workspace.service.stop)
    await news("ended", since=count)
    await asyncio.sleep(0.5)
    assert not await asyncio.to_thread(workspace.context.service.running)
    await jp_fetch(*API, "commands", "status")
    await news("all", since=count)


async def test_nobody_looking_ends_the_watch(jp_fetch, jp_serverapp, monkeypatch):
    monkeypatch.setattr(watching, "WATCHED_SECONDS", 0.05)
    monkeypatch.setattr(watching, "WAIT_SECONDS", 0.05)
    watchers = jp_serverapp.web_app.settings["jupyter_mlops"].watchers
    await jp_fetch(*API, "watch")
    for _ in range(400):
        if watchers.watched():
            await asyncio.sleep(0.05)
    assert not watchers.watched()


async def test_the_extensions_end_ends_the_watch(settle, jp_serverapp):
    await settle()
    extension = jp_serverapp.web_app.settings["jupyter_mlops"]
    assert extension.watchers.watched()
    await extension.stop_extension()
    assert not extension.watchers.watched()
