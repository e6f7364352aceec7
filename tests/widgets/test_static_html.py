"""Static HTML: every noun has one, text stays text, and it reads well with its styles taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from html.parser import HTMLParser
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jupyter_mlops import domain
from jupyter_mlops.domain.data_version import DataVersionTable
from jupyter_mlops.domain.deployment import DeploymentTable, Predictions, Rollback
from jupyter_mlops.domain.display import Displayed
from jupyter_mlops.domain.drift_report import DriftReport
from jupyter_mlops.domain.evaluation import Difference, Evaluation
from jupyter_mlops.domain.evaluation_parts import Fairness, GroupRates, MetricValue
from jupyter_mlops.domain.model_card import ModelCard
from jupyter_mlops.domain.model_comparison import ModelComparison
from jupyter_mlops.domain.model_version import ModelTable
from jupyter_mlops.domain.record import Record
from jupyter_mlops.domain.run import Run, RunComparison, RunTable, Series
from jupyter_mlops.domain.traffic import Decision, Share, Traffic
from jupyter_mlops.widgets import DRAWN, WORDS, draw, static_html
from jupyter_mlops.widgets.runs import run_line

VOID = {"br", "hr", "img"}
EVIL = "<script>alert('x')</script>\"><img src=x onerror=y>&amp;"


class Reader(HTMLParser):
    """Reads a fragment strictly: what elements it has, what text it shows, and whether all are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def made_of(hint: Any, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Any value of a record's field, with `text` for every text in it."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(args)
    if hint is str:
        return text
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(0, 4_000_000_000_000)
    if hint is float:
        return st.floats()
    if hint is Any:
        return st.one_of(st.none(), st.integers(), text)
    if origin in (tuple, Sequence):
        return st.lists(made_of(args[0], text), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(text, made_of(args[1], text), max_size=3)
    if is_dataclass(hint):
        return record(hint, text)
    return st.one_of(*(st.none() if arg is type(None) else made_of(arg, text) for arg in args))


def record(cls: Any, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    drawn = st.fixed_dictionaries({field.name: made_of(hints[field.name], text) for field in fields(cls)})
    return drawn.map(lambda values: cls(**squared(cls, values)))


def squared(cls: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Parallel tuples of one length, as the code that makes them guarantees."""
    if cls is Series:
        length = min(len(values["steps"]), len(values["values"]))
        values = {**values, "steps": values["steps"][:length], "values": values["values"][:length]}
    if cls is ModelCard:  # written by `domain.written`, which escapes what it is given
        values = {**values, "body": escape(values["body"])}
    if cls is RunComparison:
        count = len(values["runs"])
        for name in ("metrics", "params"):
            values[name] = {k: (tuple(v) + (None,) * count)[:count] for k, v in values[name].items()}
        values["data"] = {k: (tuple(v) + ("",) * count)[:count] for k, v in values["data"].items()}
    return values


ELEMENTS = {
    "style", "div", "span", "b", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "details", "summary",
    "figure", "figcaption", "svg", "circle", "g", "line", "path", "polyline", "rect", "text", "title",
}  # fmt: skip


def nouns() -> Iterator[Any]:
    for module in iter_modules(domain.__path__, f"{domain.__name__}."):
        import_module(module.name)
    for cls in Displayed.__subclasses__():
        if cls.__module__.startswith(domain.__name__) and issubclass(cls, Record):
            yield cls


# the parts of an evaluation hang together; tests/evaluation draws those that were measured. A drift report is a figure.
@pytest.mark.parametrize(
    "cls", [cls for cls in nouns() if cls not in (Evaluation, DriftReport)], ids=lambda cls: cls.__name__
)
def test_whatever_is_in_a_noun_stays_text(cls: type[Displayed]) -> None:
    words = st.one_of(st.text(max_size=30), st.sampled_from([EVIL, "'\"", "</table>", "</style>", "]]>", "<b>"]))

    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(record(cls, words))
    def holds(thing: Any) -> None:
        seen = read(str(static_html(thing)))
        assert seen.elements <= ELEMENTS
        assert not [name for name in seen.attributes if name.startswith("on")]

    holds()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.7e308, 1e17])
def test_a_number_without_a_place_on_an_axis_leaves_the_others_where_they_are(value: float) -> None:
    odd = Difference("mae", value, value, value, 1.0, "")
    plain = Difference("rmse", 1.0, 0.5, 1.5, 0.01, "")
    for differences in ((odd,), (odd, plain), (plain, odd)):
        html = str(static_html(ModelComparison("a", "b", "t", "regression", 9, differences)))
        assert read(html)
        assert not re.search(r'="(?:nan|-?inf)', html)
        assert html.count("<circle") == len(differences) - (not abs(value) < 1e300)


def test_what_has_no_upper_end_is_not_drawn_on_the_axis_of_shares() -> None:
    told = [Difference("accuracy", -0.02, -0.03, -0.01, 0.001, ""), Difference("log_loss", 3.9, 3.5, 4.3, 0.002, "")]
    html = str(static_html(ModelComparison("a", "b", "t", "binary", 9, tuple(told))))
    assert html.count("<svg") == 2
    assert html.count("<svg", 0, html.index(">log_loss<")) == 2
    assert str(static_html(ModelComparison("a", "b", "t", "binary", 9, tuple(told[:1])))).count("<svg") == 1


@pytest.mark.parametrize(
    ("worst", "drawn"),
    [
        ("demographic_parity_difference", "share predicted positive by sex"),
        ("equal_opportunity_difference", "true positive rate by sex"),
        ("equalized_odds_difference", "false positive rate by sex"),
        ("predictive_parity_difference", "precision by sex"),
    ],
)
def test_the_rate_is_drawn_whose_gap_is_told(worst: str, drawn: str) -> None:
    def group(name: str, *rates: float) -> GroupRates:
        return GroupRates(name, 50, *(MetricValue(str(i), rate) for i, rate in enumerate(rates)))

    groups = (group("f", 0.111, 0.222, 0.333, 0.444, 0.5), group("m", 0.1, 0.2, 0.9, 0.4, 0.5))
    told = Fairness("sex", groups, (MetricValue(worst, 0.1),), ("f", "m"), worst)
    html = str(static_html(Evaluation("m", "binary", 100, (), fairness=(told,))))
    assert drawn in read(html).text
    value = {"share": "0.111", "true": "0.222", "false": "0.333", "precision": "0.444"}[drawn.split(maxsplit=1)[0]]
    assert f"{value} · 50 rows" in html


def test_a_run_named_like_a_script_shows_its_name() -> None:
    run = Run(id="1" * 32, name=EVIL, status="FINISHED", metrics={EVIL: 0.5})
    for html in (str(static_html(RunTable((run,)))), str(static_html(run)), str(run_line(run))):
        assert "<script" not in html
        assert "<script>alert('x')</script>" in read(html).text


@pytest.mark.parametrize("cls", list(nouns()), ids=lambda cls: cls.__name__)
def test_every_noun_is_drawn(cls: type[Displayed]) -> None:
    assert cls.__name__ in {*DRAWN, *WORDS, "DriftReport"}


def test_what_is_drawn_is_a_noun_and_there_is_a_function_for_it() -> None:
    assert {*DRAWN, *WORDS} <= {cls.__name__ for cls in nouns()}
    for place in DRAWN.values():
        module, _, function = place.partition(".")
        assert callable(getattr(import_module(f"jupyter_mlops.widgets.{module}"), function))


@pytest.mark.parametrize(
    ("empty", "says"),
    [
        (RunTable(()), "%%mlops run"),
        (DataVersionTable(()), "%mlops data save"),
        (ModelTable(()), "%mlops register"),
        (DeploymentTable(()), "%mlops deploy"),
    ],
)
def test_an_empty_table_says_what_to_type(empty: Displayed, says: str) -> None:
    assert says in read(draw(empty)["text/html"]).text


def test_it_reads_without_its_styles() -> None:
    runs = tuple(Run(id=f"{i:032x}", name=f"run {i}", status="FINISHED", metrics={"auc": i / 7}) for i in range(3))
    html = draw(RunTable(runs))["text/html"]
    bare = re.sub(r"<style>.*?</style>|\s(?:class|style)=\"[^\"]*\"", "", html, flags=re.DOTALL)
    assert '<th align="right">auc</th>' in bare
    assert 'title="0.14285714285714285">0.14286</span></td>' in bare
    assert len(html) < 8000


def test_predictions_of_one_request_are_told_apart() -> None:
    ids = tuple(f"{'c0c80b51f6c8' * 2}-{row}" for row in range(12))
    shown = static_html(Predictions(tuple(range(12)), ids, "clf@1"))
    assert [row for row in range(12) if f"c0c80b51…-{row}<" in shown] == list(range(10))


def test_shares_are_percentages_and_a_rollback_says_what_answers() -> None:
    shares = (Share("clf@1", 0.85, "stable", "clf@champion"), Share("clf@2", 0.15, "canary"))
    shown = static_html(Traffic("clf", shares, sticky="X-User", decisions=(Decision(1, "traffic is so", "asked for"),)))
    assert all(told in shown for told in ("85 %", "15 %", "X-User", "traffic is so: asked for"))
    shown = static_html(Rollback("clf", "champion", 1, 2, ("shop",)))
    assert all(told in shown for told in ("clf@1", "it was version 2", "shop", "answers by it"))
    assert "no deployment follows it" in static_html(Rollback("clf", "champion", 1, 1))


def test_outside_a_kernel_there_is_no_live_view() -> None:
    assert set(draw(RunTable(()))) == {"text/html"}
    assert set(RunTable(())._repr_mimebundle_()) == {"text/plain", "text/html"}
