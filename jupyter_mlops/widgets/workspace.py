"""The workspace at a glance, the audit trail, pipelines and their verdicts, past drift reports."""

from __future__ import annotations

from ..domain.audit_entry import AuditCheck, AuditTrail
from ..domain.display import seconds
from ..domain.drift_report import ReportTable
from ..domain.panel import Panel
from ..domain.pipeline import Check, Pipeline, Verification
from ..domain.pipeline_picture import draw
from ..domain.workspace import Status
from .markup import Markup, Number, code, facts, grid, join, more, note, page, pill, short, tag, when

__all__ = [
    "audit_check",
    "audit_trail",
    "panel",
    "panel_head",
    "pipeline",
    "report_table",
    "status",
    "status_parts",
    "verification",
]


def status(told: Status) -> Markup:
    """Where everything goes and how much there is of it."""
    return page(*status_parts(told))


def status_parts(told: Status) -> list[Markup | str]:
    """The same without the frame."""
    service = [pill(told.service_state)] + ([f" process {told.service_pid}"] if told.service_pid else [])
    return [
        facts(
            [
                ("workspace", code(told.root)),
                ("store", join([code(told.tracking_uri), *([" ", pill("away", "bad")] if told.away else [])])),
                ("experiment", told.experiment),
                ("notebook", told.notebook or "unknown"),
                ("service", join(service)),
                ("user", told.user),
            ]
        ),
        note(told.away) if told.away else grid(
            ["runs", "running", "data versions", "models", "deployments"],
            [[Number(told.runs, ","), Number(told.running, ","), Number(told.data_versions, ","), Number(told.models, ","), Number(len(told.deployments), ",")]],
        ),
        note(f"deployed: {', '.join(told.deployments)}") if told.deployments else "",
        note(f"{told.pending:,} logged events are on their way to the store") if told.pending else "",
        *(note(text) for text in told.notes),
    ]  # fmt: skip


def panel(told: Panel) -> Markup:
    """Every stage's newest in a section of its own, open where there is something in it."""
    from . import static_html

    sections = [
        tag(
            "details",
            tag("summary", tag("b", title), f" {count:,}"),
            static_html(table),
            open="open" if count else None,
            class_="mlops-section",
        )
        for _, title, count, table in told.sections
    ]
    return page(panel_head(told), *sections, *(note(text) for text in told.status.notes))


def panel_head(told: Panel) -> Markup:
    """Which workspace it is."""
    status = told.status
    service = pill(f"service {status.service_state}", "good" if status.service_state == "running" else "warn")
    return tag("div", code(status.root), f" experiment {status.experiment} ", service, class_="mlops-title")


def audit_trail(trail: AuditTrail) -> Markup:
    """Who did what and when, newest first."""
    if not trail.entries:
        return page("Nothing has been changed in this workspace yet.")
    rows = [
        [
            Number(e.number, "d"),
            when(e.at_ms),
            tag("span", e.actor.user, title=f"{e.actor.user}@{e.actor.host}"),
            join(
                [
                    "–" if e.erased else e.actor.via,
                    tag("span", f" {e.actor.notebook}", class_="mlops-dim") if e.actor.notebook else "",
                ]
            ),
            e.action,
            short(e.target),
            pill(e.outcome, title=e.error),
            tag("span", e.words, class_="mlops-dim"),
        ]
        for e in trail.entries
    ]
    whole = (
        pill("chain intact", "good")
        if trail.intact
        else pill(f"THE TRAIL WAS ALTERED at entry {trail.broken_at}", "bad")
    )
    return page(grid(["#", "when", "who", "via", "what", "on", "outcome", "with"], rows), whole)


def audit_check(check: AuditCheck) -> Markup:
    """Whether the record is whole, else what was done to it and where."""
    word = pill("whole", "good") if check.ok else pill("THE RECORD WAS TAMPERED WITH", "bad")
    found = [[code(f.writer[:8]), Number(f.place, "d"), pill(f.what, "bad"), f.text] for f in check.findings]
    return page(
        tag(
            "div",
            f"{check.entries:,} entries, {len(check.receipts)} writer{'' if len(check.receipts) == 1 else 's'} ",
            word,
            class_="mlops-title",
        ),
        grid(["writer", "entry", "what", ""], found) if found else "",
        more("receipts", *(tag("div", code(receipt)) for receipt in check.receipts)),
        *(note(text) for text in check.notes),
    )


def pipeline(exported: Pipeline) -> Markup:
    """The verdict, the steps, the parameters, and what was left out."""
    steps = [[tag("b", s.name), short(s.title, 40), _names(s.inputs), _names(s.outputs)] for s in exported.steps]
    parameters = [[p.name, p.type, code(repr(p.default))] for p in exported.parameters]
    return page(
        tag("div", exported.name, " in ", code(exported.directory), class_="mlops-title"),
        _verdict(exported.verification) if exported.verification is not None else "",
        Markup(draw(exported.steps, exported.verification)) if exported.steps else "",
        more("steps", grid(["step", "", "needs", "gives"], steps)) if steps else "",
        grid(["parameter", "type", "default"], parameters) if parameters else "",
        more(f"{len(exported.requirements)} requirements", tag("pre", "\n".join(exported.requirements)))
        if exported.requirements
        else "",
        *(note(text) for text in exported.notes),
    )


def verification(verdict: Verification) -> Markup:
    """Whether a pipeline gives the notebook's results, and what differs."""
    picture = Markup(draw(verdict.steps, verdict)) if verdict.steps else ""
    return page(_verdict(verdict), picture)


def _tone(check: Check) -> str:
    return "good" if check.ok else "warn" if check.accepted else "" if check.verdict == "not comparable" else "bad"


def _verdict(verdict: Verification) -> Markup:
    compared = [check for check in verdict.checks if check.verdict != "not comparable"]
    bad = [check for check in compared if not check.ok]
    if verdict.error:
        told = verdict.error
    elif not compared:
        told = "there was nothing to compare"
    elif bad:
        told = f"{len(bad)} of {len(compared)} results differ from the notebook's"
    else:
        told = f"{len(compared)} results equal the notebook's, in a fresh process ({seconds(verdict.took_ms)})"
    rows = [
        [
            c.step,
            code(c.variable),
            c.kind,
            pill("ok" if c.ok else "accepted" if c.accepted else c.verdict, _tone(c)),
            short(c.message, 90),
        ]
        for c in (*bad, *(c for c in verdict.checks if c not in bad))
    ]
    table = grid(["step", "result", "kind", "", ""], rows) if rows else Markup("")
    head = tag("div", pill("PASS" if verdict.ok else "FAIL"), " ", told)
    return join([head, table if bad else more("results", table) if rows else ""])


def report_table(table: ReportTable) -> Markup:
    """One row a drift report."""
    if not table.reports:
        return page("No drift reports yet. Make one with ", code("%mlops drift MODEL"), ".")
    rows = [
        [
            when(r.created_ms),
            tag("b", r.deployment or r.model or r.reference),
            pill("drift" if r.drifted else "no drift" if len(r.unjudged) < len(r.columns) else "not judged", "" if r.drifted else "good" if len(r.unjudged) < len(r.columns) else "warn"),
            Number(len(r.drifted), ","),
            Number(len(r.columns), ","),
            Number(r.current_rows, ","),
            short(", ".join(r.drifted), 60),
        ]
        for r in table.reports
    ]  # fmt: skip
    return page(grid(["made", "of", "verdict", "drifted", "columns", "rows", "which"], rows))


def _names(names: tuple[str, ...]) -> Markup:
    return join(map(code, names), " ") or Markup("–")
