"""The target `jenkins`: a declarative ``Jenkinsfile`` with a stage a step, those that need not wait in parallel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...analysis.source import indent
from ..plan import Plan
from .filling import command_words, fill, mlflow_pin, waves, write

__all__ = ["write_jenkins"]


def write_jenkins(plan: Plan, folder: Path, facts: dict[str, Any]) -> None:
    """Write the project's file."""
    place = f"{facts['place']}/"
    stages = []
    for number, wave in enumerate(waves(facts["graph"]), 1):
        made = [_stage(node["name"], command_words(dict(node), facts, place=place, value="$P_{name}")) for node in wave]
        several = f"stage('wave {number}') {{\n    parallel {{\n{indent(indent(chr(10).join(made)))}\n    }}\n}}"
        stages.append(made[0] if len(made) == 1 else several)
    parameters = [
        f"        string(name: 'P_{p['name']}', defaultValue: '{_text(p['default'])}')\n" for p in facts["parameters"]
    ]
    text = fill(
        "Jenkinsfile.txt", facts, name=facts["name"], place=place, mlflow=mlflow_pin(), stages=indent(indent("\n".join(stages))),
        python=".".join(facts["environment"]["python"].split(".")[:2]),
        triggers=f"    triggers {{\n        cron('TZ=Etc/UTC\\n{facts['schedule']}')\n    }}\n" if facts["schedule"] else "",
        parameters=f"    parameters {{\n{''.join(parameters)}    }}\n" if parameters else "",
        log=command_words(None, facts, place=place, value="$P_{name}"),
    )  # fmt: skip
    write(folder, "Jenkinsfile", text)


def _text(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")


def _stage(name: str, command: str) -> str:
    return f"stage('{name}') {{\n    steps {{\n        sh '''{command}'''\n    }}\n}}"
