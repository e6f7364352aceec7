"""The page to try a model on, in a real browser: it asks for the token, fills in the example, predicts, and tells mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from served_models import PEOPLE, RunningServer, running, save

from jupyter_mlops.serving.inference_log import read

pytestmark = pytest.mark.ui
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 90_000  # on two busy cores


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    models = save(tmp_path_factory.mktemp("models"))
    with running(models["people"], tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture
def page(server: RunningServer) -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no browser here")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page()
        opened.set_default_timeout(PATIENCE_MS)
        opened.goto(f"http://127.0.0.1:{server.port}/")
        yield opened
        browser.close()


def test_a_person_tries_the_model(page: Any, server: RunningServer) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console", lambda line: line.type == "error" and "status of 40" not in line.text and problems.append(line.text)
    )
    page.goto(f"http://127.0.0.1:{server.port}/docs")
    assert page.url == f"http://127.0.0.1:{server.port}/"
    page.fill("#token", "not the token")
    page.click("#enter button")
    said = page.locator("#said")
    said.filter(has_text="Authorization").wait_for()
    page.fill("#token", server.token)
    page.click("#enter button")
    page.wait_for_selector("#ask:not([hidden])")
    with page.expect_download() as download:
        page.click("#openapi")
    document = json.loads(download.value.path().read_text())
    assert (download.value.suggested_filename, "/invocations" in document["paths"]) == ("openapi.json", True)
    fields = {name: page.locator(f"#field{at}") for at, name in enumerate(PEOPLE)}
    shown = {name: field.input_value() for name, field in fields.items()}
    first = PEOPLE.iloc[0]
    assert (float(shown["age"]), shown["job"], shown["member"]) == (first.age, "cook", "true")
    fields["age"].fill("24")
    page.click("#go")
    said.filter(has_text="high").wait_for()
    logged = read(server.folder.log, last=1)
    assert (logged.inputs["age"].iloc[0], logged.predictions.iloc[0]) == (24.0, "high")
    assert logged.inputs.index[0].rpartition("-")[0] in page.inner_text("#facts")
    page.click("#curl summary")
    assert '"age":24' in page.inner_text("#curl pre")
    assert server.token not in page.inner_text("#curl pre")
    fields["children"].fill("two")
    page.click("#go")
    said.filter(has_text="column children").wait_for()
    assert problems == []
