"""The command that takes a person out of a data set and out of the inference logs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.data_erasure import Forgotten
from ..domain.deployment import DeploymentTable
from ..errors import MLOpsError

__all__ = ["ErasingCommands"]


class ErasingCommands(CommandSet):
    """Part of the group ``data``."""

    @command("data forget", stage="datasets", changes=True)
    def forget(
        self,
        name: Annotated[str, Arg(complete="data", metavar="NAME")],
        column: Annotated[str, Arg(metavar="COLUMN")],
        *values: Annotated[Any, Arg(metavar="VALUE")],
        dry_run: bool = False,
        logs: bool = True,
    ) -> Forgotten:
        """Erase a person's rows from every version of a data set, and from the inference logs of all deployments.

        Versions keep their numbers; their content becomes that without the rows, and loading one says so. Labels of
        categories that only the person had go too, and the old bytes are overwritten. What is kept is a record of
        counts, versions, and the runs and models that had seen the person: never the value itself. It cannot be undone.

        Parameters
        ----------
        name
            The data set; every version of it is looked through.
        column
            By which the person is known, also where `data mask` keeps it hashed.
        values
            The person's value of it; several for several persons.
        dry_run
            Show what would be erased, and erase nothing.
        logs
            Erase the person from the inference logs as well, where they have the column.

        Examples
        --------
        %mlops data forget customers customer_id 4711 --dry-run
        %mlops data forget customers customer_id 4711
        """
        name = name.partition("@")[0]
        operation = "data.find_person" if dry_run else "data.forget"
        plain = [value.item() if hasattr(value, "item") else value for value in values]
        told = Forgotten.from_dict(
            self.context.call(operation, name=name, column=column, key={"values": plain}, dry_run=dry_run)
        )
        if dry_run or not logs:
            return told
        erased: dict[str, int] = {}
        notes = list(told.notes)
        for deployment in DeploymentTable.from_dict(self.context.call("serving.deployments")):
            for value in plain:
                try:
                    found = self.context.call("serving.erase", name=deployment.name, column=column, value={"is": value})
                except MLOpsError as error:
                    notes.append(f"the inference log of {deployment.name} was not looked through: {error.message}")
                    continue
                erased[deployment.name] = erased.get(deployment.name, 0) + int(found["rows"])
            if erased.get(deployment.name):
                gone = int(self.context.call("monitoring.forget_labels", name=deployment.name)["labels"])
                if gone:
                    notes.append(f"with them went {gone:,} labels of predictions of {deployment.name}.")
        return replace(told, logs=erased or None, notes=tuple(notes))
