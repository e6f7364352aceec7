"""Model versions, promotions, deployments."""

from __future__ import annotations

from ..domain.deployment import Deployment, DeploymentTable
from ..domain.model_version import ModelTable, ModelVersion, Promotion
from ..domain.signature import SignatureColumn
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
        more(f"signature: {len(version.inputs)} inputs, {len(version.outputs)} outputs", _signature("input", version.inputs), _signature("output", version.outputs)) if version.inputs or version.outputs else "",
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


def deployment_rows(table: DeploymentTable) -> tuple[list[object], list[list[object]]]:
    """The heads and rows of a table of deployments."""
    rows: list[list[object]] = [
        [
            tag("b", d.name),
            d.model,
            pill(d.state, title=d.error),
            code(d.url),
            Number(d.predictions, ","),
            Number(d.restarts, ","),
            when(d.started_ms),
        ]
        for d in table.deployments
    ]
    return ["deployment", "model", "state", "url", "predictions", "restarts", "started"], rows


def deployment_table(table: DeploymentTable) -> Markup:
    """One row a deployment."""
    if not table.deployments:
        return page("No deployments. Start one with ", code("%mlops deploy MODEL@ALIAS"), ".")
    errors = [note(f"{d.name}: {d.error}") for d in table.deployments if d.error]
    return page(grid(*deployment_rows(table)), *errors)


def deployment(one: Deployment) -> Markup:
    """One deployment and how to call it."""
    call = (
        f'curl -H "Authorization: Bearer $(cat {one.token_file})" -H "Content-Type: application/json" \\\n'
        f"     -d '{{\"dataframe_records\": [...]}}' {one.url}/invocations"
    )
    return page(
        tag("div", one.name, " ", pill(one.state, title=one.error), class_="mlops-title"),
        facts(
            [
                ("error", one.error),
                ("serves", tag("b", one.model)),
                ("asked for", one.asked if one.asked != one.model else ""),
                ("at", code(one.url)),
                ("predictions", f"{one.predictions:,}"),
                ("process", one.pid),
                ("restarts", one.restarts or ""),
                ("started", when(one.started_ms) if one.started_ms else ""),
                ("token", code(one.token_file) if one.token_file else ""),
                ("log", code(one.log) if one.log else ""),
            ]
        ),
        more("call it from a shell", tag("pre", call)) if one.token_file else "",
    )
