"""What the service does for gates: gathers a candidate from the store, judges it, keeps results and approvals there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from ..domain.context import now_ms
from ..domain.data_seal import DataSeal
from ..domain.gate import Approval, GateReport, GateResult
from ..domain.model_version import Promotion
from ..domain.reference import Reference, check_alias, check_name
from ..errors import InvalidArgument, MLOpsError, NotFound, PromotionRefused
from ..settings import gate_rules
from ..store import model_versions
from ..store.host import Host
from ..store.models import model_id_of
from ..store.tags import (
    APPROVAL,
    DATA,
    DATA_CHECKS,
    DIGEST,
    GATE_RESULTS,
    MODEL_KEY,
    PIPELINE,
    TRUST,
    USER,
)
from .gate import Candidate
from .gates import GATES
from .operations_alias import move_alias

__all__ = ["approvals_of", "approve", "gates", "judge", "pipeline_of", "promote", "results_of"]

ROLES, APPROVALS = "roles", "approvals"
LONGEST_RESULTS = 4900
LONGEST_TEXT = 160


def gates(host: Host, *, model: str = "", alias: str = "champion") -> dict[str, Any]:
    """The gates of an alias: as declared, and judged where a model is named."""
    check_alias(alias)
    if model:
        entity = model_versions.find(host.store.models, model)
        return judge(host, entity, alias).to_dict()
    rules = declared(host, alias)
    results = [GateResult(name, _options(options), "-", "not judged") for name, options in rules]
    return GateReport("any version", alias, tuple(results), notes=_kinds()).to_dict()


def promote(
    host: Host, *, model: str, alias: str, force: bool = False, reason: str = "", gate: list[str] | None = None
) -> dict[str, Any]:
    """Let an alias point to a version, if its gates hold or are overruled with a reason."""
    check_alias(alias)
    models = host.store.models
    entity = model_versions.find(models, model)
    before = models.alias(entity.name, alias)
    report = judge(host, entity, alias, gate or [])
    for result in report:
        host.progress(f"{result.gate}: needed {result.needed}; found {result.found}: {result.verdict}")
    if report.results:
        _keep(host, entity, report)
    if not report.passed and not force:
        raise _refused(report)
    forced = force and not report.passed
    previous = move_alias(host, entity.name, alias, int(entity.version), reason=reason, forced=forced, expected=before)
    return Promotion(
        entity.name, alias, int(entity.version), previous, report.results, forced=forced, reason=reason
    ).to_dict()


def judge(host: Host, entity: Any, alias: str, extra: list[str] | None = None) -> GateReport:
    """Every declared gate of an alias, and those given with the command, judged for a version (MLflow's entity).

    Raises
    ------
    InvalidArgument
        A rule cannot be read.
    """
    rules = declared(host, alias) + [_given(text) for text in extra or ()]
    ref = f"{entity.name}@{entity.version}"
    if not rules:
        return GateReport(ref, alias, (), now_ms())
    candidate = _candidate(host, entity, alias)
    results = [GATES[name].judge(candidate, options) for name, options in rules]
    return GateReport(ref, alias, tuple(results), now_ms())


def declared(host: Host, alias: str) -> list[tuple[str, dict[str, Any]]]:
    """The declared gates of an alias with their options, in the order in which gates are judged."""
    rules = gate_rules(host.workspace.root).get(alias, {})
    for name in rules:
        _known(name)
    return [
        (name, gate.read(rules[name])) for name, gate in GATES.items() if name in rules and rules[name] is not False
    ]


def approve(host: Host, *, model: str, role: str, note: str = "", withdraw: bool = False) -> dict[str, Any]:
    """Note somebody's approval on a version."""
    check_name(role, "role")
    ref = Reference.parse(model, "model")
    if ref.version is None and ref.alias is None:
        raise InvalidArgument(f"{model!r} names no version.", hint=f"Approve one version: {model}@7.")
    entity = model_versions.find(host.store.models, model)
    people = gate_rules(host.workspace.root).get(ROLES, {}).get(role)
    if people is not None and host.actor.user not in people:
        raise InvalidArgument(
            f"{host.actor.user} may not speak as {role}; {', '.join(people) or 'nobody'} may.",
            hint="Roles stand in [tool.jupyter_mlops.gates.roles].",
        )
    asked = _roles(host)
    if asked and role not in asked and not withdraw:
        raise InvalidArgument.unknown("role", role, asked, hint="These are the ones that gates or `roles` name.")
    if withdraw and role not in {a.role for a in approvals_of(entity)}:
        known = [a.role for a in approvals_of(entity)]
        raise NotFound.among(f"approval of {entity.name}@{entity.version} as", role, known)
    given = Approval(f"{entity.name}@{entity.version}", role, host.actor.user, now_ms(), note, withdraw)
    host.store.models.set_version_tag(entity.name, int(entity.version), APPROVAL + role, json.dumps(given.to_dict()))
    return given.to_dict()


def _roles(host: Host) -> list[str]:
    """The roles that have people, or that a gate asks for."""
    rules = gate_rules(host.workspace.root)
    found = list(rules.get(ROLES, {}))
    for alias, gates_of in rules.items():
        if alias != ROLES and gates_of.get(APPROVALS):
            found += GATES[APPROVALS].read(gates_of[APPROVALS])["roles"]
    return list(dict.fromkeys(found))


def approvals_of(entity: Any) -> tuple[Approval, ...]:
    """The approvals of a version (MLflow's entity), withdrawn ones too."""
    found = []
    for key, text in entity.tags.items():
        if key.startswith(APPROVAL):
            told = _json(text)
            if told is not None:
                found.append(Approval.from_dict(told))
    return tuple(sorted(found, key=lambda a: a.at_ms))


def results_of(entity: Any) -> tuple[GateReport, ...]:
    """The gate results that were kept on a version (MLflow's entity): the newest for each alias."""
    found = [_json(text) for key, text in entity.tags.items() if key.startswith(GATE_RESULTS)]
    return tuple(GateReport.from_dict(told) for told in found if told is not None)


def _candidate(host: Host, entity: Any, alias: str) -> Candidate:
    store = host.store
    number = int(entity.version)
    champion = store.models.alias(entity.name, alias)
    run_tags = store.runs.tags(entity.run_id) if entity.run_id else {}
    data = tuple(_json(entity.tags.get(DATA)) or ())
    other = champion if champion != number else None
    known = _known_by(host, entity)
    return Candidate(
        ref=f"{entity.name}@{number}",
        alias=alias,
        author=entity.tags.get(USER) or entity.user_id or "",
        champion=f"{entity.name}@{champion}" if champion is not None else "",
        evaluations=tuple(store.evaluations.of(entity.name, number)),
        champion_evaluations=tuple(store.evaluations.of(entity.name, other)) if other is not None else (),
        rows=store.evaluations.rows,
        trust=run_tags.get(TRUST, ""),
        pipeline=pipeline_of(entity, run_tags),
        data=tuple(str(ref) for ref in data),
        data_checks={str(ref): _checks(host, str(ref)) for ref in data},
        approvals=approvals_of(entity),
        roles=gate_rules(host.workspace.root).get(ROLES, {}),
        size_bytes=_size(host, entity),
        seal=lambda ref: _seal(host, ref),
        made_for=lambda look: look.made_for(ref=f"{entity.name}@{number}", **known),
    )


def _seal(host: Host, ref: str) -> DataSeal | None:
    """The seal of a data version; None where there is no such version."""
    store = host.store.datasets
    try:
        parsed = Reference.parse(ref, "data version")
        found, run_id = store.get(parsed.name, store.resolve(parsed))
    except (NotFound, InvalidArgument):
        return None
    return store.seals.of(run_id, found.ref)


def _known_by(host: Host, entity: Any) -> dict[str, str]:
    """By what a look may name a version (MLflow's entity) that had none yet."""
    model_id = model_id_of(entity)
    key = ""
    if model_id:
        with contextlib.suppress(MLOpsError):
            key = str(host.store.models.logged(model_id).tags.get(MODEL_KEY, ""))
    return {"model_id": model_id, "key": key, "digest": str(entity.tags.get(DIGEST, ""))}


def _checks(host: Host, ref: str) -> Mapping[str, Any] | None:
    """What the checks of a data version said; None where there are none or the version is not saved."""
    try:
        name, _, version = ref.partition("@v")
        _, run_id = host.store.datasets.get(name, int(version) if version.isdigit() else None)
        told = _json(host.store.runs.tags(run_id).get(DATA_CHECKS))
    except MLOpsError:
        return None
    return told if isinstance(told, dict) else None


def pipeline_of(entity: Any, run_tags: Mapping[str, str]) -> dict[str, Any] | None:
    """What a verification said of the pipeline that gives a version (MLflow's entity); None where none was made.

    The run's word counts for a version that was registered later, unless it speaks of another model of that run.
    """
    told = _json(entity.tags.get(PIPELINE))
    if isinstance(told, dict):
        return told
    told = _json(run_tags.get(PIPELINE))
    if isinstance(told, dict) and told.get("model", "") in ("", model_id_of(entity)):
        return told
    return None


def _size(host: Host, entity: Any) -> int | None:
    try:
        folder = host.store.models.files(entity)
    except MLOpsError:
        return None
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _keep(host: Host, entity: Any, report: GateReport) -> None:
    """Write results on the version, where any client sees them; long words are cut to what a tag holds."""
    results = report.to_dict()
    text = json.dumps(results)
    longest = LONGEST_TEXT
    while len(text) > LONGEST_RESULTS and longest > 0:
        for result in results["results"]:
            for key in ("hint", "found", "needed"):
                result[key] = result[key][:longest]
        longest -= 20
        text = json.dumps(results)
    host.store.models.set_version_tag(entity.name, int(entity.version), GATE_RESULTS + report.alias, text)


def _refused(report: GateReport) -> PromotionRefused:
    bad = [result for result in report if not result.passed]
    lines = [f"{report.model} may not become {report.alias}: {len(bad)} of {len(report)} gates do not hold."]
    lines += [f"  {r.gate} {r.verdict}: needed {r.needed}; found {r.found}" for r in report]
    hints = dict.fromkeys(f"{r.gate}: {r.hint}" for r in bad if r.hint)
    over = "`--force --reason WHY` overrules the gates, and is recorded."
    return PromotionRefused("\n".join(lines), hint="\n" + "\n".join([*hints, over]))


def _options(options: Mapping[str, Any]) -> str:
    """The options that say something, in words."""
    said = {k: ", ".join(map(str, v)) if isinstance(v, (list, tuple)) else v for k, v in options.items()}
    return "; ".join(
        key if value is True else f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in said.items()
        if value not in ("", None, False)
    )


def _given(text: str) -> tuple[str, dict[str, Any]]:
    """``better.by=0.01``, ``size=50`` or ``pipeline`` as a gate with its options."""
    left, has_value, value = text.partition("=")
    name, _, option = left.partition(".")
    gate = GATES[_known(name)]
    if option:
        return name, gate.read({option: value})
    return name, gate.read(value if has_value else True)


def _known(name: str) -> str:
    if name not in GATES:
        raise InvalidArgument.unknown("gate", name, GATES)
    return name


def _kinds() -> tuple[str, ...]:
    return ("", "what can be declared:", *(f"  {gate.name}: {gate.help}" for gate in GATES.values()))


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None
