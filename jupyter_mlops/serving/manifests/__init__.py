"""Manifests: a deployment written for another place, one file a target, in one ordered table."""

from __future__ import annotations

from . import docker, kserve, kubernetes, ray
from .target import Served, Target, write

__all__ = ["TARGETS", "Served", "Target", "write"]

TARGETS: dict[str, Target] = {
    target.name: target for target in (docker.TARGET, kubernetes.TARGET, kserve.TARGET, ray.TARGET)
}
"""In the order in which help lists them."""
