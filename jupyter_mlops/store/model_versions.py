"""Model versions as our nouns: found by reference, read off MLflow's entities."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..domain.model_version import ModelVersion
from ..domain.reference import Reference
from ..domain.signature import SignatureColumn, columns_of
from ..errors import NotFound
from .model_files import ModelFiles
from .models import Models, model_id_of
from .tags import DATA, ESTIMATOR, FORMAT, INPUTS, OUTPUTS, PROFILE, USER

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["find", "of_entity", "with_files"]

REGISTER = "Register one with `%mlops register MODEL --name NAME`."


def find(models: Models, text: str) -> Any:
    """The version (MLflow's entity) that ``clf``, ``clf@7`` or ``clf@champion`` names; without ``@`` the newest.

    Raises
    ------
    NotFound
        There is no such model, version or alias; names what there is.
    InvalidArgument
        The text cannot name a model version.
    """
    ref = Reference.parse(text, "model")
    number = ref.version
    if ref.alias is not None:
        number = models.alias(ref.name, ref.alias)
    elif number is None:
        found = models.latest(ref.name)
        number = None if found is None else int(found.version)
    if number is not None:
        try:
            return models.version(ref.name, number)
        except NotFound:
            pass
    known = models.versions(ref.name)
    if not known:
        raise NotFound.among("model", ref.name, models.names(), hint=REGISTER)
    refs = [f"{v.name}@{alias}" for v in known for alias in v.aliases] + [f"{v.name}@{v.version}" for v in known]
    raise NotFound.among("model version", str(ref), refs)


def of_entity(entity: Any, metrics: Mapping[str, float] | None = None) -> ModelVersion:
    """MLflow's entity as our noun; what a version's tags do not tell stays empty."""
    tags = entity.tags
    return ModelVersion(
        name=entity.name,
        version=int(entity.version),
        aliases=tuple(entity.aliases),
        run_id=entity.run_id or "",
        model_id=model_id_of(entity),
        flavor="sklearn" if ESTIMATOR in tags else "",
        format=tags.get(FORMAT, ""),
        estimator=tags.get(ESTIMATOR, ""),
        inputs=_columns(tags.get(INPUTS)),
        outputs=_columns(tags.get(OUTPUTS)),
        data=tuple(json.loads(tags.get(DATA, "[]"))),
        profile=tags.get(PROFILE) == "true",
        metrics=dict(metrics or {}),
        created_ms=entity.creation_timestamp or 0,
        created_by=tags.get(USER) or entity.user_id or "",
        source=entity.source or "",
    )


def with_files(version: ModelVersion, files: ModelFiles) -> ModelVersion:
    """The noun completed with what the model's own files say."""
    return replace(
        version,
        flavor=files.flavor,
        format=version.format or files.format,
        estimator=version.estimator or files.estimator,
        inputs=columns_of(files.inputs or None),
        outputs=columns_of(files.outputs or None),
        profile=files.profile,
    )


def _columns(text: str | None) -> tuple[SignatureColumn, ...]:
    try:
        return columns_of(text)
    except (ValueError, KeyError, TypeError):  # written by others
        return ()
