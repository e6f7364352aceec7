"""The commands of the registry stage."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.model_version import ModelTable, ModelVersion, Promotion
from ..domain.reference import check_alias, check_name
from ..errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RegistryCommands"]


class RegistryCommands(CommandSet):
    """Run to model version."""

    @command("register", stage="registry", changes=True)
    def register(
        self,
        model: Annotated[Any, Arg(value="object", complete="runs", metavar="MODEL")],
        *,
        name: Annotated[str, Arg(complete="models", metavar="NAME")],
        data: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")] = None,
        alias: Annotated[str, Arg(complete="aliases", metavar="ALIAS")] = "",
        allow_pickle: bool = False,
    ) -> ModelVersion:
        """Register a fitted model: a new version of a name, with signature, example and the training data's profile.

        A model that a tracked run has fitted is registered as that run logged it; its data is known from there.
        Registering the same model again makes no second version. Models are stored with skops, without pickle.

        Parameters
        ----------
        model
            A fitted scikit-learn estimator; or a run's id or name, or a logged model's id.
        name
            The name to register it under; a new name is made.
        data
            The table it was fitted on: the reference for drift, and what the signature is read off.
        alias
            An alias that the new version gets.
        allow_pickle
            Store a pickle where skops cannot store the model; whoever loads it runs the code in it.

        Examples
        --------
        %mlops register clf --name adult-clf --alias challenger
        %mlops register clf --name adult-clf --data train
        """
        check_name(name, "model")
        if alias:
            check_alias(alias)
        if isinstance(model, str):
            if data is not None:
                raise InvalidArgument(
                    "--data goes with an estimator; what a run's model was fitted on is recorded with the run.",
                    hint="Leave --data out, or give the estimator itself.",
                )
            return self._call(name=name, alias=alias, source=model)[0]
        folder = self.context.workspace.home / "staging" / "register" / uuid.uuid4().hex
        try:
            return self._register_estimator(model, folder, name, data, alias, allow_pickle)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _register_estimator(
        self, model: Any, folder: Path, name: str, data: Any, alias: str, allow_pickle: bool
    ) -> ModelVersion:
        from ..tracking.model_package import check_estimator, write_package

        check_estimator(model)
        best = getattr(model, "best_estimator_", None)
        searched: list[str] = []
        if best is not None and self.context.known_models.find(best) and not self.context.known_models.find(model):
            searched = [f"registered the best estimator of the {type(model).__name__}, as its run logged it."]
            model = best
        training, refs = self._training(data)
        package = write_package(
            model,
            folder,
            training=training,
            profile=self.context.hooks.get("profile") if training is not None else None,
            allow_pickle=allow_pickle,
        )
        known, digest = self.context.known_models.find(model) or ("", "")
        if digest != package.digest:  # fitted again since
            known = ""
        told, logged = self._call(
            name=name,
            alias=alias,
            folder=str(folder),
            key=f"register-{folder.name}",
            known=known,
            run_key=getattr(self.context.recorder, "key", ""),
            data=refs,
            # what the package lacks for want of data, the run's own package may have
            notes=searched + ([] if known and training is None else list(package.notes)),
        )
        if logged:
            with contextlib.suppress(TypeError):  # a class without weak references: it is stored anew each time
                self.context.known_models.remember(model, logged, package.digest)
        return told

    def _training(self, data: Any) -> tuple[Any, list[str] | None]:
        """The training table given, and by which data versions it is known; None and None for none given."""
        if data is None:
            return None, None
        if hasattr(data, "__array__") and not hasattr(data, "columns"):  # of a model that was fitted on an array
            return data, []
        from ..datasets.tables import as_table

        frame = as_table(self.context, data)
        known = self.context.known_tables.find(data) or self.context.known_tables.find(frame)
        return frame, [known[0]] if known else []

    def _call(self, **arguments: Any) -> tuple[ModelVersion, str]:
        """The version, and the key of the logged model it was made from."""
        answer = self.context.call("registry.register", **arguments)
        return ModelVersion.from_dict(answer), str(answer["key"])

    @command("models", stage="registry", changes=False)
    def models(self, name: Annotated[str, Arg(complete="models", metavar="NAME")] = "") -> ModelTable:
        """List the registered models and their versions, newest first.

        Parameters
        ----------
        name
            Only the versions of this model.

        Examples
        --------
        %mlops models
        %mlops models adult-clf
        """
        return ModelTable.from_dict(self.context.call("registry.models", name=name))

    @command("promote", stage="registry", changes=True)
    def promote(
        self,
        model: Annotated[str, Arg(complete="model-versions", metavar="MODEL@VERSION")],
        *,
        to: Annotated[str, Arg(complete="aliases", metavar="ALIAS")],
    ) -> Promotion:
        """Let an alias point to a version of a model; the alias's history is kept with the model.

        Parameters
        ----------
        model
            The version, by number or by an alias it has: `clf@7`, `clf@challenger`; `clf` alone is the newest.
        to
            The alias.

        Examples
        --------
        %mlops promote adult-clf@7 --to champion
        %mlops promote adult-clf@challenger --to champion
        """
        check_alias(to)
        return Promotion.from_dict(self.context.call("registry.promote", model=model, alias=to))
