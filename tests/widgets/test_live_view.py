"""Live views: what the browser is sent, what a click does, and the same in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops.domain.alert import AlertTable
from jupyter_mlops.domain.data_version import DataVersionTable
from jupyter_mlops.domain.deployment import Deployment, DeploymentTable
from jupyter_mlops.domain.display import Displayed
from jupyter_mlops.domain.drift_report import ReportTable
from jupyter_mlops.domain.model_version import ModelTable, ModelVersion, Promotion
from jupyter_mlops.domain.panel import Panel
from jupyter_mlops.domain.run import Run, RunComparison, RunTable, Series
from jupyter_mlops.domain.workspace import Status
from jupyter_mlops.errors import NotFound
from jupyter_mlops.session import Session, set_current
from jupyter_mlops.widgets import VIEW, draw, live

RUNS = tuple(
    Run(id=f"{i:032x}", name=name, status="FINISHED", started_ms=1_700_000_000_000 + i, metrics=metrics)
    for i, (name, metrics) in enumerate([("oak", {"auc": 0.9}), ("<b>elm", {"auc": 0.10}), ("ash", {})])
)
STEPS = tuple(range(5))
COMPARED = RunComparison(
    RUNS[:2],
    metrics={"auc": (0.9, 0.1)},
    params={"C": ("1", "2")},
    same={"penalty": "l2"},
    curves=tuple(Series(r.id, "loss", STEPS, tuple(float(s + 1) for s in STEPS)) for r in RUNS[:2]),
    source_diff="--- a\n+++ b\n-C=1\n+C=2",
)
MODELS = ModelTable((ModelVersion("clf", 2, ("champion",)), ModelVersion("clf", 1)))
DEPLOYED = DeploymentTable((Deployment("clf", "clf@2", "running", "http://127.0.0.1:1"),))
STATUS = Status("/p", "sqlite:////p/x.db", "e", "ann")
PANEL = Panel(STATUS, RunTable(RUNS), DataVersionTable(()), MODELS, DEPLOYED, ReportTable(()), AlertTable(()), limit=7)
NOUNS: list[Displayed] = [RunTable(RUNS), COMPARED, MODELS, DEPLOYED, STATUS, PANEL]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session whose commands answer at once; what they were asked stands in ``asked``."""
    made = Session.open(root=tmp_path)
    made.context.hooks["live"] = lambda: True
    made.asked = []  # type: ignore[attr-defined]
    answers: dict[str, Any] = {
        "compare": COMPARED,
        "runs": RunTable(RUNS[:1], filter="metrics.auc > 0.8"),
        "promote": Promotion("clf", "champion", 1, 2),
        "models": MODELS,
        "undeploy": Deployment("clf", "clf@2", "stopped", "http://127.0.0.1:1"),
        "deployments": DeploymentTable(()),
        "status": STATUS,
        "panel": PANEL,
    }

    def invoke(self: Session, name: str, arguments: dict[str, Any], *, via: str) -> Any:
        self.commands[name].read(arguments)  # the arguments must be the command's own
        made.asked.append((name, dict(arguments), via))  # type: ignore[attr-defined]
        if arguments.get("to") == "nobody":
            raise NotFound("no alias 'nobody'.")
        return answers[name]

    monkeypatch.setattr(Session, "invoke", invoke)
    set_current(made)
    yield made
    set_current(None)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_a_live_view_travels_beside_the_static_one(session: Session, noun: Displayed) -> None:
    bundle = draw(noun)
    assert set(bundle) == {"text/html", VIEW}
    assert bundle[VIEW]["html"] == bundle["text/html"]
    import ipywidgets

    widget = ipywidgets.widget._instances[bundle[VIEW]["widget"]]
    assert json.loads(json.dumps(widget.view)) == live.state(noun)


def test_no_live_view_where_none_can_live(session: Session) -> None:
    session.context.hooks["live"] = lambda: False
    assert VIEW not in draw(MODELS)
    session.context.hooks["live"] = lambda: 1 / 0
    assert VIEW not in draw(MODELS)
    session.context.hooks["live"] = lambda: True
    assert VIEW not in draw(Promotion("clf", "champion", 1))


def test_rows_carry_what_to_sort_by_and_escaped_text(session: Session) -> None:
    rows = live.state(RunTable(RUNS))["rows"]
    assert [row["sort"][-1] for row in rows] == [0.9, 0.1, None]
    assert rows[1]["cells"][0] == "&lt;b&gt;elm"
    assert rows[1]["sort"][0] == "<b>elm"


def test_what_json_has_no_number_for_is_sorted_too(session: Session) -> None:
    values = (float("nan"), float("inf"), float("-inf"), 1.0)
    table = RunTable(tuple(Run(str(i), str(i), "FINISHED", metrics={"loss": v}) for i, v in enumerate(values)))
    sorts = [row["sort"][-1] for row in json.loads(json.dumps(live.state(table), allow_nan=False))["rows"]]
    assert sorts[0] is None
    assert sorts[2] < sorts[3] < sorts[1]


MANY = RunTable(
    tuple(
        Run(f"{i:032x}", f"run {i}", "FINISHED", started_ms=1_700_000_000_000 + i, ended_ms=1_700_000_000_000 + 3 * i,
            metrics={"auc": (i * 7 % 1000) / 1000} if i % 10 else {}, params={"depth": str(i % 12), "kind": "tree"})
        for i in range(1000)
    )
)  # fmt: skip


def test_thousands_of_runs_are_sorted_and_filtered_where_all_of_them_are(session: Session) -> None:
    widget = live._widget_class()(MANY)

    def click(**content: Any) -> list[str]:
        widget._handle_custom_msg(content, [])
        assert widget.error == ""
        return [row["sort"][0] for row in widget.view["rows"]]

    assert (len(widget.view["rows"]), widget.view["total"], widget.view["matching"]) == (200, 1000, 1000)
    assert widget.view["choice"] == ["params.depth", "params.kind", "metrics.auc"]
    measured = sorted((run for run in MANY if run.metrics), key=lambda run: run.metrics["auc"])
    assert click(do="arrange", sort="metrics.auc", direction=1) == [run.name for run in measured[:200]]
    assert click(do="arrange", sort="metrics.auc", direction=-1) == [run.name for run in measured[:-201:-1]]
    assert click(do="arrange", sort="took", direction=-1)[:2] == ["run 999", "run 998"]
    assert click(do="arrange", sort="name", direction=1, words="run 99")[:3] == ["run 99", "run 990", "run 991"]
    assert widget.view["matching"] == 11
    shown = ["params.depth"]
    deepest = click(do="arrange", sort="params.depth", direction=-1, words="depth=1", shown=shown)
    assert widget.view["columns"][-1] == "params.depth"
    depths = [MANY[int(name.split()[1])].params["depth"] for name in deepest]
    assert list(dict.fromkeys(depths)) == ["11", "10", "1"], "as numbers, and what has the words in it"
    unmeasured = click(do="arrange", sort="metrics.auc", direction=-1, words="depth=6")
    assert unmeasured[-1] in {run.name for run in MANY if not run.metrics}, "what has no value stands last"


def test_a_filter_in_mlflows_words_asks_the_store_and_an_empty_one_brings_all_back(session: Session) -> None:
    asked = session.asked  # type: ignore[attr-defined]
    widget = live._widget_class()(RunTable(RUNS))
    widget._handle_custom_msg({"do": "find", "filter": "metrics.auc > 0.8"}, [])
    assert asked == [("runs", {"filter": "metrics.auc > 0.8", "limit": 200}, "magic")]
    assert [row["sort"][0] for row in widget.view["rows"]] == ["oak"]
    assert widget.view["filter"] == "metrics.auc > 0.8"
    widget._handle_custom_msg({"do": "find", "filter": ""}, [])
    assert len(asked) == 1
    assert len(widget.view["rows"]) == 3
    widget._handle_custom_msg({"do": "arrange", "shown": []}, [])
    assert widget.view["columns"] == ["name", "id", "status", "started", "took", "trust"]
    assert len(widget.view["rows"][0]["cells"]) == 6


def test_a_click_is_one_command(session: Session) -> None:
    def click(noun: Displayed, **content: Any) -> Any:
        widget = live._widget_class()(noun)
        widget._handle_custom_msg(content, [])
        assert widget.busy is False
        return widget

    asked = session.asked  # type: ignore[attr-defined]
    widget = click(RunTable(RUNS), do="select", keys=[RUNS[0].id, RUNS[1].id])
    assert asked == [("compare", {"runs": [RUNS[0].id, RUNS[1].id]}, "magic")]
    assert "polyline" in widget.below
    asked.clear()
    widget = click(MODELS, do="action", keys=["clf@1"], value="champion")
    assert asked == [("promote", {"model": "clf@1", "to": "champion"}, "magic"), ("models", {"name": "clf"}, "magic")]
    assert (widget.error, "champion" in widget.below) == ("", True)
    widget = click(MODELS, do="action", keys=["clf@1"], value="nobody")
    assert widget.error == "no alias 'nobody'."
    asked.clear()
    widget = click(DEPLOYED, do="action", keys=["clf"])
    assert [name for name, *_ in asked] == ["undeploy", "deployments"]
    assert widget.view["rows"] == []
    asked.clear()
    click(DEPLOYED, do="refresh")
    click(STATUS, do="refresh")
    assert [name for name, *_ in asked] == ["deployments", "status"]
    asked.clear()
    widget = click(PANEL, do="action", section="models", keys=["clf@1"], value="champion")
    assert asked[0] == ("promote", {"model": "clf@1", "to": "champion"}, "magic")
    assert asked[-1] == ("panel", {"limit": 7}, "magic")
    assert "champion" in widget.below
    asked.clear()
    assert click(PANEL, do="refresh").below == ""
    assert [name for name, *_ in asked] == ["panel"]


PAGE = """<!doctype html><meta charset="utf-8"><style>%s body{font-family:sans-serif;margin:16px}</style><div id="el"></div>
<script type="module">%s
const listeners = {}; window.sent = [];
window.model = {
  values: %s,
  get(name) { return this.values[name]; },
  set(name, value) { this.values[name] = value; (listeners[`change:${name}`] ?? []).forEach(f => f()); },
  on(names, f) { names.split(' ').forEach(n => (listeners[n] ??= []).push(f)); },
  off(names, f) { names.split(' ').forEach(n => (listeners[n] = (listeners[n] ?? []).filter(g => g !== f))); },
  send(content) { window.sent.push(content); },
};
window.cleanup = exported.render({ model: window.model, el: document.getElementById('el') });
window.listeners = listeners;
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    import shutil

    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no browser on this machine")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-quic"])
        yield made
        made.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    pages = []

    def open_page(noun: Displayed) -> Any:
        from jupyter_mlops.widgets.markup import LIVE_STYLE, STYLE

        script = live.SCRIPT.read_text().replace("export default", "const exported =")
        values = {"view": live.state(noun), "below": "", "error": "", "busy": False}
        page = browser.new_page(viewport={"width": 1000, "height": 600})
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        (tmp_path / "page.html").write_text(
            PAGE % (STYLE + LIVE_STYLE, script, json.dumps(values).replace("</", "<\\/"))
        )
        page.goto((tmp_path / "page.html").as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        assert page.problems == []
        page.close()


def names(page: Any) -> list[str]:
    return page.locator("tbody tr td:nth-child(2)").all_text_contents()


@pytest.mark.ui
def test_runs_sort_filter_and_compare_in_a_browser(show: Any) -> None:
    page = show(RunTable(RUNS))
    assert names(page) == ["oak", "<b>elm", "ash"]
    page.get_by_role("button", name="auc").click()
    assert names(page) == ["<b>elm", "oak", "ash"]
    page.get_by_role("button", name="auc").click()
    assert names(page) == ["oak", "<b>elm", "ash"]  # what has no value stays last
    assert page.get_by_role("button", name="auc ▼").evaluate("node => node === document.activeElement")
    page.get_by_role("button", name="run", exact=True).click()
    assert names(page) == ["<b>elm", "ash", "oak"]
    page.get_by_role("searchbox").fill("a")
    page.get_by_role("searchbox").fill("as")
    assert names(page) == ["ash"]
    assert page.get_by_text("1 of 3 rows").is_visible()
    page.get_by_role("searchbox").fill("auc > 0.97")
    assert page.get_by_text("numbers are compared as metrics.x > 0.8, and Enter").is_visible()
    page.get_by_role("searchbox").fill("metrics.auc > 0.5")
    page.get_by_role("searchbox").press("Enter")  # the order stays as it was chosen
    (sent,) = page.evaluate("window.sent.splice(0)")
    assert (sent["do"], sent["sort"], sent["direction"]) == ("find", "name", 1)
    page.get_by_role("searchbox").fill("")
    assert page.get_by_role("button", name="Compare").is_disabled()
    page.get_by_label("Select oak").check()
    page.get_by_label("Select ash").check()
    page.get_by_role("button", name="Compare 2").click()
    assert page.evaluate("window.sent") == [{"do": "select", "keys": [RUNS[0].id, RUNS[2].id]}]
    page.evaluate("window.model.set('error', '<b>no</b>')")
    assert page.get_by_role("alert").inner_text() == "<b>no</b>"
    page.evaluate("window.cleanup()")
    assert page.evaluate("Object.values(window.listeners).flat().length") == 0


@pytest.mark.ui
def test_a_table_of_thousands_asks_the_kernel_in_a_browser(show: Any) -> None:
    page = show(MANY)
    assert page.get_by_text("1,000 rows · the first 200 are shown").is_visible()
    page.get_by_role("button", name="auc").click()
    asked = {"do": "arrange", "sort": "metrics.auc", "direction": 1, "words": ""}
    assert page.evaluate("window.sent.splice(0)") == [asked]
    page.get_by_role("searchbox").fill("run 9")
    page.wait_for_function("window.sent.length")
    assert page.evaluate("window.sent.splice(0)") == [{"do": "arrange", "sort": "", "direction": 1, "words": "run 9"}]
    page.evaluate("window.model.set('view', window.model.values.view)")
    assert page.get_by_role("searchbox").evaluate("node => node === document.activeElement && node.selectionStart") == 5
    page.get_by_role("searchbox").fill("metrics.auc > 0.5")
    page.get_by_role("searchbox").press("Enter")
    (sent,) = page.evaluate("window.sent.splice(0)")
    assert (sent["do"], sent["filter"], sent["words"]) == ("find", "metrics.auc > 0.5", "")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("params.depth").check()
    assert page.evaluate("window.sent.splice(0)")[0]["shown"] == ["params.depth", "metrics.auc"]


@pytest.mark.ui
def test_promote_stop_and_curves_in_a_browser(show: Any) -> None:
    page = show(MODELS)
    page.get_by_role("button", name="Promote…").nth(1).click()
    page.get_by_label("Alias").fill("challenger")
    page.get_by_label("Alias").press("Enter")
    assert page.evaluate("window.sent") == [{"do": "action", "keys": ["clf@1"], "value": "challenger"}]
    page = show(DEPLOYED)
    page.get_by_role("button", name="Stop").click()
    assert page.evaluate("window.sent") == []  # once more before something is taken away
    page.get_by_role("button", name="Stop? Click again").click()
    assert page.evaluate("window.sent") == [{"do": "action", "keys": ["clf"], "value": ""}]
    page = show(COMPARED)
    assert page.locator("svg polyline").count() == 2
    before = page.locator("svg polyline").first.get_attribute("points")
    page.get_by_label("log scale").check()
    assert page.locator("svg polyline").first.get_attribute("points") != before
    assert not page.get_by_text("penalty").count()
    page.get_by_label("parameters that are the same").check()
    assert page.get_by_role("cell", name="penalty").is_visible()
    page.locator("svg").hover(position={"x": 300, "y": 60})
    assert "oak 3.0000" in page.locator(".mlops-legend").inner_text()
    page = show(STATUS)
    page.get_by_role("button", name="Refresh").click()
    assert page.evaluate("window.sent") == [{"do": "refresh"}]


@pytest.mark.ui
def test_a_panel_keeps_its_sections_as_they_were_left(show: Any) -> None:
    page = show(PANEL)
    section = page.locator(".mlops-section")
    assert section.locator("summary").all_inner_texts() == [
        *("Runs 3", "Data 0", "Models 2", "Deployments 1", "Drift reports 0", "Alerts 0")
    ]
    assert [box.get_attribute("open") is not None for box in section.all()] == [True, False, True, True, False, False]
    models, runs = section.nth(2), section.nth(0)
    runs.locator("summary").click()
    models.get_by_role("searchbox").fill("clf@1")
    models.get_by_role("button", name="model", exact=True).click()
    assert runs.get_attribute("open") is None
    assert models.get_by_text("1 of 2 rows").is_visible()
    assert models.get_by_role("button", name="model ▲").evaluate("node => node === document.activeElement")
    models.get_by_role("button", name="Promote…").click()
    models.get_by_label("Alias").press("Enter")
    sent = {"do": "action", "keys": ["clf@1"], "value": "champion", "section": "models"}
    assert page.evaluate("window.sent") == [sent]
