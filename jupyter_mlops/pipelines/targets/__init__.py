"""Targets: what a pipeline can be exported to, one file each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..plan import Plan
from .airflow import write_airflow
from .dagster import write_dagster
from .dask import write_dask
from .docker import write_docker
from .dvc import write_dvc
from .github_actions import write_github_actions
from .gitlab_ci import write_gitlab_ci
from .jenkins import write_jenkins
from .kfp import write_kfp
from .kubernetes import write_kubernetes
from .python import write_python
from .snakemake import write_snakemake

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """One form of a pipeline.

    Parameters
    ----------
    write
        Writes the form into a folder: ``write(plan, folder, facts)``, where `facts` is what ``pipeline.json`` says.
    """

    title: str
    write: Callable[[Plan, Path, dict[str, Any]], None]


TARGETS: dict[str, Target] = {
    "python": Target("a Python project: pipeline.py with one function a step", write_python),
    "dvc": Target("a DVC pipeline: dvc.yaml and params.yaml", write_dvc),
    "kfp": Target("Kubeflow Pipelines 2: kubeflow_pipeline.py, a component a step", write_kfp),
    "airflow": Target("Airflow 3: airflow_dag.py, a task a step", write_airflow),
    "dagster": Target("Dagster: dagster_definitions.py, an asset a step", write_dagster),
    "dask": Target("Dask: dask_pipeline.py, on this machine or a cluster", write_dask),
    "snakemake": Target("Snakemake: a Snakefile, a rule a step", write_snakemake),
    "github-actions": Target("GitHub Actions: a workflow, a job a step", write_github_actions),
    "gitlab-ci": Target("GitLab CI: gitlab-ci.yml, a job a step", write_gitlab_ci),
    "jenkins": Target("Jenkins: a Jenkinsfile, a stage a step", write_jenkins),
    "docker": Target("a Dockerfile", write_docker),
    "kubernetes": Target("a Kubernetes Job, or CronJob with a schedule; and the Dockerfile", write_kubernetes),
}
"""Each writes into the project that `python` has written, and runs its steps; `domain.pipeline.TARGETS` has the names."""
