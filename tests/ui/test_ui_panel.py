"""The panel in a real browser: it lists, lives, inserts, changes, and is reachable by keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import end

from . import pages, story
from .conftest import SHOTS, Jupyter

pytestmark = [pytest.mark.slow, pytest.mark.ui]


@pytest.fixture(scope="module")
def jupyter(told, serve) -> Jupyter:
    return serve(told)


@pytest.fixture(scope="module")
def empty(make_session, serve) -> Iterator[Jupyter]:
    session = make_session()
    story.write_notebook(session.context.workspace.root / "new.ipynb", "")
    yield serve(session)
    end(session)


def test_it_lists_what_the_workspace_has_in_both_themes(jupyter, visit):
    page = visit(jupyter)
    panel = pages.show_panel(page)
    pages.row(panel, "shallow forest").wait_for()
    pages.section(panel, "reports").locator(".jp-MLOps-row").wait_for()
    counts = [pages.count(panel, topic) for topic in ("runs", "data", "models", "deployments", "reports")]
    assert counts == ["4", "1", "2", "1", "1"]
    failed = pages.row(panel, "too many columns")
    assert "failed" in failed.get_attribute("aria-label")
    assert "14 features" in failed.inner_text()
    assert "0.9444" in pages.row(panel, "shallow forest").inner_text()
    assert "champion" in pages.row(panel, "wine-clf@2").inner_text()
    assert "running" in pages.section(panel, "deployments").locator(".jp-MLOps-row").get_attribute("aria-label")
    assert "2/14" in pages.section(panel, "reports").inner_text()

    page.screenshot(path=SHOTS / "panel-light.png")
    report = pages.section(panel, "reports").locator(".jp-MLOps-row")
    for opened in (pages.row(panel, "wine-clf@2"), report):
        opened.click()
        page.mouse.move(700, 700)
        page.screenshot(path=SHOTS / f"panel-{opened.get_attribute('data-key').split('/')[0]}-light.png")
        opened.click()
    report.click()
    assert "psi" in pages.section(panel, "reports").inner_text()
    pages.section(panel, "reports").locator(".jp-MLOps-details").scroll_into_view_if_needed()
    pages.set_theme(page, "JupyterLab Dark")
    page.screenshot(path=SHOTS / "panel-reports-dark.png")
    report.click()
    page.screenshot(path=SHOTS / "panel-dark.png")
    pages.set_theme(page, "JupyterLab Light")


def test_what_others_do_shows_without_asking(jupyter, visit, told):
    page = visit(jupyter)
    panel = pages.show_panel(page)
    pages.section(panel, "reports").locator(".jp-MLOps-row").wait_for()
    asked: list[str] = []
    page.wait_for_timeout(1000)
    page.on("request", lambda request: "jupyter-mlops/api/commands" in request.url and asked.append(request.url))
    page.wait_for_timeout(3000)
    assert asked == [], "nothing has changed, and still it asks"
    with told.run("from elsewhere") as run:
        run.log_metric("accuracy", 0.5)
    new = pages.row(panel, "from elsewhere")
    new.wait_for()
    assert "jp-mod-fresh" in new.get_attribute("class")
    panel.page.wait_for_function(
        "() => document.querySelector('#jupyter-mlops-panel').innerText.includes('from elsewhere') && "
        "[...document.querySelectorAll('.jp-MLOps-row')].some(r => /from elsewhere, finished/.test(r.ariaLabel))"
    )
    assert not [url for url in asked if "commands/deployments" in url]

    served = pages.row(panel, "wine").filter(has_text="wine-clf@2").locator(".jp-MLOps-value")
    before = int(served.inner_text())
    told.predict("wine", told.data.load("wine@v2").drop(columns="target").head(5))
    served.filter(has_text=str(before + 5)).wait_for()


def test_code_goes_into_the_notebook(jupyter, visit, told):
    page = visit(jupyter)
    panel = pages.show_panel(page)
    pages.open_notebook(page, "work.ipynb")
    data = pages.row(panel, "wine@v2")
    pages.press(data, "Insert load code")
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.model.cells.length > 2")
    assert 'wine = mlops.data.load("wine@v2")' in "\n".join(pages.cells(page))

    for title in ("baseline", "deep forest"):
        pages.row(panel, title).hover()
        pages.row(panel, title).get_by_role("checkbox").check()
    panel.get_by_role("button", name="Compare 2").click()
    output = page.locator(".jp-OutputArea-output").last
    output.get_by_text("accuracy").first.wait_for()
    assert "mlops.compare(" in "\n".join(pages.cells(page))
    assert not page.get_by_text("Error displaying widget").count()
    page.wait_for_timeout(1500)
    page.screenshot(path=SHOTS / "panel-compare-light.png")


def test_models_are_promoted_and_deployments_stopped(jupyter, visit, told):
    page = visit(jupyter)
    panel = pages.show_panel(page)
    model = pages.row(panel, "wine-clf@1")
    model.click(button="right")
    page.locator(".lm-Menu-itemLabel", has_text="Promote").click()
    page.locator(".jp-Dialog input").fill("fallback")
    page.screenshot(path=SHOTS / "panel-promote-light.png")
    page.locator(".jp-Dialog button", has_text="Promote").click()
    model.locator(".jp-MLOps-chip", has_text="fallback").wait_for()
    assert told.audit(limit=1)[0].actor.via == "panel"
    assert "wine-clf@fallback" in panel.locator(".jp-MLOps-notice.jp-mod-success").inner_text()

    pages.row(panel, "wine-clf@1").click(button="right")
    page.locator(".lm-Menu-itemLabel", has_text="Deploy").click()
    page.locator(".jp-Dialog input").fill("second")
    page.locator(".jp-Dialog button", has_text="Deploy").click()
    second = pages.row(panel, "second")
    second.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-MLOps-row')].some(r => /^second, running/.test(r.ariaLabel))"
    )
    second.click()
    panel.get_by_role("button", name="Copy as curl").click()
    curl = page.evaluate("() => navigator.clipboard.readText()")
    token = next((told.context.workspace.home / "deployments" / "second").glob("token")).read_text().strip()
    assert curl.startswith("curl -s http://127.0.0.1:")
    assert token not in curl

    panel.get_by_role("button", name="Stop…").click()
    page.locator(".jp-Dialog button", has_text="Cancel").click()
    assert {d.name: d.state for d in told.deployments()}["second"] == "running"
    panel.get_by_role("button", name="Stop…").click()
    page.locator(".jp-Dialog button.jp-mod-warn").click()
    panel.get_by_text("second has stopped").wait_for()
    assert {d.name: d.state for d in told.deployments()}.get("second") != "running"


def test_keys_reach_everything(jupyter, visit):
    page = visit(jupyter)
    panel = pages.show_panel(page)
    pages.section(panel, "reports").locator(".jp-MLOps-row").wait_for()
    focused = "() => document.activeElement.dataset.key ?? document.activeElement.className"
    panel.locator('[data-key="section/runs"]').focus()
    page.keyboard.press("ArrowDown")
    first = page.evaluate(focused)
    assert first.startswith("runs/")
    page.keyboard.press("Space")
    assert panel.locator(".jp-MLOps-row.jp-mod-picked").count() == 1
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    assert panel.locator(f'[data-key="{first}"]').get_attribute("aria-expanded") == "true"
    page.keyboard.press("Tab")
    assert "jp-MLOps-button" in page.evaluate(focused)
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == first
    page.keyboard.press("ArrowLeft")
    assert panel.locator(f'[data-key="{first}"]').get_attribute("aria-expanded") == "false"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == "section/runs"
    page.keyboard.press("ArrowLeft")
    assert pages.section(panel, "runs").locator(".jp-MLOps-row").count() == 0
    page.keyboard.press("Enter")
    assert pages.section(panel, "runs").locator(".jp-MLOps-row").count() > 3
    page.keyboard.press("End")
    assert page.evaluate(focused) == "section/alerts"
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused).startswith("reports/")
    page.keyboard.press("Shift+F10")
    page.locator(".lm-Menu-itemLabel", has_text="Measure again").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement.dataset.key?.startsWith('reports/')")


def test_an_empty_workspace_says_what_to_type(empty, visit):
    page = visit(empty)
    panel = pages.show_panel(page)
    runs = panel.get_by_role("button", name="%%mlops run NAME")
    runs.wait_for()
    for verb in ("data save", "register", "deploy", "drift"):
        panel.get_by_text(f"%mlops {verb}").wait_for()
    page.screenshot(path=SHOTS / "panel-empty-light.png")
    runs.click()
    panel.get_by_text("No notebook is open.").wait_for()
    panel.get_by_role("button", name="Copy the code").click()
    panel.get_by_text("The code is on the clipboard.").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()").startswith("%%mlops run")
    page.screenshot(path=SHOTS / "panel-notice-light.png")
    pages.open_notebook(page, "new.ipynb")
    runs.click()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.model.cells.get(0).sharedModel.source")
    assert pages.cells(page)[0].startswith("%%mlops run")
    assert len(pages.cells(page)) == 1, "an empty cell is used, not left behind"


def test_a_service_ended_by_hand_is_told_and_comes_back_with_a_refresh(empty, visit):
    page = visit(empty)
    panel = pages.show_panel(page)
    empty.session.service.stop()
    panel.locator(".jp-MLOps-connection.jp-mod-ended").wait_for()
    assert not empty.session.context.service.running()
    panel.get_by_role("button", name="Refresh").click()
    panel.locator(".jp-MLOps-connection.jp-mod-live").wait_for()
    assert empty.session.context.service.running()


def test_an_alert_comes_by_itself(jupyter, visit, told):
    from sklearn.datasets import load_wine

    page = visit(jupyter)
    panel = pages.show_panel(page)
    alerts = pages.section(panel, "alerts")
    assert alerts.locator(".jp-MLOps-row").count() == 0
    told.monitor("wine", every="1min", when=["psi(alcohol) > 0.2"])
    table = load_wine(as_frame=True).data
    told.predict("wine", table.assign(alcohol=table["alcohol"] + 2.5))
    row = alerts.locator(".jp-MLOps-row")
    row.wait_for(timeout=180_000)  # the window has to be over
    told.unmonitor("wine")
    assert "psi(alcohol) > 0.2" in row.inner_text()
    row.click()
    page.mouse.move(900, 700)
    page.screenshot(path=SHOTS / "panel-alerts-light.png")
    assert "firing" in row.get_attribute("aria-label")


def test_the_toolbar_exports_the_notebook_and_tells_the_verdict(jupyter, visit):
    story.write_notebook(
        jupyter.root / "exported.ipynb",
        "%load_ext jupyter_mlops",
        "from sklearn.datasets import load_iris\nfrom sklearn.linear_model import LogisticRegression\n"
        "X, y = load_iris(return_X_y=True, as_frame=True)",
        "model = LogisticRegression(max_iter=500).fit(X, y)\naccuracy = model.score(X, y)",
        "%mlops register model --name iris-clf",
    )
    page = visit(jupyter, height=1400)
    pages.open_notebook(page, "exported.ipynb")
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.get_by_text("iris-clf@1").first.wait_for()
    page.screenshot(path=SHOTS / "toolbar-light.png")
    page.locator(
        '.jp-Toolbar [data-jp-item-name="mlops-export"] button, '
        '.jp-Toolbar [data-jp-item-name="mlops-export"] jp-button'
    ).first.click()
    page.locator(".jp-Dialog input").fill("exported-pipeline")
    page.locator(".jp-Dialog button", has_text="Export").click()
    page.get_by_text("PASS", exact=True).first.wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=SHOTS / "exported-light.png")
    assert (jupyter.root / "exported-pipeline" / "pipeline.json").is_file()
