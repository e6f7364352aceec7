"""The commands for features: views on data versions, the point-in-time join, and a feature store's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.data_version import DataVersion
from ..domain.feature_view import FeatureView, FeatureViewTable, JoinedTable
from ..domain.reference import check_name
from ..errors import InvalidArgument
from .tables import as_table, note_use, table_name

__all__ = ["FeatureCommands"]


class FeatureCommands(CommandSet):
    """Feature views: commands of the group ``data``."""

    @command("data view", stage="datasets", changes=True)
    def view(
        self,
        name: Annotated[str, Arg(metavar="NAME")],
        *,
        on: Annotated[list[str], Arg(complete="data", metavar="DATA@vN")],
        entity: Annotated[list[str], Arg(metavar="COLUMN")],
        time: Annotated[str, Arg(metavar="COLUMN")] = "",
        created: Annotated[str, Arg(metavar="COLUMN")] = "",
        ttl: Annotated[str, Arg(metavar="30d")] = "",
        features: Annotated[list[str] | None, Arg(metavar="COLUMN")] = None,
        about: str = "",
    ) -> FeatureView:
        """Declare a feature view: columns of data versions, what names a row, and when it came to be true.

        The view names the versions themselves, so it always gives the same rows; declared again after the data has a new
        version it becomes the view's next version, and the same declaration is not kept twice.

        Parameters
        ----------
        name
            What to call the view.
        on
            Data versions whose rows it holds, one after the other; a name means its latest version now.
        entity
            The columns that name what a row is about: ``customer``.
        time
            The column that says when a row came to be true, of times or numbers; without it rows have always been known.
        created
            The column that says when a row was written: of rows with one event time the last written counts.
        ttl
            For how long after its event time a row may be used: ``30d``, ``12h``, ``90min``; the end is included.
        features
            Its columns; by default all others.
        about
            What it is for.

        Examples
        --------
        %mlops data view activity --on visits@v2 --entity customer --time at --ttl 30d
        """
        from .features.view import Declared, declare, seconds_of, unit_of

        told = Declared(
            check_name(name, "feature view"),
            tuple(on),
            tuple(entity),
            time,
            created,
            seconds_of(ttl),
            unit_of(ttl),
            tuple(features or ()),
            about,
        )
        return declare(self.context, told)

    @command("data views", stage="datasets", changes=False)
    def views(
        self, name: Annotated[str, Arg(complete="data", metavar="NAME[@vN]")] = ""
    ) -> FeatureViewTable | FeatureView:
        """List the feature views, the newest version of each, or show one.

        Parameters
        ----------
        name
            A view, or a version of one: ``activity@v1``.

        Examples
        --------
        %mlops data views
        %mlops data views activity
        """
        from .features.view import read_view

        if name:
            return read_view(self.context, name)
        return FeatureViewTable.from_dict(self.context.call("data.views"))

    @command("data join", stage="datasets", changes=True)
    def join(
        self,
        labels: Annotated[Any, Arg(value="table", complete="data", metavar="DF")],
        views: Annotated[list[str], Arg(complete="data", metavar="VIEW[@vN]")],
        *,
        time: Annotated[str, Arg(metavar="COLUMN")] = "",
        prefix: bool = False,
        name: Annotated[str, Arg(metavar="NAME")] = "",
    ) -> JoinedTable:
        """Join feature views to labels as they were known: no feature is later than the label it stands beside.

        For each label and view: the newest row of its entity with an event time not after the label's, and not older
        than the view's TTL. Of rows with the same event time the last written counts. Times with a zone are compared in
        UTC, times without one are taken as UTC. The labels' rows, order and index stay as they are.

        Parameters
        ----------
        labels
            A row for each example: its entities, its time, its label. A DataFrame, a file, or a data version.
        views
            The views to join; a name means its newest version.
        time
            The labels' column that says when each was given.
        prefix
            Put the view's name before every feature, not only where two columns would be called the same.
        name
            Save the joined table as a data version, with the views and the labels as what it was made from.

        Examples
        --------
        %mlops data join labels activity profile@v1 --time at --name churn-train
        """
        from .features.joining import join
        from .features.view import read_view, view_rows
        from .saving import save_table

        if name:
            check_name(name, "data version")
        found = [read_view(self.context, ref) for ref in views]
        if not found:
            raise InvalidArgument("no view was named.", hint="`%mlops data views` lists them.")
        called = table_name(self.context, labels, "labels")
        frame = as_table(self.context, labels)
        wanted: dict[Any, list[str]] = {}
        for view in found:  # views on the same rows are read together
            wanted.setdefault((view.versions, view.entities, view.time, view.created), []).extend(
                c.name for c in view.features
            )

        def reader(view: FeatureView) -> Any:
            names = wanted[view.versions, view.entities, view.time, view.created]
            whole = replace(view, features=tuple(replace(view.features[0], name=n) for n in dict.fromkeys(names)))
            return lambda: view_rows(self.context, whole)

        self.context.progress(f"joining {len(found)} views to {len(frame):,} rows")
        made = join(frame, [(view, reader(view)) for view in found], time, prefix=prefix, name=called)
        for view in found:
            located = self.context.call("data.locate", ref=view.ref)
            note_use(self.context, None, DataVersion.from_dict(located["version"]))
        if not name:
            return made
        sources = [view.ref for view in found]
        known = self.context.known_tables.origin(frame)
        if known is not None and known[0].partition("@")[0] != name:
            sources.append(known[0])
        personal = self._personal(found, known[0] if known else "")
        version = save_table(self.context, made.table, name, sources=sources, personal=personal)
        return replace(made, saved=version.ref)

    @command("data transformation", stage="datasets", changes=False)
    def transformation(
        self,
        views: Annotated[Any, Arg(value="object", complete="data", metavar="VIEW[@vN]")],
        steps: Annotated[Any, Arg(value="object", metavar="STEPS")] = None,
    ) -> Any:
        """Make the one transformation of a view's features, for training, batch and serving.

        What is given is scikit-learn's own `ColumnTransformer`, not fitted yet: put it first in a pipeline, fit that, and
        it is stored and served with the model. It takes the view's features and passes over every other column.
        `parity` shows whether all ways compute the same.

        Parameters
        ----------
        views
            A view, a list of them, or what `data join` gave.
        steps
            What to do with the features: a transformer or pipeline, or a function of a table that stands in a module; by
            default what suits each column's type.

        Examples
        --------
        %mlops data transformation activity -o features
        """
        from .features.transformation import transformation
        from .features.view import read_view

        if isinstance(views, JoinedTable):
            pairs = [(read_view(self.context, each.view), each.columns) for each in views.joins]
            parts = [
                (v.ref, [replace(c, name=n) for c, n in zip(v.features, names, strict=True)]) for v, names in pairs
            ]
        else:
            given = [views] if isinstance(views, str) else views
            parts = [(v.ref, list(v.features)) for v in (read_view(self.context, ref) for ref in given)]
        return transformation(parts, steps)

    @command("data feast", stage="datasets", changes=False)
    def feast(
        self,
        views: Annotated[list[str], Arg(complete="data", metavar="VIEW[@vN]")],
        *,
        output: Annotated[str, Arg(value="path", metavar="DIR")],
    ) -> str:
        """Write feature views as a repository of Feast, with their rows as Parquet, for a team that uses it.

        `feast apply` in that folder takes the views over: entities, event time, TTL, features with their types.

        Parameters
        ----------
        views
            The views.
        output
            The folder; it must be empty or not there yet.

        Examples
        --------
        %mlops data feast activity profile --output feature_repo
        """
        from .features.feast import write_repository
        from .features.view import read_view, view_rows

        found = [read_view(self.context, ref) for ref in views]
        target = Path(output).expanduser()
        rows = write_repository([(view, view_rows(self.context, view)) for view in found], target)
        return f"{len(found)} feature views with {rows:,} rows stand in {target}; go on there with: feast apply"

    def _personal(self, views: list[FeatureView], labels: str) -> list[str]:
        """The columns of a joined table that its sources declare as personal."""
        refs = [*(view.ref for view in views), *([labels] if labels else [])]
        found: dict[str, None] = {}
        for ref in refs:
            version = DataVersion.from_dict(self.context.call("data.locate", ref=ref)["version"])
            found.update(dict.fromkeys(version.personal))
        return list(found)
