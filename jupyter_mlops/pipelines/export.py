"""Export: a plan, and the values the notebook has, written as a project in one step: all of it or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ..domain.context import Context
from ..domain.pipeline import Pipeline
from ..domain.pipeline_picture import draw
from ..errors import Conflict, InvalidArgument, MLOpsError, NotReady
from .edits import Edited, Previous, keep_base
from .environment import local_modules, pinned
from .fingerprint import FILES, Fingerprint, NotComparable, take, versions
from .graph import step_graph
from .new_folder import new_folder
from .plan import Plan
from .results import data_used, is_estimator, is_number
from .targets import TARGETS
from .targets.python import TEMPLATES

__all__ = [
    "DESCRIPTION",
    "Taken",
    "copy_checks",
    "copy_steps",
    "read_description",
    "shown",
    "write_project",
    "write_text",
]

DESCRIPTION = "pipeline.json"
PICTURE = "pipeline.svg"
SCHEMA = 1
MADE_BY = "jupyter-mlops"
STANDALONE = Path(__file__).parent / "standalone"
HANDED_BY = {"pandas": "pyarrow", "scikit-learn": "skops"}
"""What steps in processes of their own need to hand on what these make."""


@dataclass
class Taken:
    """The fingerprints of a notebook's values, taken once for all the forms that are tried.

    Parameters
    ----------
    folder
        Where copies of the values are.
    values
        By variable: the fingerprint, or why there is none.
    """

    folder: Path
    values: dict[str, Fingerprint | NotComparable] = field(default_factory=dict)

    def of(self, name: str, value: Any, used_on: Callable[[], Any]) -> Fingerprint:
        """The fingerprint of a variable.

        Raises
        ------
        NotComparable
            There is no telling whether another value would be the same.
        """
        if name not in self.values:
            try:
                self.values[name] = take(value, self.folder, name, used_on=used_on())
            except NotComparable as error:
                self.values[name] = error
        found = self.values[name]
        if isinstance(found, NotComparable):
            raise found
        return found


def write_project(
    context: Context,
    plan: Plan,
    targets: Sequence[str],
    directory: Path,
    *,
    taken: Taken,
    schedule: str = "",
    old: Previous | None = None,
    edited: Edited = "",
) -> Pipeline:
    """Write the project, with the fingerprints of the notebook's values.

    Parameters
    ----------
    taken
        The fingerprints that were taken already; is handed those that are missing.
    old
        The export that stood there before.
    edited
        What becomes of what the user has changed in it; by default that is refused.

    Raises
    ------
    Conflict
        The directory holds something else, or an exported pipeline that was edited since.
    NotReady
        None of the results can be compared.
    """
    directory = directory.expanduser().absolute()
    check_free(directory, old, edited)
    with new_folder(directory) as new:
        results = _take_results(plan, taken)
        shutil.copytree(taken.folder, new / "expected")
        facts = _facts(context, plan, targets, directory, results)
        facts["schedule"] = schedule
        for name in facts["targets"]:
            TARGETS[name].write(plan, new, facts)
        _bring_along(plan, new)
        copy_checks(new)
        copy_steps(new)
        keep_base(new)
        if old is not None:
            facts["notes"] = [*old.bring_along(new, merge=edited == "merge"), *facts["notes"]]
        facts["digest"] = _digest(new / "pipeline.py")
        _write_json(new / "expected.json", {"schema": SCHEMA, "results": results})
        _write_json(new / DESCRIPTION, facts)
        write_text(new / PICTURE, draw(plan.step_records(), alone=True))
    return Pipeline(
        directory=shown(directory),
        name=plan.name,
        steps=plan.step_records(),
        parameters=plan.parameters,
        requirements=tuple(f"{n}=={v}" for n, v in facts["environment"].items() if n != "python"),
        results=tuple(result["variable"] for result in results),
        notes=tuple(facts["notes"]),
    )


def copy_checks(folder: Path) -> None:
    """Put the check and what it needs beside a pipeline, where it runs without us."""
    shutil.copy(TEMPLATES / "check.py", folder)
    for name in FILES:
        text = Path(__file__).with_name(name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("from .fingerprint", "from fingerprint"), encoding="utf-8")


def copy_steps(folder: Path) -> None:
    """Put what runs single steps, and all of them on this machine, beside a pipeline."""
    for source in sorted(STANDALONE.glob("*.py")):
        if source.name == "__init__.py":
            continue
        if (folder / source.name).exists():
            raise InvalidArgument(
                f"the pipeline imports {source.name} of the project, and a file of that name runs its steps.",
                hint=f"Give {source.name} another name, import it by that, and export again.",
            )
        text = source.read_text(encoding="utf-8")
        (folder / source.name).write_text(re.sub(r"^(\s*from )\.", r"\1", text, flags=re.MULTILINE), encoding="utf-8")


def read_description(directory: Path) -> dict[str, Any]:
    """What an exported pipeline says of itself.

    Raises
    ------
    InvalidArgument
        The directory holds no pipeline of ours, or one of another schema.
    """
    try:
        description = json.loads((directory / DESCRIPTION).read_text(encoding="utf-8"))
        made_by, schema = description["made_by"], description["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        made_by, schema, description = "", SCHEMA, {}
    if made_by != MADE_BY:
        raise InvalidArgument(
            f"{directory} holds no exported pipeline.", hint="Name a directory that `%mlops export -o DIR` has made."
        )
    if schema != SCHEMA:
        raise InvalidArgument(
            f"{directory} was exported by another version (schema {schema}, this is {SCHEMA}).", hint="Export it again."
        )
    return dict(description)


def check_free(directory: Path, old: Previous | None, edited: Edited) -> None:
    """Refuse a directory that holds something else, or an export that was edited, unless it is said what becomes of that.

    Raises
    ------
    Conflict
        It does.
    """
    if not directory.exists():
        return
    if directory.is_dir() and not any(directory.iterdir()):
        return
    try:
        description = read_description(directory)
    except InvalidArgument:
        raise Conflict(
            f"{shown(directory)} exists and is no exported pipeline.", hint="Choose another directory with `-o DIR`."
        ) from None
    if edited:
        return
    if old is not None and old.base.is_dir():
        old.refuse()
    elif description.get("digest") != _digest(directory / "pipeline.py"):
        raise Conflict(
            f"{shown(directory / 'pipeline.py')} was edited since it was exported.",
            hint="`--beside` writes the new export beside it, `--overwrite` gives the edits up.",
        )


def _take_results(plan: Plan, taken: Taken) -> list[dict[str, Any]]:
    """The fingerprints of every value that the notebook still has as the pipeline should give it."""
    results: list[dict[str, Any]] = []
    causes = list(plan.results.notes)
    for step, name in plan.compared():
        wanted = name in plan.results.values
        value = plan.results.values[name] if wanted else plan.live[name]

        def used_on(name: str = name, value: Any = value) -> Any:
            return data_used(name, plan.flows, plan.live) if is_estimator(value) and not plan.whole else None

        try:
            fingerprint = taken.of(name, value, used_on)
        except NotComparable as error:
            if plan.whole:
                results.append({"step": step, "variable": name, "kind": "value", "not_comparable": str(error)})
                continue
            if wanted:
                causes.append(f"{name} is not compared: it is {error}")
                plan.notes.append(causes[-1])
            continue
        if "measured" in fingerprint:
            plan.notes.append(
                f"{', '.join(fingerprint['measured'])} of {name} are times taken with a clock, which no two runs share: "
                "all else of it is compared"
            )
        kinds = {"table": "table", "array": "array", "model": "predictions", "items": "value"}
        kind = "metric" if wanted and is_number(value) else kinds.get(fingerprint["kind"], "value")
        why = {"unmade": plan.unmade[name]} if name in plan.unmade else {}
        results.append({"step": step, "variable": name, "kind": kind, "fingerprint": fingerprint, **why})
    if not plan.whole and not any(result["variable"] in plan.results.values for result in results):
        raise NotReady(
            f"none of the results can be compared: {'; '.join(causes) or ', '.join(plan.results.names)}.",
            hint="Name others: `%mlops export --targets NAME`.",
        )
    return results


def _facts(
    context: Context, plan: Plan, targets: Sequence[str], directory: Path, results: list[dict[str, Any]]
) -> dict[str, Any]:
    taken = (
        plan.module.names | {n for s in plan.steps for f in s.flows for n in f.touches} | {s.name for s in plan.steps}
    )
    notebook = Path(context.notebook.path).name if context.notebook.path else ""
    notebook = plan.file.path.name if plan.file else notebook
    text = "\n".join(f.statement.text for s in plan.steps for f in s.flows)
    carried = {type(plan.live.get(name)).__module__.partition(".")[0] for step in plan.steps for name in step.outputs}
    pins = pinned({*plan.module.packages, *(carried & {"pandas", "numpy", "scipy", "polars"})}, text)
    pins |= pinned([HANDED_BY[name] for name in HANDED_BY if name in pins], "")
    commit = context.notebook.commit[:12] + (" with changes" if context.notebook.dirty else "")
    return {
        "schema": SCHEMA,
        "made_by": MADE_BY,
        "version": metadata.version(MADE_BY),
        "target": "python",
        "targets": list(dict.fromkeys(["python", *targets])),
        "name": plan.name,
        "notebook": notebook,
        "commit": context.notebook.commit,
        "origin": f"Exported from {notebook or 'a notebook'}{f' at commit {commit}' if context.notebook.commit else ''} "
        f"by {MADE_BY} {metadata.version(MADE_BY)}.",
        "entry": "run" if "run" not in taken else "run_pipeline",
        "main": "main" if "main" not in taken else "command_line",
        "runs_in": os.path.relpath(Path.cwd(), directory),
        "place": _place(directory),
        "directory": directory.name,
        "steps": [step.to_dict() for step in plan.step_records()],
        "graph": step_graph(plan),
        "modules": list(local_modules(plan.module.packages, Path.cwd())),
        "parameters": [parameter.to_dict() for parameter in plan.parameters],
        "results": [result["variable"] for result in results],
        "models": _logged_models(context, plan, results),
        "environment": {**versions([]), **pins},
        "unseeded": plan.unseeded,
        "unmade": plan.unmade,
        "clock_of": plan.clock,
        "form": plan.form,
        "whole": plan.whole,
        "hash_seed": os.environ.get("PYTHONHASHSEED", ""),
        "notes": plan.notes,
    }


def _logged_models(context: Context, plan: Plan, results: list[dict[str, Any]]) -> dict[str, str]:
    """The estimators among the results that a run has logged just as they are: variable to the logged model's key."""
    found: dict[str, str] = {}
    for name in (str(result["variable"]) for result in results):
        value = plan.results.values.get(name, plan.live.get(name))
        key, digest = context.known_models.find(value) or ("", "")
        if key and _model_digest(value) == digest:
            found[name] = key
    return found


def _model_digest(model: Any) -> str:
    """The digest of the file that the model would be stored in now; empty for one that cannot be stored so."""
    from ..tracking.model_package import write_package

    with tempfile.TemporaryDirectory(prefix="mlops-model-") as folder:
        try:
            return write_package(model, Path(folder) / "model").digest
        except MLOpsError:
            return ""


def _place(directory: Path) -> str:
    """Where the project stands in its repository: from the folder with ``.git``, else from where the notebook ran."""
    for folder in directory.parents:
        if (folder / ".git").exists():
            return directory.relative_to(folder).as_posix()
    here = Path.cwd()
    return directory.relative_to(here).as_posix() if directory.is_relative_to(here) else directory.name


def _bring_along(plan: Plan, folder: Path) -> None:
    """Copy the project's own modules that the pipeline imports."""
    for name, path in local_modules(plan.module.packages, Path.cwd()).items():
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif not (folder / path.name).exists():
            shutil.copy(path, folder)


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def write_text(file: Path, text: str) -> None:
    """Write a file, or leave the one that is there."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


def _write_json(file: Path, data: Mapping[str, Any]) -> None:
    with file.open("w", encoding="utf-8") as out:
        json.dump(data, out, indent=2, ensure_ascii=False)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())


def shown(directory: Path) -> str:
    """A path as the user would type it."""
    relative = os.path.relpath(directory)
    return str(directory) if relative.startswith("..") else relative
