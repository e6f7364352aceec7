"""The target `python`: ``pipeline.py`` with one function a step, and the README and requirements beside it."""

from __future__ import annotations

import ast
import json
import re
import sys
import textwrap
from pathlib import Path
from string import Template
from typing import Any

from ...analysis.dataflow import Flow
from ...analysis.source import apply_edits, edit_span, indent
from ...domain.pipeline import Parameter
from ..fingerprint import RELATIVE
from ..plan import Plan
from ..shared_form import as_function, module_statements, stand_apart
from ..steps import PlannedStep

__all__ = ["TEMPLATES", "write_python"]

TEMPLATES = Path(__file__).parent.parent / "templates"
WIDTH = 100


def write_python(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's files."""
    (folder / "pipeline.py").write_text(_pipeline(plan, facts), encoding="utf-8")
    (folder / "README.md").write_text(_readme(plan, facts), encoding="utf-8")
    pins = [f"{name}=={version}\n" for name, version in facts["environment"].items() if name != "python"]
    if plan.random_states:
        (folder / "random_state.json").write_text(json.dumps(plan.random_states), encoding="utf-8")
    (folder / "requirements.txt").write_text("".join(pins), encoding="utf-8")


def _pipeline(plan: Plan, facts: dict[str, Any]) -> str:
    parameters = plan.parameters
    imports = list(plan.module.imports)
    if plan.form == "shared":
        return _shared_pipeline(plan, facts)
    if "import argparse" not in imports:
        first = 1 + imports.index("") if imports and imports[0].startswith("from __future__") and "" in imports else 0
        imports.insert(first, "import argparse")
        imports[first:] = _with_argparse(imports[first:])
    taken = plan.module.names | {n for s in plan.steps for f in s.flows for n in f.touches}
    filled = Template((TEMPLATES / "pipeline.py.txt").read_text()).substitute(
        title=_title(facts["name"], [step.name for step in plan.steps]),
        origin=facts["origin"],
        imports="\n".join(imports),
        module=_module(plan),
        steps="\n\n\n".join(_step(step, parameters, targets=plan.results.names) for step in plan.steps) + "\n\n",
        entry=facts["entry"],
        main=facts["main"],
        given="given" if "given" not in taken else "options",
        parameters="*, " + ", ".join(f"{p.name}: {p.type} = {p.default!r}" for p in parameters) if parameters else "",
        calls="\n".join(_call(i, step, len(plan.steps), parameters) for i, step in enumerate(plan.steps, 1)),
        results=_wrapped("{", [f'"{n}": {n}' for n in _result_names(plan)], "}"),
        description=_quoted(f"{facts['name']}: run every step and print the results."),
        options="".join(f"\n{_option(p)}" for p in parameters),
    )
    return _tidy(filled)


def _shared_pipeline(plan: Plan, facts: dict[str, Any]) -> str:
    """The file for steps that share the notebook's variables."""
    flows = [flow for step in plan.steps for flow in step.flows]
    top = [line for line in module_statements(flows) if "__future__" not in line]
    future = [line for line in module_statements(flows) if "__future__" in line]
    steps = [as_function(s.name, _docstring(s, "It shares the notebook's variables with the other steps."), s.flows, flows) for s in plan.steps]  # fmt: skip
    results = _result_names(plan)
    taken = {name for flow in flows for name in flow.touches}
    constant = next(name for name in ("RESULTS", "RESULT_NAMES", "NAMES_OF_RESULTS") if name not in taken)
    filled = Template((TEMPLATES / "pipeline.py.txt").read_text()).substitute(
        title=_title(facts["name"], [step.name for step in plan.steps]),
        origin=facts["origin"],
        imports="\n".join([*future, "import argparse"]),
        module="\n"
        + "\n".join([*top, *([""] if top else []), _named_results(constant, results), *_restoring(plan)])
        + "\n\n",
        steps="\n\n\n".join(steps) + "\n\n",
        entry=facts["entry"],
        main=facts["main"],
        given="given_options",
        parameters="",
        calls="\n".join(
            f'    print("{i}/{len(steps)} {s.name}", flush=True)\n    {s.name}()' for i, s in enumerate(plan.steps, 1)
        ),
        results="{name: globals().get(name) for name in " + constant + "}",
        description=_quoted(f"{facts['name']}: run every step and print the results."),
        options="",
    )
    return _tidy(filled)


def _named_results(constant: str, names: list[str]) -> str:
    told = textwrap.fill(
        " ".join(names), WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False
    )
    return f'{constant} = """\n{told}\n""".split()' if len(names) > 8 else f"{constant} = {names!r}".replace("'", '"')


def _title(name: str, steps: list[str]) -> str:
    r"""The first lines of the file's docstring: what it is, and its steps.

    Examples
    --------
    >>> _title("iris", ["load", "train"])
    'iris: load, train.'
    >>> print(_title("iris", [f"part_{i}" for i in range(30)]).split("\n")[2][:40])
    Its steps: part_0, part_1, part_2, part_
    """
    line = f"{name}: {', '.join(steps)}."
    if len(line) <= WIDTH - 3:
        return line
    told = f"Its steps: {', '.join(steps)}."
    return f"{name}, in {len(steps)} steps.\n\n" + textwrap.fill(
        told, WIDTH, break_long_words=False, break_on_hyphens=False
    )


def _restoring(plan: Plan) -> list[str]:
    return ["\n\n" + (TEMPLATES / "random_state.py.txt").read_text().rstrip()] if plan.random_states else []


def _docstring(step: PlannedStep, more: str = "") -> str:
    where = f"From cell{'s' if len(step.cells) > 1 else ''} {_cells(step.cells)} of the notebook."
    where = textwrap.fill(where, WIDTH, subsequent_indent="    ")
    title = step.title.rstrip(".").replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{title}.\n\n    {where}\n' + (f"    {more}\n" if more else "") + '    """'


def _cells(counts: list[int]) -> str:
    """Cells as the notebook numbers them; several in a row by the first and the last.

    Examples
    --------
    >>> _cells([1, 2, 3, 5, 6])
    '[1] to [3], [5], [6]'
    """
    rows: list[list[int]] = []
    for count in counts:
        if rows and count == rows[-1][-1] + 1:
            rows[-1].append(count)
        else:
            rows.append([count])
    told = [f"[{row[0]}] to [{row[-1]}]" if len(row) > 2 else ", ".join(f"[{c}]" for c in row) for row in rows]
    return ", ".join(told)


def _with_argparse(imports: list[str]) -> list[str]:
    """Put the one import of ours where it belongs among those of the standard library."""
    rest = imports[1:]
    block = rest[: rest.index("")] if "" in rest else rest
    standard = bool(block) and all(line.split()[1].partition(".")[0] in sys.stdlib_module_names for line in block)
    if not standard:
        return ["import argparse", *([""] if rest else []), *rest]
    plain = sorted(["import argparse", *(line for line in block if line.startswith("import "))], key=str.lower)
    return [*plain, *(line for line in block if not line.startswith("import ")), *rest[len(block) :]]


def _module(plan: Plan) -> str:
    texts = [*_restoring(plan), *plan.module.texts]
    told = ""
    before = False
    for i, text in enumerate(texts):
        defines = text.lstrip("#@").startswith(("def ", "class ", "async ")) or "\ndef " in text or "\nclass " in text
        apart = 3 if defines or before else 1
        told += "\n" * (apart if i else apart - 1) + text.strip("\n")
        before = defines
    return f"{'' if told.startswith(chr(10)) else chr(10)}{told}\n\n" if told else "\n"


def _step(step: PlannedStep, parameters: tuple[Parameter, ...], targets: list[str]) -> str:
    body = [_docstring(step)]  # its lines are inside a string, so they bring their own blanks
    body += [f"\n{_nonlocal(flow)}\n" for flow in step.functions]
    before = None
    used = {name for flow in (*step.flows, *step.functions) for name in flow.reads | _inner(flow)} | set(step.outputs)
    for flow in step.flows:
        body.append(("\n" if stand_apart(before, flow) else "") + _text(flow, used))
        before = flow
    if step.outputs:
        body.append(
            f"\nreturn {', '.join(step.outputs)}"
            if len(", ".join(step.outputs)) < WIDTH - 11
            else "\nreturn " + _wrapped("(", step.outputs, ")", 0)
        )
    head = f"def {step.name}({', '.join(step.inputs)}):"
    if len(head) > WIDTH:
        head = f"def {step.name}(\n" + "".join(f"    {name},\n" for name in step.inputs) + "):"
    return head + "\n" + indent("\n".join(body))


def _inner(flow: Flow) -> set[str]:
    return {name for function in flow.effects.functions.values() for name in function.reads | function.writes}


def _text(flow: Flow, used: set[str]) -> str:
    """A statement as the notebook has it; a name that nothing in the step reads any more is left out."""
    text, node = flow.statement.text, flow.statement.node
    if (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id not in used
    ):
        edit = edit_span(text, node, node.value, "")
        begins = edit_span(text, node.value, node.value, "").start
        text = text[: edit.start] + text[begins:]
    return f"{text}  # noqa: E731" if " = lambda" in text and "\n" not in text and "#" not in text else text


def _nonlocal(flow: Flow) -> str:
    """A function of the notebook inside a step: the notebook's globals are the step's variables."""
    text = flow.statement.text
    edits = [
        edit_span(text, node, node, f"nonlocal {', '.join(node.names)}")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Global)
    ]
    return apply_edits(text, edits)


def _call(number: int, step: PlannedStep, count: int, parameters: tuple[Parameter, ...]) -> str:
    line = f"{step.name}({', '.join(step.inputs)})"
    if step.outputs:
        line = f"{', '.join(step.outputs)} = {line}"
    if len(line) > WIDTH - 4:
        given = (
            _wrapped("(", step.inputs, ")", 4) if len(", ".join(step.inputs)) > 40 else f"({', '.join(step.inputs)})"
        )
        left = _wrapped("(", step.outputs, ")", 4) if len(", ".join(step.outputs)) > 40 else ", ".join(step.outputs)
        line = (f"{left} = " if step.outputs else "") + f"{step.name}{given}"
    return f'    print("{number}/{count} {step.name}", flush=True)\n    {line}'


def _wrapped(opening: str, items: list[str], closing: str, blanks: int = 4) -> str:
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) <= WIDTH - 12:
        return line
    inner = "".join(f"{' ' * (blanks + 4)}{item},\n" for item in items)
    return f"{opening}\n{inner}{' ' * blanks}{closing}"


def _result_names(plan: Plan) -> list[str]:
    given = {name for step in plan.steps for name in step.outputs}
    return [name for name in plan.results.names if name in given or plan.form == "shared"]


def _option(parameter: Parameter) -> str:
    flag = _quoted("--" + parameter.name.lower().strip("_").replace("_", "-"))
    dest = f", dest={_quoted(parameter.name)}" if parameter.name != parameter.name.lower().strip("_") else ""
    kind = "action=argparse.BooleanOptionalAction" if parameter.type == "bool" else f"type={parameter.type}"
    return f"    parser.add_argument({flag}{dest}, {kind}, default={_literal(parameter.default)}, help={_quoted('default: %(default)s')})"


def _literal(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _tidy(text: str) -> str:
    """At most two empty lines in a row outside of strings, none at the end."""
    head, marker, tail = text.partition("def ")
    head = re.sub(r"\n{4,}", "\n\n\n", head)
    lines = [line.rstrip() if not line.strip() else line for line in (head + marker + tail).split("\n")]
    return "\n".join(lines).rstrip() + "\n"


def _readme(plan: Plan, facts: dict[str, Any]) -> str:
    steps = [
        f"| `{s.name}` | {', '.join(s.inputs) or '-'} | {', '.join(s.outputs) or '-'} | {_cells(s.cells)} |"
        for s in plan.steps
    ]
    parameters = plan.parameters
    first = parameters[0] if parameters else None
    example = (
        f" --{first.name.lower().strip('_').replace('_', '-')} {first.default}"
        if first and first.type != "bool"
        else ""
    )
    table = "## Parameters\n\n| option | type | default |\n|---|---|---|\n" + "".join(
        f"| `--{p.name.lower().strip('_').replace('_', '-')}` | {p.type} | `{p.default!r}` |\n" for p in parameters
    )
    notes = "\n## Notes\n\n" + "\n".join(f"- {note}" for note in facts["notes"]) if facts["notes"] else ""
    filled = Template((TEMPLATES / "README.md.txt").read_text()).substitute(
        name=facts["name"],
        origin=facts["origin"],
        runs_in=facts["runs_in"],
        example=example,
        steps="\n".join(steps),
        parameters=table if parameters else "",
        results=", ".join(f"`{name}`" for name in _result_names(plan)),
        relative=f"{RELATIVE:g}",
        notes=notes,
    )
    return filled.rstrip() + "\n"
