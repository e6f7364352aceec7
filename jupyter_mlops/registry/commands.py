"""The commands of the registry stage."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.gate import Approval, GateReport, ModelHistory
from ..domain.model_version import ModelTable, ModelVersion, Promotion
from ..domain.reference import check_alias, check_name
from ..domain.sweep import Sweep
from ..errors import InvalidArgument, NotReady

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
            A fitted scikit-learn estimator; a run's id or name, or a logged model's id; or a sweep or its name, for the
            best trial's model.
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
        if isinstance(model, Sweep):
            model = self._of_sweep(model, given=data is not None)
        if isinstance(model, str):
            if data is not None:
                raise InvalidArgument(
                    "--data goes with an estimator; what a run's model was fitted on is recorded with the run.",
                    hint="Leave --data out, or give the estimator itself.",
                )
            return self._call(name=name, alias=alias, source=model)[0]
        if "registering" in self.context.hooks:
            self.context.hooks["registering"](self.context)
        folder = self.context.workspace.home / "staging" / "register" / uuid.uuid4().hex
        try:
            return self._register_estimator(model, folder, name, data, alias, allow_pickle)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _of_sweep(self, sweep: Sweep, *, given: bool) -> Any:
        """What to register of a sweep: its run, whose best trial's model it is then; or the model in hand."""
        best = sweep.best
        if best is None:
            raise NotReady(
                f"no trial of the sweep {sweep.name} has come to an end.", hint="Look at why: `%mlops runs`."
            )
        if sweep.model is None and not sweep.run:
            raise NotReady(
                f"the sweep {sweep.name} has no model in hand.", hint="Let its function `return score, model`."
            )
        if sweep.model is not None and (given or not sweep.run or self.context.known_models.find(sweep.model)):
            return sweep.model
        return sweep.run

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
            personal=self.context.hooks.get("personal"),
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
        version = ModelVersion.from_dict(answer)
        if "registered" in self.context.hooks:
            self.context.hooks["registered"](self.context, version.ref)
        return version, str(answer["key"])

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
        gate: Annotated[list[str] | None, Arg(metavar="GATE[.OPTION]=VALUE")] = None,
        force: bool = False,
        reason: str = "",
    ) -> Promotion:
        """Let an alias point to a version of a model, if the alias's gates hold; its history is kept with the model.

        Gates are declared in the project, see `gates`. One that cannot be judged counts as not holding. When the
        champion moves, `previous` keeps the version before.

        Parameters
        ----------
        model
            The version, by number or by an alias it has: `clf@7`, `clf@challenger`; `clf` alone is the newest.
        to
            The alias.
        gate
            A gate besides the declared ones: `better.by=0.01`, `size=50`; may be given several times.
        force
            Move the alias although a gate does not hold; needs a reason, and is recorded.
        reason
            Why, for the history.

        Examples
        --------
        %mlops promote adult-clf@7 --to champion
        %mlops promote adult-clf@challenger --to champion --gate better.by=0.005
        """
        check_alias(to)
        if force and not reason.strip():
            raise InvalidArgument("--force needs a reason.", hint="Add --reason WHY: it is kept in the history.")
        answer = self.context.call(
            "registry.promote", model=model, alias=to, force=force, reason=reason.strip(), gate=gate
        )
        return Promotion.from_dict(answer)

    @command("gates", stage="registry", changes=False)
    def gates(
        self,
        model: Annotated[str, Arg(complete="model-versions", metavar="MODEL@VERSION")] = "",
        *,
        to: Annotated[str, Arg(complete="aliases", metavar="ALIAS")] = "champion",
    ) -> GateReport:
        """Show the gates of an alias, and for a model version whether they hold; moves nothing.

        They are declared in `pyproject.toml` under `[tool.jupyter_mlops.gates.champion]`, or in `mlops-gates.toml`
        under `[champion]`: `better = { by = 0.005 }`, `fairness = { at_most = 0.1 }`, `approvals = ["owner"]`. Who may
        approve as what stands in `[tool.jupyter_mlops.gates.roles]`: `owner = ["ann"]`.

        Parameters
        ----------
        model
            The version to judge; without one, the gates are listed.
        to
            The alias.

        Examples
        --------
        %mlops gates
        %mlops gates adult-clf@7 --to champion
        """
        return GateReport.from_dict(self.context.call("registry.gates", model=model, alias=to))

    @command("approve", stage="registry", changes=True)
    def approve(
        self,
        model: Annotated[str, Arg(complete="model-versions", metavar="MODEL@VERSION")],
        *,
        as_: Annotated[str, Arg(metavar="ROLE")],
        note: str = "",
        withdraw: bool = False,
    ) -> Approval:
        """Approve a model version in a role, for gates that ask for approvals.

        Parameters
        ----------
        model
            The version.
        as_
            The role: `owner`, `risk`; any word, unless the project declares who may speak as what.
        note
            A word with it.
        withdraw
            Take the approval back.

        Examples
        --------
        %mlops approve adult-clf@7 --as owner --note "looked at the slices"
        """
        answer = self.context.call("registry.approve", model=model, role=as_, note=note, withdraw=withdraw)
        return Approval.from_dict(answer)

    @command("history", stage="registry", changes=False)
    def history(self, name: Annotated[str, Arg(complete="models", metavar="NAME")]) -> ModelHistory:
        """Show every move of a model's aliases: who, when, why, from which version to which.

        Parameters
        ----------
        name
            The model.

        Examples
        --------
        %mlops history adult-clf
        """
        return ModelHistory.from_dict(self.context.call("registry.history", name=name))
