"""Small words for what the browser tests do on a page."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import TimeoutError as TookTooLong

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

__all__ = ["cells", "count", "open_notebook", "press", "row", "section", "set_theme", "show_panel"]


def show_panel(page: Page) -> Locator:
    """Open the panel and wait until it hears of changes."""
    page.evaluate("() => window.jupyterapp.commands.execute('jupyter-mlops:show-panel')")
    page.locator(".jp-MLOps-connection.jp-mod-live").wait_for()
    return page.locator("#jupyter-mlops-panel")


def section(panel: Locator, topic: str) -> Locator:
    return panel.locator(".jp-MLOps-section").filter(has=panel.page.locator(f'[data-key="section/{topic}"]'))


def row(panel: Locator, title: str) -> Locator:
    return panel.locator(".jp-MLOps-row").filter(
        has=panel.page.locator(".jp-MLOps-title", has_text=re.compile(f"^{re.escape(title)}$"))
    )


def press(row: Locator, button: str) -> None:
    """Press a row's button, which shows while the pointer rests on the row: a live list may move the row from under it."""
    for _ in range(20):
        row.hover()
        with contextlib.suppress(TookTooLong):
            row.get_by_role("button", name=button).click(timeout=3000)
            return
    raise AssertionError(f"{button!r} could not be pressed")


def count(panel: Locator, topic: str) -> str:
    return section(panel, topic).locator(".jp-MLOps-count").inner_text()


def open_notebook(page: Page, path: str, *, kernel: bool = True) -> None:
    """Open a notebook and wait for its kernel."""
    page.evaluate(f"() => void window.jupyterapp.commands.execute('docmanager:open', {{path: {json.dumps(path)}}})")
    state = "sessionContext?.session?.kernel?.status === 'idle'" if kernel else "context?.isReady"
    page.wait_for_function(f"() => window.jupyterapp.shell.currentWidget?.{state}")


def cells(page: Page) -> list[str]:
    """The sources of the current notebook's cells."""
    found: Any = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells")
    return ["".join(cell["source"]) for cell in found]


def set_theme(page: Page, theme: str) -> None:
    page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: {json.dumps(theme)}}})")
    page.wait_for_function(f"() => document.body.dataset.jpThemeName === {json.dumps(theme)}")
    page.wait_for_timeout(500)  # the style sheet comes after its name
