"""The panel in a real browser: it lists, lives, inserts, and is reachable by keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from conftest import end

from . import story
from .conftest import SHOTS, Jupyter, Watched
from .story import write_notebook

pytestmark = [pytest.mark.slow, pytest.mark.ui]


@pytest.fixture(scope="module")
def jupyter(make_session, serve) -> Iterator[Jupyter]:
    session = make_session()
    story.tell(session)
    write_notebook(session.context.workspace.root / "work.ipynb", "x = 1", "y = 2")
    yield serve(session)
    end(session)


def show_panel(watched: Watched):
    page = watched.page
    page.evaluate("() => window.jupyterapp.commands.execute('jupyter-mlops:show-panel')")
    page.locator(".jp-MLOps-connection.jp-mod-live").wait_for()
    return page.locator("#jupyter-mlops-panel")


def open_notebook(watched: Watched, name: str) -> None:
    watched.page.evaluate(f"() => window.jupyterapp.commands.execute('docmanager:open', {{path: '{name}'}})")
    watched.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    )


def section(panel, title: str):
    return panel.locator(".jp-MLOps-section").filter(
        has=panel.page.get_by_role("treeitem", name=re.compile(f"^{title}"))
    )


def test_it_lists_what_the_workspace_has(jupyter, visit):
    panel = show_panel(visit(jupyter))
    runs = section(panel, "Runs").locator(".jp-MLOps-row")
    runs.nth(3).wait_for()
    panel.page.screenshot(path=SHOTS / "panel-light.png")
