"""The model card, written from a version's dossier: sections, and Hugging Face's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..domain.display import clock
from ..domain.dossier import Dossier
from ..domain.evaluation import Evaluation
from ..domain.evaluation_parts import MetricValue
from ..domain.written import Block, Bullets, Grid, Own, Pill, Section, Written
from .card_words import sealed

__all__ = ["OWN_SECTIONS", "markdown", "metadata", "missing", "short", "written"]

OWN_SECTIONS = {
    "intended-use": ("Intended use", "What is it for, who uses it, and what must it not be used for?"),
    "limitations": ("Limits", "Where does it fail that the numbers below do not show?"),
    "ethics": ("Ethical considerations", "Who may be harmed, how, and what is done about it?"),
    "contact": ("Contact", "Whom does one ask, and how is a problem reported?"),
}
GENERATED = ("library_name", "pipeline_tag", "datasets", "metrics", "model-index")
"""The metadata that is written from what is known; all other keys are the reader's."""

TASKS = {
    "binary": ("tabular-classification", "Tabular classification"),
    "multiclass": ("tabular-classification", "Tabular classification"),
    "regression": ("tabular-regression", "Tabular regression"),
}
SHOWN_COLUMNS, SHOWN_SLICES, SHOWN_PARAMETERS = 60, 12, 40


def written(dossier: Dossier, own: Mapping[str, str]) -> Written:
    """The card's sections; `own` are the user's words by section."""
    model = dossier.model
    sections = [
        Section("The model", [_facts(dossier)]),
        _own("intended-use", own),
        Section("Training data", _data(dossier)),
        Section("What it is worth", _worth(dossier)),
        *_parts(dossier),
        _limits(dossier, own),
        _own("ethics", own),
        Section("Energy", [_energy(dossier)]),
        Section("Gates and approvals", _gates(dossier)),
        Section(
            "How to use it",
            [
                f"`%mlops deploy {model.ref}` serves it; `mlflow.pyfunc.load_model('models:/{model.name}/{model.version}')` loads it."
            ],
        ),
        _own("contact", own),
    ]
    more = [Section(name.replace("-", " ").capitalize(), [Own(name, own[name])]) for name in own if name not in OWN_SECTIONS and own[name]]  # fmt: skip
    lead = f"{model.estimator or model.flavor or 'A model'}, registered {clock(model.created_ms)} by {model.created_by or 'somebody unknown'}."
    return Written(model.ref, lead, [*sections, *more])


def markdown(dossier: Dossier, own: Mapping[str, str], kept: Mapping[str, Any]) -> str:
    """The whole card as Markdown; `kept` is the metadata it had."""
    import yaml

    head = yaml.safe_dump(metadata(dossier, kept), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{head}---\n{sealed(written(dossier, own).markdown())}"


def metadata(dossier: Dossier, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Hugging Face's metadata; keys that are not ours stay as they were."""
    model, evaluation = dossier.model, dossier.evaluation
    found = {key: value for key, value in kept.items() if key not in GENERATED}
    given = found.get("tags")
    ours = [tag for tag in (model.flavor, "tabular", "jupyter-mlops") if tag]
    found["tags"] = list(dict.fromkeys([*(given if isinstance(given, list) else []), *ours]))
    if model.flavor:
        found["library_name"] = model.flavor
    if evaluation is not None:
        found["pipeline_tag"] = TASKS[evaluation.task][0]
    if model.data:
        found["datasets"] = list(model.data)
    results = _results(evaluation) if evaluation is not None else []
    if results:
        found["metrics"] = [metric["type"] for metric in results[0]["metrics"]]
        found["model-index"] = [{"name": model.ref, "results": results}]
    return found


def short(dossier: Dossier, own: Mapping[str, str]) -> str:
    """The card in a few lines, for the description that MLflow's pages show."""
    model, evaluation = dossier.model, dossier.evaluation
    parts = [f"**{model.estimator or model.flavor}**" + (f" trained on {', '.join(model.data)}" if model.data else "")]
    if own.get("intended-use"):
        parts.append(own["intended-use"])
    if evaluation is not None:
        worth = ", ".join(f"{m.name} {m}" for m in evaluation.headline)
        parts += [f"On {evaluation.data or 'a table'} ({evaluation.rows:,} rows): {worth}", *evaluation.verdicts]
    return "\n\n".join([*parts, "The whole card: artifact `mlops/` of the logged model."])


def missing(dossier: Dossier) -> tuple[str, ...]:
    """What the card cannot say, and what to run so that it can."""
    found = []
    ref = dossier.model.ref
    if dossier.evaluation is None:
        found.append(f"{ref} was never evaluated: `%mlops evaluate {ref} --data TABLE --slices --fairness COLUMN`.")
    if not dossier.data:
        found.append("what it was trained on is no saved data version; `%mlops data save` before training.")
    if dossier.energy() is None:
        found.append("energy was not measured; it needs the extra `energy` and a country in the settings.")
    return tuple(found)


def _own(name: str, own: Mapping[str, str]) -> Section:
    title, prompt = OWN_SECTIONS[name]
    return Section(title, [Own(name, own.get(name, ""), prompt)])


def _facts(dossier: Dossier) -> Grid:
    model, run = dossier.model, dossier.run
    rows: list[tuple[str, Any]] = [
        ("version", model.ref),
        ("aliases", ", ".join(model.aliases)),
        ("owners", ", ".join(dossier.owners)),
        ("estimator", model.estimator),
        ("stored as", model.format),
        ("SHA-256 of the model file", dossier.digest),
        ("inputs", ", ".join(f"{c.name}: {c.type}" for c in model.inputs[:SHOWN_COLUMNS])),
        ("outputs", ", ".join(f"{c.name}: {c.type}" for c in model.outputs)),
    ]
    if run is not None:
        said = [f"{name}={value}" for name, value in run.params.items() if _says_something(value)]
        changes = ", ".join(said[:SHOWN_PARAMETERS])
        rows += [
            ("run", f"{run.name} ({run.id})"),
            ("notebook", run.notebook),
            ("commit", run.commit),
            ("can be made again", run.trust),
            ("parameters", changes),
        ]
    return Grid(("", ""), [row for row in rows if row[1]])


def _says_something(value: str) -> bool:
    """Whether a parameter's value is worth a reader's time: nothing that is not set, nor an object whose own parameters follow."""
    return value not in ("None", "") and "(" not in value and " at 0x" not in value


def _data(dossier: Dossier) -> list[Block]:
    if not dossier.data:
        return ["What it was trained on is not recorded as a data version."]
    rows = [
        (f.version.ref, f.version.rows, len(f.version.columns), f.version.digest, _checks(f.checks))
        for f in dossier.data
    ]
    blocks: list[Block] = [Grid(("version", "rows", "columns", "digest", "checks"), rows)] if rows else []
    if dossier.unsaved:
        blocks.append(f"Not kept as data versions: {', '.join(dossier.unsaved)}.")
    return blocks


def _checks(told: Mapping[str, Any] | None) -> str:
    return "none made" if told is None else f"{told.get('errors', 0)} errors, {told.get('warnings', 0)} warnings"


def _worth(dossier: Dossier) -> list[Block]:
    evaluation = dossier.evaluation
    if evaluation is None:
        metrics = dossier.model.metrics
        told = "It was never evaluated with intervals. What its run logged:" if metrics else "It was never evaluated."
        return [told, *([Grid(("metric", "value"), [(k, float(v)) for k, v in metrics.items()])] if metrics else [])]
    level = f"{evaluation.level:.0%} interval"
    rows = [(m.name, m.value, _interval(m), m.method, m.convention) for m in evaluation.metrics]
    return [
        f"On {evaluation.data or 'a table'}, {evaluation.rows:,} rows, {clock(evaluation.created_ms)}, evaluation {evaluation.id}.",
        Grid(("metric", "value", level, "interval by", "convention"), rows),
        *([Bullets(list(evaluation.verdicts))] if evaluation.verdicts else []),
    ]


def _interval(metric: MetricValue) -> str:
    return "" if metric.low is None or metric.high is None else f"{metric.low:.4g} to {metric.high:.4g}"


def _parts(dossier: Dossier) -> list[Section]:
    found = []
    looked = dossier.with_part("slices")
    if looked is not None and looked.slices is not None:
        part = looked.slices
        rows = [
            (s.name, s.rows, s.value, _between(s.low, s.high), s.rest, Pill("worse", "bad") if s.worse else "")
            for s in part.slices[:SHOWN_SLICES]
        ]
        heads = ("slice", "rows", part.metric, "interval", "elsewhere", "beyond chance")
        found.append(Section("Slices", [_on(looked), Grid(heads, rows)]))
    looked = dossier.with_part("fairness")
    if looked is not None:
        blocks: list[Block] = [_on(looked)]
        for part_ in looked.fairness:
            rows_ = [
                (g.group, g.rows, *(m.value for m in (g.selection_rate, g.true_positive_rate, g.false_positive_rate, g.accuracy)))
                for g in part_.groups
            ]  # fmt: skip
            heads_ = (part_.attribute, "rows", "selected", "true positive rate", "false positive rate", "accuracy")
            blocks += [Grid(heads_, rows_), Grid(("criterion", "value"), [(c.name, str(c)) for c in part_.criteria])]
        found.append(Section("Fairness", blocks))
    looked = dossier.with_part("calibration")
    if looked is not None and looked.calibration is not None:
        c = looked.calibration
        p = "" if c.p_value is None else f", {c.test} p {c.p_value:.3g}"
        verdict = "nothing speaks against it" if c.calibrated else "it is not calibrated"
        found.append(Section("Calibration", [f"{_on(looked)} {verdict.capitalize()}: ECE {c.ece}, ACE {c.ace}{p}."]))
    looked = dossier.with_part("explanation")
    if looked is not None and looked.explanation is not None:
        e = looked.explanation
        how = "SHAP" if e.shap else "Permutation importance"
        rows_i = [(i.feature, i.value) for i in (e.shap or e.permutation)[:SHOWN_SLICES]]
        found.append(
            Section(
                "What drives it",
                [
                    f"{_on(looked)} {how}, {e.method}.",
                    Grid(("feature", "importance"), rows_i),
                ],
            )
        )
    looked = dossier.with_part("robustness")
    if looked is not None and looked.robustness is not None:
        r = looked.robustness
        rows_r = [(c.name, c.column, c.value, c.change, c.severity) for c in r.checks]
        found.append(
            Section("Robustness", [_on(looked), Grid(("disturbance", "column", r.metric, "change", ""), rows_r)])
        )
    return found


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _on(evaluation: Evaluation) -> str:
    return f"On {evaluation.data or 'a table'}, {evaluation.rows:,} rows."


def _limits(dossier: Dossier, own: Mapping[str, str]) -> Section:
    """The user's words on limits, and those that are known without them."""
    known = []
    trained = sum(f.version.rows for f in dossier.data)
    if trained:
        known.append(f"It was trained on {trained:,} rows; nothing is known of it on data unlike those.")
    looked = dossier.with_part("slices")
    if looked is not None and looked.slices is not None:
        known += [f"Worse than elsewhere beyond chance: {s.name}." for s in looked.slices.slices if s.worse][
            :SHOWN_SLICES
        ]
    if dossier.run is not None and dossier.run.trust not in ("reproducible", "consistent"):
        known.append(f"Whether its notebook gives it again: {dossier.run.trust}.")
    if dossier.model.format == "pickle":
        known.append("It is stored as a pickle: whoever loads it runs the code in it.")
    known += [
        f"Not looked at: {part}."
        for part in ("slices", "fairness", "calibration", "robustness")
        if dossier.with_part(part) is None
    ]
    title, prompt = OWN_SECTIONS["limitations"]
    return Section(title, [Own("limitations", own.get("limitations", ""), prompt), Bullets(known)] if known else [Own("limitations", own.get("limitations", ""), prompt)])  # fmt: skip


def _energy(dossier: Dossier) -> str:
    told = dossier.energy()
    if told is None:
        facts = dossier.run.facts if dossier.run is not None else {}
        cpu = f" Training took {facts['CPU seconds']} CPU seconds." if "CPU seconds" in facts else ""
        return f"Not measured.{cpu}"
    used, carbon, method = told
    return f"Training took {used:.4g} Wh" + (f", {carbon:.4g} g of CO2" if carbon is not None else "") + f" ({method})."


def _gates(dossier: Dossier) -> list[Block]:
    blocks: list[Block] = []
    for report in dossier.gates:
        rows = [(r.gate, r.needed, r.found, Pill(r.verdict, _tone(r.verdict))) for r in report]
        blocks += [f"As {report.alias}, {clock(report.judged_ms)}:", Grid(("gate", "needed", "found", "verdict"), rows)]
    if dossier.approvals:
        rows_a = [
            (a.role, a.by, clock(a.at_ms), "withdrawn" if a.withdrawn else "given", a.note) for a in dossier.approvals
        ]
        blocks.append(Grid(("approval as", "by", "when", "", "note"), rows_a))
    return blocks or ["No gate has judged it and nobody has approved it."]


def _tone(verdict: str) -> Any:
    return {"passed": "good", "failed": "bad"}.get(verdict, "warn")


def _results(evaluation: Evaluation) -> list[dict[str, Any]]:
    kind, title = TASKS[evaluation.task]
    metrics = [
        {
            "type": m.name,
            "value": m.value,
            "name": m.name.replace("_", " "),
            **({"args": {"low": m.low, "high": m.high, "level": m.level, "by": m.method}} if m.low is not None else {}),
        }
        for m in evaluation.metrics
        if m.value is not None
    ]
    if not metrics:
        return []
    data: dict[str, Any] = {"type": evaluation.data.partition("@")[0] or "table", "name": evaluation.data or "a table"}
    if evaluation.data_digest:
        data["revision"] = evaluation.data_digest
    return [{"task": {"type": kind, "name": title}, "dataset": data, "metrics": metrics}]
