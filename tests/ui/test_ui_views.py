"""Our results in a notebook: static without a kernel, alive with one, never a complaint; and the panel in Notebook 7."""

from __future__ import annotations

import nbformat
import pytest

from jupyter_mlops.widgets.markup import Number, grid
from jupyter_mlops.widgets.markup import page as page_of

from . import pages, story
from .conftest import SHOTS, Jupyter

pytestmark = [pytest.mark.slow, pytest.mark.ui]

VIEW = "application/vnd.jupyter-mlops.view+json"


@pytest.fixture(scope="module")
def jupyter(told, serve) -> Jupyter:
    return serve(told)


def stored(html: str, widget: str = "0" * 32):
    data = {"text/plain": "runs", "text/html": html, VIEW: {"widget": widget, "html": html}}
    return [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]


def test_a_stored_view_shows_without_its_widget(jupyter, visit):
    html = "<table class='stored'><tr><td>baseline</td><td>0.98</td></tr></table>"
    story.write_notebook(jupyter.root / "stored.ipynb", "mlops.runs()", outputs=stored(html))
    page = visit(jupyter)
    pages.open_notebook(page, "stored.ipynb")  # untrusted, as one from a colleague; a kernel that knows no such widget
    page.locator(".jp-MLOps-view table.stored").wait_for()
    page.wait_for_timeout(2000)
    assert page.locator(".jp-MLOps-view table.stored").is_visible()
    assert page.locator(".jp-OutputArea-output").count() == 1
    page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted = true")
    page.evaluate(
        "() => { const c = window.jupyterapp.shell.currentWidget.content.model.cells.get(0).outputs;"
        "c.fromJSON(c.toJSON()) }"
    )
    page.wait_for_timeout(2000)
    assert page.locator(".jp-MLOps-view table.stored").is_visible()
    assert not page.get_by_text("Error displaying widget").is_visible()


def test_texts_in_our_tables_stand_left_and_numbers_right(jupyter, visit):
    """JupyterLab itself puts every cell of a table that an output brings to the right."""
    from playwright.sync_api import expect

    html = str(page_of(grid(["column", "rows"], [["age", Number(3.0)]])))
    output = nbformat.v4.new_output("execute_result", data={"text/html": html}, execution_count=1)
    story.write_notebook(jupyter.root / "sides.ipynb", "check", outputs=[output])
    page = visit(jupyter)
    pages.open_notebook(page, "sides.ipynb", kernel=False)
    cells = page.locator(".jp-OutputArea .mlops td")
    cells.first.wait_for()  # JupyterLab judges by itself whom it trusts, and then shows what it has
    page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted = true")
    page.evaluate(
        "() => { const c = window.jupyterapp.shell.currentWidget.content.model.cells.get(0).outputs;"
        "c.fromJSON(c.toJSON()) }"
    )
    for cell, side in enumerate(("left", "right")):
        expect(cells.nth(cell)).to_have_css("text-align", side)


def test_a_drift_figure_keeps_its_height_when_the_sidebar_is_drawn_wider(jupyter, visit):
    code = (
        "import jupyter_mlops as mlops, numpy as np, pandas as pd\n"
        "rng = np.random.default_rng(0)\n"
        "mlops.drift(*(pd.DataFrame(rng.normal(shift, size=(300, 5)), columns=list('abcde')) for shift in (0, 1)))"
    )
    story.write_notebook(jupyter.root / "figure.ipynb", code)
    page = visit(jupyter)
    pages.open_notebook(page, "figure.ipynb")
    pages.show_panel(page)
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    figure = page.locator(".js-plotly-plot")
    figure.locator(".main-svg").first.wait_for()

    def size() -> tuple[float, float]:
        box = figure.bounding_box()
        return box["width"], box["height"]

    page.wait_for_timeout(1000)
    wide, high = size()
    assert high > 300
    handle = page.locator("#jp-main-split-panel > .lm-SplitPanel-handle").first.bounding_box()
    page.mouse.move(handle["x"], 400)
    page.mouse.down()
    page.mouse.move(handle["x"] + 150, 400, steps=5)
    page.mouse.up()
    page.wait_for_timeout(1500)
    assert size()[0] < wide - 100
    assert size()[1] == high


def test_what_a_stored_view_brings_along_is_cleaned_unless_trusted(jupyter, visit):
    html = "<b class='kept'>kept</b><img src=x onerror='window.stolen = 1'><script>window.stolen = 1</script>"
    story.write_notebook(jupyter.root / "foreign.ipynb", "mlops.runs()", outputs=stored(html))
    page = visit(jupyter)
    pages.open_notebook(page, "foreign.ipynb")
    page.locator(".jp-MLOps-view .kept").wait_for()
    page.wait_for_timeout(500)
    assert page.evaluate("() => window.stolen") is None


def test_a_view_comes_alive_where_its_widget_is(jupyter, visit):
    story.write_notebook(jupyter.root / "live.ipynb", "%load_ext jupyter_mlops", "%mlops runs")
    page = visit(jupyter)
    pages.open_notebook(page, "live.ipynb")
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    view = page.locator(".jp-MLOps-view")
    view.locator(".mlops-live").wait_for()
    shown = view.get_by_text("shallow forest").filter(visible=True)
    shown.first.wait_for()
    page.wait_for_timeout(500)
    assert page.get_by_text("Error displaying widget").count() == 0
    page.screenshot(path=SHOTS / "view-live-light.png")
    pages.set_theme(page, "JupyterLab Dark")
    page.screenshot(path=SHOTS / "view-live-dark.png")
    pages.set_theme(page, "JupyterLab Light")

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_timeout(3000)
    assert shown.count() == 1, "the static form is there again"


def test_the_panel_inline_promotes_what_it_shows(jupyter, visit, told):
    story.write_notebook(jupyter.root / "inline.ipynb", "%load_ext jupyter_mlops", "%mlops panel")
    page = visit(jupyter, height=1500)
    pages.open_notebook(page, "inline.ipynb")
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    live = page.locator(".jp-MLOps-view .mlops-live")
    live.wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=SHOTS / "panel-inline-light.png")
    models = live.locator('[data-section="models"]')
    row = models.locator("tr").filter(has_text="LogisticRegression")
    row.get_by_role("button", name="Promote…").click()
    row.get_by_label("Alias").fill("inline")
    row.get_by_label("Alias").press("Enter")
    models.get_by_text("inline").wait_for()
    assert "inline" in told.models("wine-clf").versions[-1].aliases
    pages.set_theme(page, "JupyterLab Dark")
    page.screenshot(path=SHOTS / "panel-inline-dark.png")
    pages.set_theme(page, "JupyterLab Light")


def test_the_same_build_works_in_notebook_7(told, serve, visit):
    story.write_notebook(told.context.workspace.root / "seven.ipynb", "x = 1", "")
    jupyter = serve(told, "notebook")
    page = visit(jupyter, "notebooks/seven.ipynb")
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel")
    panel = pages.show_panel(page)
    data = pages.row(panel, "wine@v2")
    pages.press(data, "Insert load code")
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.model.cells.length > 2")
    assert 'mlops.data.load("wine@v2")' in "\n".join(pages.cells(page))
    page.screenshot(path=SHOTS / "notebook7-light.png")
    tree = visit(jupyter, "tree")
    assert tree.evaluate("() => window.jupyterapp.hasPlugin('jupyter-mlops:panel')")
