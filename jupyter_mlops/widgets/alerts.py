"""Alerts and monitors as static HTML: what fires now first, and how every rule stands."""

from __future__ import annotations

from ..domain.alert import Alert, AlertTable, Judgement, Monitor, MonitorTable
from ..domain.retrain import Retrain, RetrainTable
from .markup import Markup, Number, code, facts, grid, note, page, pill, short, tag, when

__all__ = ["alert", "alert_table", "monitor", "monitor_table", "retrain", "retrain_table"]

TONES = {"firing": "bad", "pending": "warn", "ok": "good", "resolved": "good", "unknown": ""}
RETRAIN_TONES = {
    "promoted": "good",
    "proposed": "good",
    "training": "busy",
    "canary": "busy",
    "failed": "bad",
    "refused": "warn",
}


def alert_table(table: AlertTable) -> Markup:
    """Alerts, newest first."""
    if not table.alerts:
        return page(note("no alerts"))
    rows = [
        (
            _state(a.state, silenced=a.silenced),
            a.deployment,
            code(a.rule),
            short(a.told),
            when(a.opened_ms),
            when(a.resolved_ms),
            short(", ".join(f"{k}: {v}" for k, v in (a.sent or {}).items() if not k.startswith("store"))),
        )
        for a in table
    ]
    count = len(table.firing)
    head = f"{count} {'alert fires' if count == 1 else 'alerts fire'}" if count else "nothing fires"
    heads = ("state", "deployment", "rule", "measured", "since", "until", "sent")
    return page(tag("div", head, class_="mlops-title"), grid(heads, rows))


def alert(a: Alert) -> Markup:
    """One alert."""
    sent = ", ".join(f"{k}: {v}" for k, v in (a.sent or {}).items())
    return page(
        tag("div", _state(a.state, silenced=a.silenced), " ", code(a.rule), class_="mlops-title"),
        facts(
            [
                ("measured", a.told),
                ("deployment", f"{a.deployment} ({a.model})"),
                ("since", when(a.opened_ms)),
                ("sent", sent),
            ]
        ),
    )


def monitor(m: Monitor) -> Markup:
    """One monitor."""
    return page(_monitor(m))


def monitor_table(table: MonitorTable) -> Markup:
    """Every monitor."""
    if not table.monitors:
        return page(note(table.text()))
    return page(*(_monitor(m) for m in table))


def _monitor(m: Monitor) -> Markup:
    where = ", ".join(("notebook, panel and store", *m.sinks))
    head = (
        f"{m.firing} of {len(m.rules)} rules {'fires' if m.firing == 1 else 'fire'}"
        if m.firing
        else f"{len(m.rules)} {'rule, it does not fire' if len(m.rules) == 1 else 'rules, none fires'}"
    )
    rows = [(_judged(j), code(j.rule), short(j.told) if j.told else "–", when(j.window_end_ms)) for j in m.judgements]
    return tag(
        "div",
        tag("div", f"{m.name}: {head}", class_="mlops-title"),
        grid(("state", "rule", "measured", "window to"), rows) if rows else None,
        note(f"every {m.every}, then {', '.join(m.then)}; alerts go to {where}"),
        note(f"cannot look: {m.error}") if m.error else None,
        *map(note, m.notes),
    )


def _judged(j: Judgement) -> Markup:
    return _state(j.state, silenced=bool(j.silenced_until_ms))


def _state(word: str, *, silenced: bool) -> Markup:
    shown = pill(word, TONES.get(word, ""))
    return tag("span", shown, " silenced") if silenced else shown


def retrain(r: Retrain) -> Markup:
    """One retrain: what decided, and what became of it."""
    rows = [
        (
            c.on,
            d.metric,
            Number(d.value, "+.4f"),
            Number(d.low, "+.4f"),
            Number(d.high, "+.4f"),
            Number(d.p_value, ".3g"),
        )
        for c in r.compared
        for d in c.differences
    ]
    heads = ("on", "metric", "challenger minus champion", "low", "high", "p")
    return page(
        tag("div", f"retrain of {r.deployment} ", pill(r.state, RETRAIN_TONES.get(r.state, "")), class_="mlops-title"),
        facts(
            [
                ("why", r.reason),
                ("champion", r.model),
                ("challenger", r.challenger),
                ("how", f"{r.how} on {r.training_rows:,} rows" if r.how else ""),
                ("error", r.error),
            ]
        ),
        grid(heads, rows) if rows else None,
        *(note(line) for line in (*r.notes, *r.steps)),
    )


def retrain_table(table: RetrainTable) -> Markup:
    """Retrains, newest first."""
    if not table.retrains:
        return page(note(table.text()))
    rows = [
        (
            code(r.id),
            r.deployment,
            pill(r.state, RETRAIN_TONES.get(r.state, "")),
            r.challenger or "–",
            when(r.asked_ms),
            short(r.error or r.reason),
        )
        for r in table
    ]
    return page(grid(("id", "deployment", "state", "challenger", "asked", "why"), rows))
