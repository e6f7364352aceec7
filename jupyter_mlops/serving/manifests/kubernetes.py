"""Kubernetes: the image as a Deployment with probes, a Service, autoscaling, and the token in a Secret."""

from __future__ import annotations

from typing import Any

import yaml

from . import docker
from .target import Served, Target

__all__ = ["TARGET", "container", "documents", "files"]


def container(served: Served) -> dict[str, Any]:
    """The container, as Kubernetes and KServe both take it."""

    def probe(path: str, **more: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": 8080}, **more}

    return {
        "name": "server",
        "image": f"{served.label}:latest",
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {
            "requests": {"cpu": "500m", "memory": "512Mi"},
            "limits": {"cpu": str(served.workers), "memory": "2Gi"},
        },
        "startupProbe": probe("/health", periodSeconds=2, failureThreshold=60),
        "readinessProbe": probe("/ping", periodSeconds=5),
        "livenessProbe": probe("/health", periodSeconds=10, timeoutSeconds=3, failureThreshold=3),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 10001,
        },
        "volumeMounts": [
            {"name": "token", "mountPath": "/srv/deployment/token", "subPath": "token", "readOnly": True},
            {"name": "log", "mountPath": "/srv/deployment/log"},
        ],
    }


def volumes(served: Served) -> list[dict[str, Any]]:
    """The token and the inference log."""
    return [
        {"name": "token", "secret": {"secretName": f"{served.label}-token", "defaultMode": 0o440}},
        {"name": "log", "emptyDir": {"sizeLimit": "10Gi"}},
    ]


def documents(served: Served) -> list[dict[str, Any]]:
    """The manifests."""
    labels = {"app.kubernetes.io/name": served.label, "app.kubernetes.io/managed-by": "jupyter-mlops"}
    meta = {"name": served.label, "labels": labels}
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": served.label}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**meta, "annotations": {"mlops/model": served.model}},
            "spec": {
                # how many there are is the autoscaler's to say: a number here would be set back at every apply
                "selector": {"matchLabels": {"app.kubernetes.io/name": served.label}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": False,
                        "securityContext": {"fsGroup": 10001},
                        "terminationGracePeriodSeconds": 40,
                        "containers": [container(served)],
                        "volumes": volumes(served),
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {
                "selector": {"app.kubernetes.io/name": served.label},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
            },
        },
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": meta,
            "spec": {
                "scaleTargetRef": scaled,
                "minReplicas": 2,
                "maxReplicas": 10,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                    }
                ],
            },
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": meta,
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": served.label}}},
        },
    ]


def files(served: Served) -> dict[str, str]:
    """One file a manifest, beside the image's files. The Secret is made by hand, so that no token is in a file."""
    written = {f"{d['kind'].lower()}.yaml": yaml.safe_dump(d, sort_keys=False) for d in documents(served)}
    read_me = (
        f"# {served.model} on Kubernetes\n\n"
        "```\n"
        f"docker build -t {served.label} .   # and push it where the cluster finds it\n"
        f"kubectl create secret generic {served.label}-token --from-literal=token=$(openssl rand -hex 32)\n"
        "kubectl apply -f kubernetes/\n"
        "```\n\n"
        "Another token reaches the pods when they begin anew: change the secret, then "
        f"`kubectl rollout restart deployment/{served.label}`.\n\n"
        "The inference log lies on each pod's own volume and goes with the pod. Where it is to stay, put a "
        "PersistentVolumeClaim in the place of the `emptyDir` called `log`.\n"
    )
    return {
        **{name: text for name, text in docker.files(served).items() if name != "README.md"},
        **{f"kubernetes/{name}": text for name, text in written.items()},
        "README.md": read_me,
    }


TARGET = Target(
    "kubernetes", files, "build the image, make the secret, kubectl apply -f kubernetes/; see its README.md"
)
