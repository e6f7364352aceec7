"""KServe: the image as the predictor of an InferenceService; written and checked by a schema, not run here."""

from __future__ import annotations

from typing import Any

import yaml

from . import docker
from .kubernetes import container, volumes
from .target import Served, Target

__all__ = ["TARGET", "document", "files"]


def document(served: Served) -> dict[str, Any]:
    """The InferenceService; KServe's own name for the main container is ``kserve-container``."""
    main = {**container(served), "name": "kserve-container"}
    main.pop("startupProbe")
    main["env"] = [{"name": "PROTOCOL", "value": "v2"}]
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": served.label, "annotations": {"mlops/model": served.model}},
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "maxReplicas": 10,
                "containerConcurrency": 64,
                "timeout": 60,
                "containers": [main],
                "volumes": volumes(served),
            }
        },
    }


def files(served: Served) -> dict[str, str]:
    """The InferenceService beside the image's files."""
    read_me = (
        f"# {served.model} on KServe\n\n"
        "```\n"
        f"docker build -t {served.label} .   # and push it where the cluster finds it\n"
        f"kubectl create secret generic {served.label}-token --from-literal=token=$(openssl rand -hex 32)\n"
        "kubectl apply -f inferenceservice.yaml\n"
        "```\n"
    )
    return {
        **{name: text for name, text in docker.files(served).items() if name != "README.md"},
        "inferenceservice.yaml": yaml.safe_dump(document(served), sort_keys=False),
        "README.md": read_me,
    }


TARGET = Target("kserve", files, "build the image, make the secret, kubectl apply -f inferenceservice.yaml")
