"""Categories: columns of categories, which a signature calls text, given back to a model that needs them as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .signature import Signature

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Categories", "categories_of"]


@dataclass(frozen=True)
class Categories:
    """The categories that columns had when a model was fitted, by column, and whether they have an order.

    Examples
    --------
    >>> import pandas as pd
    >>> there = Categories({"size": (["S", "M", "L"], True)})
    >>> there.restore(pd.DataFrame({"size": ["L", "XL", None]}))["size"].cat.categories.tolist()
    ['S', 'M', 'L', 'XL']
    """

    columns: Mapping[str, tuple[list[Any], bool]]

    def restore(self, data: Any) -> Any:
        """A table with these columns as they were; what is no known category is one more, for the model to judge."""
        import pandas as pd

        if not isinstance(data, pd.DataFrame):
            return data
        found = {name: self._column(data[name], *self.columns[name]) for name in self.columns if name in data.columns}
        return data.assign(**found)

    @staticmethod
    def _column(values: pd.Series[Any], known: list[Any], ordered: bool) -> pd.Series[Any]:
        import pandas as pd

        by_text = {str(value): value for value in known}
        meant = values.map(lambda value: value if value is None or value in known else by_text.get(str(value), value))
        unknown = [value for value in meant.dropna().unique() if value not in known]
        return pd.Series(pd.Categorical(meant, [*known, *unknown], ordered=ordered), index=values.index)


def categories_of(estimator: Any, signature: Signature | None, told: Mapping[str, Any]) -> Categories | None:
    """The categories of an estimator's columns; None where none are known.

    Parameters
    ----------
    told
        What was written down of them when the model was stored, by column; empty where nothing was.
    """
    known = {name: (list(one["values"]), bool(one["ordered"])) for name, one in told.items()}
    known = known or _held(estimator, signature)
    return Categories(known) if known else None


def _held(estimator: Any, signature: Signature | None) -> dict[str, tuple[list[Any], bool]]:
    """What XGBoost and LightGBM keep of categories in their own files."""
    texts = [column.name for column in signature.columns if column.type == "string"] if signature is not None else []
    booster = estimator.get_booster() if hasattr(estimator, "get_booster") else estimator
    kept = getattr(getattr(booster, "booster_", booster), "pandas_categorical", None)
    if kept and len(kept) == len(texts):  # LightGBM keeps no names: its lists stand in the columns' order
        return {name: (list(values), False) for name, values in zip(texts, kept, strict=True)}
    if not hasattr(booster, "get_categories"):
        return {}
    named = booster.get_categories(export_to_arrow=True).to_arrow()
    return {str(name): (values.to_pylist(), False) for name, values in named if values is not None}
