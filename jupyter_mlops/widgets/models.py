"""Model versions, promotions, deployments."""

from __future__ import annotations

from typing import Any

from ..domain.deployment import Deployment, DeploymentTable, Rollback
from ..domain.display import several
from ..domain.model_version import ModelTable, ModelVersion, Promotion
from ..domain.signature import SignatureColumn
from ..domain.traffic import Traffic
from .gates import gate_grid
from .markup import Markup, Number, code, facts, grid, join, more, note, page, pill, short, tag, when

__all__ = [
    "deployment",
    "deployment_rows",
    "deployment_table",
    "model_rows",
    "model_table",
    "model_version",
    "promotion",
    "rollback",
    "traffic",
]

METRICS = 4


def model_rows(table: ModelTable) -> tuple[list[object], list[list[object]]]:
    """The heads and rows of a table of model versions."""
    names = list(dict.fromkeys(name for v in table.versions for name in v.metrics))[:METRICS]
    rows: list[list[object]] = [
        [
            tag("b", v.ref),
            join((pill(alias, "good") for alias in v.aliases), " ") or "–",
            short(v.estimator or v.flavor, 32),
            v.format or "–",
            join((tag("code", short(ref, 24)) for ref in v.data), ", ") or "–",
            "yes" if v.profile else "no",
            code(v.run_id[:8]) if v.run_id else "–",
            when(v.created_ms),
            *(Number(v.metrics.get(name)) for name in names),
        ]
        for v in table.versions
    ]
    heads = ["model", "aliases", "estimator", "stored as", "data", "drift profile", "run", "registered", *names]
    return list(heads), rows


def model_table(table: ModelTable) -> Markup:
    """One row a version, by model."""
    if not table.versions:
        return page("No models yet. Register one with ", code("%mlops register MODEL --name NAME"), ".")
    return page(grid(*model_rows(table)))


def model_version(version: ModelVersion) -> Markup:
    """One version: where it comes from, how it is stored, what it takes."""
    return page(
        tag("div", version.ref, " ", *(pill(alias, "good") for alias in version.aliases), class_="mlops-title"),
        facts(
            [
                ("estimator", version.estimator or version.flavor),
                ("stored as", version.format),
                ("run", code(version.run_id) if version.run_id else ""),
                ("data", join(map(code, version.data), ", ")),
                ("drift profile", "yes" if version.profile else "no"),
                ("registered", when(version.created_ms) if version.created_ms else ""),
                ("by", version.created_by),
            ]
        ),
        grid(["metric", "value"], [[k, Number(v)] for k, v in version.metrics.items()]) if version.metrics else "",
        more(f"signature: {several(len(version.inputs), 'input')}, {several(len(version.outputs), 'output')}", _signature("input", version.inputs), _signature("output", version.outputs)) if version.inputs or version.outputs else "",
        *(note(text) for text in version.notes),
    )  # fmt: skip


def _signature(title: str, columns: tuple[SignatureColumn, ...]) -> Markup:
    return grid([title, "type", ""], [[short(c.name), c.type, "" if c.required else "optional"] for c in columns])


def promotion(moved: Promotion) -> Markup:
    """Which version an alias points at now, and before."""
    before = f" before that, version {moved.previous}" if moved.previous is not None else ""
    if moved.previous == moved.version:
        before = " as before"
    return page(
        pill(moved.alias, "good"),
        " ",
        tag("b", f"{moved.model}@{moved.version}"),
        tag("span", before, class_="mlops-dim"),
        pill("forced", "bad", title=moved.reason) if moved.forced else "",
        gate_grid(moved.gates) if moved.gates else "",
    )


def rollback(gone_back: Rollback) -> Markup:
    """Which version an alias points at again, and what answers by it."""
    answering = join((tag("b", name) for name in gone_back.deployments), ", ")
    answers = (
        tag("span", " · ", answering, " answers by it") if gone_back.deployments else " · no deployment follows it"
    )
    before = f" again; it was version {gone_back.previous}" if gone_back.was_another else " as before"
    return page(
        pill(gone_back.alias, "good"),
        " ",
        tag("b", f"{gone_back.model}@{gone_back.version}"),
        tag("span", before, answers, class_="mlops-dim"),
    )


def traffic(shared: Traffic) -> Markup:
    """How a deployment's requests are shared, by what, and what was decided for it."""
    rows = [
        [
            tag("b", s.model),
            s.role,
            _percent(s.weight) if s.role != "kept" else "–",
            s.asked if s.asked != s.model else "",
        ]
        for s in shared
    ]
    return page(
        tag("div", "Traffic of ", shared.deployment, class_="mlops-title"),
        grid(["model", "part", "share", "asked for"], rows),
        facts(
            [
                ("sticky by", code(shared.sticky) if shared.sticky else ""),
                ("random holdout", _percent(shared.holdout) if shared.holdout else ""),
            ]
        ),
        *(note(f"{d.what}: {d.why}") for d in reversed(shared.decisions)),
    )


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def deployment_rows(table: DeploymentTable) -> tuple[list[object], list[list[object]]]:
    """The heads and rows of a table of deployments."""
    rows: list[list[object]] = [
        [
            tag("b", d.name),
            _shares(d),
            pill(d.state, title=d.error),
            code(d.url),
            f"{sum(w.health == 'healthy' for w in d.workers)} of {len(d.workers)}" if d.workers else "–",
            Number(sum(w.memory for w in d.workers) / 1e6, ",.0f") if d.workers else "–",
            Number(d.predictions, ","),
            Number(d.versions[0].p50_ms if d.versions else None),
            Number(d.versions[0].p99_ms if d.versions else None),
            Number(d.restarts, ","),
            when(d.started_ms),
        ]
        for d in table.deployments
    ]
    heads = ["deployment", "model", "state", "url", "healthy", "MB", "predictions", "p50 ms", "p99 ms", "restarts"]
    return [*heads, "started"], rows


def deployment_table(table: DeploymentTable) -> Markup:
    """One row a deployment, and what of them somebody should know."""
    if not table.deployments:
        return page("No deployments. Start one with ", code("%mlops deploy MODEL@ALIAS"), ".")
    return page(
        grid(*deployment_rows(table)), *(note(f"{d.name}: {told}") for d in table.deployments for told in _told(d, 2))
    )


def deployment(one: Deployment) -> Markup:
    """One deployment, the versions it answers by, and how to call it."""
    call = (
        f'curl -H "Authorization: Bearer $(cat {one.token_file})" -H "Content-Type: application/json" \\\n'
        f"     -d '{{\"dataframe_records\": [...]}}' {one.url}/invocations"
    )
    shared = one.traffic
    return page(
        tag("div", one.name, " ", pill(one.state, title=one.error), class_="mlops-title"),
        facts(
            [
                ("error", one.error),
                ("serves", tag("b", one.model)),
                ("asked for", one.asked if one.asked != one.model else ""),
                ("at", code(one.url)),
                ("gRPC at", code(one.grpc) if one.grpc else ""),
                ("sticky by", code(shared.sticky) if shared.sticky else ""),
                ("random holdout", _percent(shared.holdout) if shared.holdout else ""),
                ("contract", one.contract),
                ("predictions", f"{one.predictions:,}"),
                ("process", one.pid),
                ("restarts", one.restarts or ""),
                ("started", when(one.started_ms) if one.started_ms else ""),
                ("at boot", one.on_boot),
                ("token", code(one.token_file) if one.token_file else ""),
                ("log", code(one.log) if one.log else ""),
            ]
        ),
        _versions(one) if one.versions and one.state != "stopped" else "",
        *(note(told) for told in _told(one, 5)),
        more("call it from a shell", tag("pre", call)) if one.token_file else "",
    )


def _shares(one: Deployment) -> Any:
    """The version that answers, or each with its share."""
    if len(one.versions) < 2:
        return one.model
    told = [f"{v.role} {v.model} {v.weight:.0%}" for v in one.versions if v.weight]
    return ", ".join(told)


def _versions(one: Deployment) -> Markup:
    rows = [
        [
            tag("b", v.model),
            v.role,
            _percent(v.weight),
            tag("span", v.path, title=v.path_reason),
            Number(v.requests, ","),
            Number(v.refused, ","),
            Number(v.errors, ","),
            Number(v.p50_ms),
            Number(v.p99_ms),
        ]
        for v in one.versions
    ]
    return grid(["model", "part", "share", "computes by", "requests", "refused", "errors", "p50 ms", "p99 ms"], rows)


def _told(one: Deployment, decisions: int) -> list[str]:
    """What somebody should know of a deployment: why it is not as it should be, and what was decided for it, newest first."""
    return [
        *([one.error] if one.error else []),
        *(f"{v.model} computes by {v.path}: {v.path_reason}" for v in one.versions if v.path_reason),
        *([one.log_failing] if one.log_failing else []),
        *([f"{one.not_logged:,} predictions were answered and could not be logged"] if one.not_logged else []),
        *([one.away()] if one.turned_away else []),
        *(f"{d.what}: {d.why}" for d in reversed(one.traffic.decisions[-decisions:])),
        *([one.outdated()] if one.other_release else []),
    ]
