"""Every target runs, or is checked by its own tool, on the tour's pipeline; each gives the metrics of the notebook."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from played import play, save

from jupyter_mlops.domain.pipeline import TARGETS as NAMES
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.pipelines.targets import TARGETS
from jupyter_mlops.session import Session

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SCHEDULE = "0 3 * * *"
SECONDS = 420
"""The most that one command may take, on a machine with other work to do."""
LEFT_OUT = (
    "load_ext",
    "%mlops deploy",
    "%mlops predict",
    "%mlops drift",
    "%mlops export",
    "%mlops audit",
    "%mlops compare",
)
STEPS = ["pandas", "numpy", "scikit-learn", "pyarrow", "skops"]
ENGINES = {
    "kfp": ["kfp>=2.14", "protobuf<7"],
    "airflow": ["apache-airflow>=3.1"],
    "dagster": ["dagster>=1.12"],
    "snakemake": ["snakemake>=9", "sqlalchemy<2.1"],
}
"""What engines need that do not share an environment with us; `python` in it also runs the steps."""


@pytest.fixture(scope="module")
def tour(
    make_session: Callable[..., Session], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """The folder in which the tour was run and exported to every target, and the metrics it has."""
    folder = tmp_path_factory.mktemp("tour")
    notebook = json.loads((REPOSITORY / "example_notebooks" / "tour.ipynb").read_text())
    cells = [(c["cell_type"], c.get("id", f"c{i}"), "".join(c["source"]), []) for i, c in enumerate(notebook["cells"])]
    run = [(key, text) for kind, key, text, _ in cells if kind == "code" and not any(word in text for word in LEFT_OUT)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        session = play(make_session().context.workspace.root, run)
        save(session, folder / "tour.ipynb", cells)
        pipeline = session.export(to=list(NAMES), schedule=SCHEDULE)
        assert pipeline.verification is not None
        assert pipeline.verification.ok, str(pipeline)
    held = session.context.namespace
    assert held is not None
    return folder, {name: held[name] for name in ("forest_accuracy", "accuracy", "auc")}


@pytest.fixture
def copy(tour: tuple[Path, dict[str, float]], tmp_path: Path) -> Path:
    """A copy of the exported project, in a folder as the notebook's was."""
    return Path(shutil.copytree(tour[0] / "pipeline", tmp_path / "pipeline"))


def environment(name: str) -> Path:
    """The engine's own environment, made if it is not there; gives its folder of programs."""
    place = REPOSITORY / ".cache" / "targets" / name
    ready = place / ".ready"
    if not ready.exists():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([BIN / "uv", "venv", "-q", "--python", sys.executable, place], check=True)
        command = [BIN / "uv", "pip", "install", "-q", "--python", place / "bin" / "python", *ENGINES[name], *STEPS]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        if done.returncode:
            pytest.skip(f"{name} cannot be installed here: {done.stderr.strip()[-300:]}")
        ready.touch()
    return place / "bin"


def shell(command: list[Any] | str, folder: Path, programs: Path = BIN, *, ok: bool = True, **more: str) -> str:
    """Run a command with an environment's programs first on the path; what it prints. It ends in time, or is ended."""
    settings = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "MPLBACKEND": "Agg", **more}
    settings.pop("MLFLOW_TRACKING_URI", None) if "MLFLOW_TRACKING_URI" not in more else None
    words = ["bash", "-euo", "pipefail", "-c", command] if isinstance(command, str) else [str(word) for word in command]
    child = subprocess.Popen(
        words, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        printed, _ = child.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        printed, _ = child.communicate()
        pytest.fail(f"{words} did not end within {SECONDS} s:\n{printed[-4000:]}")
    assert (child.returncode == 0) is ok, f"{words} ended with {child.returncode}:\n{printed[-4000:]}"
    return printed


def told(project: Path, work: str = "work") -> dict[str, float]:
    """The metrics that a run has written."""
    return dict(json.loads((project / work / "metrics.json").read_text()))


def test_the_names_are_those_of_the_files(tour: tuple[Path, dict[str, float]]) -> None:
    assert tuple(TARGETS) == NAMES
    session = Session.open(root=tour[0])
    with pytest.raises(InvalidArgument, match="target"):
        session.export(to=["argo"])
    with pytest.raises(InvalidArgument, match="five fields"):
        session.export(schedule="daily")
    for file in (tour[0] / "pipeline").rglob("*.py"):
        compile(file.read_text(), str(file), "exec")


# run for real


def dvc(project: Path) -> None:
    quiet = {"DVC_NO_ANALYTICS": "1"}
    shell("git init -q . && dvc init -q", project, **quiet)
    shell("dvc repro -q", project, **quiet)
    assert "Running stage" not in shell("dvc repro", project, **quiet)
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("TEST_SIZE: 0.3", "TEST_SIZE: 0.25"))
    again = re.findall(r"Running stage '(\w+)'", shell("dvc repro --dry", project, **quiet))
    assert again[0] == "split", again


def dask(project: Path) -> None:
    assert "accuracy = " in shell(["python", "dask_pipeline.py"], project)


def kfp(project: Path) -> None:
    programs = environment("kfp")
    home = {"PIPELINE_HOME": str(project)}
    shell("python kubeflow_pipeline.py pipeline.yaml", project, programs, **home)
    (project / "local.py").write_text(
        "import json, kfp.local, kubeflow_pipeline\n"
        "from kfp import components\n"
        "components.load_component_from_file('pipeline.yaml')\n"
        "kfp.local.init(runner=kfp.local.SubprocessRunner(use_venv=False), pipeline_root='work')\n"
        "kubeflow_pipeline.pipeline()\n"
    )
    shell("python local.py", project, programs, **home)
    found = [path for path in (project / "work").rglob("metrics") if path.is_file()]
    shutil.copy(found[0], project / "work" / "metrics.json")
    text = (project / "kubeflow_pipeline.py").read_text()
    (project / "wrong.py").write_text(
        re.sub(r"from_load: dsl.Input\[dsl.Dataset\]", "from_load: dsl.Input[dsl.Model]", text)
    )
    assert "InconsistentTypeException" in shell("python wrong.py wrong.yaml", project, programs, ok=False, **home)


def dagster(project: Path) -> None:
    programs = environment("dagster")
    home = {"DAGSTER_HOME": str(project), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    shell("dagster definitions validate -f dagster_definitions.py", project, programs, **home)
    code = "import dagster_definitions as d; j = d.defs.resolve_job_def('tour'); assert j.execute_in_process().success; assert [s.cron_schedule for s in d.defs.schedules] == ['0 3 * * *']"  # fmt: skip
    shell(["python", "-c", code], project, programs)


def snakemake(project: Path) -> None:
    programs = environment("snakemake")
    shell("snakemake -n -q all && snakemake -c1 -q all", project, programs)
    assert "Nothing to be done" in shell("snakemake -c1", project, programs)


def airflow(project: Path) -> None:
    programs = environment("airflow")
    home = project / "airflow"
    (home / "dags").mkdir(parents=True)
    shutil.copy(project / "airflow_dag.py", home / "dags")
    settings = {
        "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PIPELINE_HOME": str(project),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"), "PIPELINE_WORK": str(project / "work"),
    }  # fmt: skip
    shell("airflow db migrate && airflow dags test tour 2026-01-01", project, programs, **settings)
    found = next((project / "work").glob("*/metrics.json"))
    shutil.copy(found, project / "work" / "metrics.json")


# checked by a tool, and their commands run


def github_actions(project: Path) -> None:
    file = next((project / ".github" / "workflows").iterdir())
    shell(["check-jsonschema", "--builtin-schema", "vendor.github-workflows", file], project)
    shell(["zizmor", "--offline", "--no-progress", file], project)
    workflow = yaml.safe_load(file.read_text())
    assert workflow[True]["schedule"] == [{"cron": SCHEDULE}]
    jobs = workflow["jobs"]
    done: list[str] = []
    while len(done) < len(jobs):
        name = next(n for n, job in jobs.items() if n not in done and set(job.get("needs", [])) <= set(done))
        for step in jobs[name]["steps"]:
            values = {
                k: re.sub(r"\$\{\{ inputs\.\w+ \|\| '(.*)' \}\}", r"\1", str(v)) for k, v in step.get("env", {}).items()
            }
            values = {k: v for k, v in values.items() if "${{" not in v}
            if "run" in step and "pip install" not in step["run"]:
                shell(step["run"], project.parent, **values)
        done.append(name)
    shutil.copytree(project.parent / "work", project / "work")


def gitlab_ci(project: Path) -> None:
    file = project / "gitlab-ci.yml"
    shell(["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", file], project)
    told = yaml.safe_load(file.read_text())
    values = {name: v["value"] for name, v in told["variables"].items() if isinstance(v, dict)}
    for stage in told["stages"]:
        job = next(j for j in told.values() if isinstance(j, dict) and j.get("stage") == stage)
        for line in job["script"]:
            if "pip install" not in line:
                shell(line, project.parent, **values)
    shutil.copytree(project.parent / "work", project / "work")


def jenkins(project: Path) -> None:
    text = (project / "Jenkinsfile").read_text()
    assert f"cron('TZ=Etc/UTC\\n{SCHEDULE}')" in text
    assert text.count("{") == text.count("}")
    values = dict(re.findall(r"name: '(\w+)', defaultValue: '(.*?)'", text))
    for line in re.findall(r"sh '''(.*?)'''", text, re.DOTALL):
        shell(line, project.parent, **values)
    shutil.copytree(project.parent / "work", project / "work")


def docker(project: Path) -> None:
    text = (project / "Dockerfile").read_text()
    shell([BIN / "hadolint", project / "Dockerfile"], project)
    entry = json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[0])
    command = [str(project.parent / "steps") if word == "/tmp/steps" else word for word in entry]
    (project / "work").mkdir()
    shell([*command, "--metrics", "pipeline/work/metrics.json"], project.parent)


def kubernetes(project: Path) -> None:
    file = project / "kubernetes.yaml"
    printed = shell(["kubernetes-validate", "--strict", file], project)
    assert "warn" not in printed.lower(), printed
    told = yaml.safe_load(file.read_text())
    assert (told["kind"], told["spec"]["schedule"]) == ("CronJob", SCHEDULE)
    container = told["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    command = [str(project.parent / "steps") if word == "/steps" else word for word in container["command"]]
    (project / "work").mkdir()
    shell([*command, *container["args"], "--metrics", "pipeline/work/metrics.json"], project.parent)


def python(project: Path) -> None:
    printed = shell(["python", "pipeline/pipeline.py"], project.parent)
    (project / "work").mkdir()
    numbers = {n: float(v) for n, v in re.findall(r"^(\w+) = ([\d.]+)$", printed, re.MULTILINE)}
    (project / "work" / "metrics.json").write_text(json.dumps(numbers))


@pytest.mark.extended
@pytest.mark.timeout(1500)  # an engine's environment is made on first use; each command has its own limit
@pytest.mark.parametrize("target", NAMES)
def test_the_tour_gives_the_same_metrics_on_every_target(
    target: str, tour: tuple[Path, dict[str, float]], copy: Path
) -> None:
    globals()[target.replace("-", "_")](copy)
    assert told(copy) == pytest.approx(tour[1], rel=1e-12)


def test_metrics_are_logged_to_the_store_that_is_named(tour: tuple[Path, dict[str, float]], copy: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{copy.parent / f'{uuid.uuid4().hex}.db'}"
    printed = shell(["python", "run.py"], copy, MLFLOW_TRACKING_URI=uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("tour")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"tour", "load", "split", "train_model"}
    assert runs["tour"].data.metrics == pytest.approx(tour[1], rel=1e-12)
    assert runs["tour"].data.params == {"TEST_SIZE": "0.3", "SEED": "7"}
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in ("load", "split")} == {runs["tour"].info.run_id}
    assert "mlops.data.out.split.train" in runs["split"].data.tags
    assert runs["tour"].info.run_id in printed
