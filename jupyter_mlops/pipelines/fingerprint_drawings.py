"""What a drawing of matplotlib or seaborn is made of, as plain data: what it shows, once it has been drawn.

This file is copied beside every exported pipeline and needs nothing of ours installed.
"""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["drawing"]

_OF_USE = ("_parents", "_invalid", "_mtx", "_inverted", "_shorthand_name")
"""What a transform of matplotlib keeps of those that use it, and what it has worked out already."""


def _settle(figure: Any) -> None:
    """Have a figure draw itself, to nowhere: ticks, labels and limits are only then what a notebook has shown."""
    if getattr(figure, "stale", False) and hasattr(figure, "draw_without_rendering"):
        with contextlib.suppress(Exception):  # what cannot be drawn is compared as it is
            figure.draw_without_rendering()


def drawing(value: Any) -> Any:
    """What a figure, a part of one, a colour map or a transform is made of; None for what is told of otherwise."""
    if hasattr(value, "source_vars") and hasattr(value, "ids"):  # seaborn's data; the ids are places in memory
        return (type(value).__name__, value.frame, value.names)
    _settle(value if hasattr(value, "draw_without_rendering") else getattr(value, "figure", None))
    if hasattr(value, "get_axes") and hasattr(value, "get_size_inches"):
        size = [float(side) for side in value.get_size_inches()]
        texts = [_artist(text) for text in value.texts]
        parts = [drawing(axes) for axes in value.get_axes()]
        legends = [_legend(legend) for legend in value.legends]
        return {"figure": parts, "texts": texts, "legends": legends, "size": size, "spacing": _spacing(value)}
    if hasattr(value, "set_children") and hasattr(value, "frozen"):  # a transform: what it consists of, not who uses it
        worked_out = (*_OF_USE, "_points") if "_bbox" in vars(value) else _OF_USE
        return (type(value).__name__, {k: v for k, v in vars(value).items() if k not in worked_out})
    if hasattr(value, "legend_handles"):
        return _legend(value)
    if hasattr(value, "axes_dict") or type(value).__name__ in ("PairGrid", "JointGrid", "ClusterGrid"):
        figure = getattr(value, "figure", None) or getattr(value, "fig", None)
        return ("grid", drawing(figure)) if figure is not None else None
    if hasattr(value, "get_title") and hasattr(value, "get_xlabel"):
        return _axes(value)
    data = _artist(value)
    if data is not None:
        return data
    if hasattr(value, "set_under") and hasattr(value, "N"):  # a colour map fills its table when it is first asked
        return ("colours", type(value).__name__, value.name, value(range(value.N)), value([-1, value.N, float("nan")]))
    if hasattr(value, "get_children") and not hasattr(value, "get_paths"):
        inner = [child for child in value.get_children() if type(child).__name__ != "FancyBboxPatch"]  # a frame
        return (type(value).__name__, [_artist(child) for child in inner])
    if type(value).__name__ in ("GridSpec", "SubplotSpec"):
        return (type(value).__name__, str(value))
    if hasattr(value, "mappable"):  # a colour bar
        return (type(value).__name__, _artist(value.mappable))
    return None


def _axes(axes: Any) -> Any:
    shown = [_artist(child) for child in (*axes.lines, *axes.patches, *axes.collections, *axes.images)]
    fitted = {id(text) for child in axes.collections for text in getattr(child, "labelTexts", ())}  # to a contour
    shown += [text.get_text() if id(text) in fitted else _artist(text) for text in axes.texts]
    legend = axes.get_legend()
    fixed = [
        [label.get_text() for label in axis.get_ticklabels()]
        for axis in (axes.xaxis, axes.yaxis)
        if type(axis.get_major_locator()).__name__ == "FixedLocator"
    ]
    cells = [cell.get_text().get_text() for table in axes.tables for cell in table.get_celld().values()]
    frame = {
        "visible": [axes.get_visible(), axes.axison, *(spine.get_visible() for spine in axes.spines.values())],
        "grid": [axis.get_tick_params().get("gridOn") for axis in (axes.xaxis, axes.yaxis)],
        "colour": _colour(axes.get_facecolor()),
        "place": _place(axes),
    }
    return {
        "title": [axes.get_title(loc=place) for place in ("left", "center", "right")],
        "labels": [axes.get_xlabel(), axes.get_ylabel()],
        "scales": [axes.get_xscale(), axes.get_yscale()],
        "shown": shown,
        "legend": _legend(legend) if legend is not None else None,
        "limits": _limits(axes),
        "ticks": fixed,
        "ticks look": [_ticks_look(axis) for axis in (axes.xaxis, axes.yaxis)],
        "table": cells,
        "frame": frame,
    }


def _legend(legend: Any) -> Any:
    """What a legend says and where it was asked to stand; where its box ends up is only known once it has been drawn."""
    from matplotlib.transforms import BboxTransformFrom

    anchor = legend.get_bbox_to_anchor().transformed(BboxTransformFrom(legend.parent.bbox))
    told = (legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()])
    handles = [type(handle).__name__ for handle in legend.legend_handles]
    place = _number(legend._loc)  # noqa: SLF001 there is no public word for it
    return ("legend", *told, handles, place, [float(v) for v in anchor.bounds], legend.get_frame_on())


def _ticks_look(axis: Any) -> list[list[float]]:
    """How the labels of an axis are turned, and how large they are."""
    labels: Any = ()
    with contextlib.suppress(Exception):  # of what cannot be drawn there are none
        labels = axis.get_ticklabels()
    return [list(look) for look in sorted({(float(t.get_rotation()), float(t.get_fontsize())) for t in labels})]


def _spacing(figure: Any) -> Any:
    """The room left around and between the axes; where a layout has worked it out, it follows from what is shown."""
    layout = figure.get_layout_engine() if hasattr(figure, "get_layout_engine") else None
    if layout is not None or not hasattr(figure, "subplotpars"):
        return type(layout).__name__
    return {name: float(room) for name, room in vars(figure.subplotpars).items()}


def _place(axes: Any) -> list[Any]:
    """Where in its figure axes stand: in which part of which grid, and, where no layout has moved them, at what place."""
    spec = axes.get_subplotspec() if hasattr(axes, "get_subplotspec") else None
    grid = spec.get_gridspec() if spec is not None else None
    ratios = (grid.get_width_ratios(), grid.get_height_ratios()) if grid is not None else ()
    part = (
        [*spec.get_geometry(), *(float(ratio) for side in ratios for ratio in side or ())] if spec is not None else []
    )
    settled = getattr(axes.figure, "get_layout_engine", object)() is None
    return [part, [float(v) for v in axes.get_position(original=True).bounds] if settled else []]


def _limits(axes: Any) -> list[float]:
    """The limits of the axes; where they follow from the room that the layout leaves, they are no part of what is shown."""
    if axes.get_aspect() != "auto" and axes.get_adjustable() == "datalim":
        return []
    every = (getattr(axes, name, None) for name in ("get_xlim", "get_ylim", "get_zlim"))
    return [float(v) for limits in every if limits is not None for v in limits()]


def _colour(value: Any) -> str:
    from matplotlib.colors import to_hex

    try:
        return str(to_hex(value, keep_alpha=True))
    except (ValueError, TypeError):
        return str(value)


def _artist(value: Any) -> Any:
    import numpy as np

    kind = type(value).__name__
    look = _look(value)
    if hasattr(value, "get_xydata"):
        style = (_colour(value.get_color()), str(value.get_linestyle()), str(value.get_marker()))
        return (kind, np.asarray(value.get_xydata(), dtype=float), style, look)
    if hasattr(value, "get_bbox") and hasattr(value, "get_width"):
        return (kind, [float(v) for v in value.get_bbox().bounds], _colour(value.get_facecolor()), look)
    if hasattr(value, "get_patch_transform") and not hasattr(value, "get_arrowstyle"):  # an arrow stands in points
        outline = value.get_patch_transform().transform_path(value.get_path())
        return (kind, np.asarray(outline.vertices, dtype=float), _colour(value.get_facecolor()), look)
    if hasattr(value, "get_offsets"):
        sizes = [float(size) for size in value.get_sizes()] if hasattr(value, "get_sizes") else []
        paths = [np.asarray(path.vertices) for path in value.get_paths()[:200]]
        array = value.get_array()
        colours = np.asarray(value.get_facecolor(), dtype=float)
        return (kind, np.asarray(value.get_offsets(), dtype=float), paths, None if array is None else np.asarray(array), colours, sizes, look)  # fmt: skip
    if hasattr(value, "get_array"):
        array = value.get_array()
        extent = [float(v) for v in value.get_extent()] if kind == "AxesImage" else []
        shades = (value.get_cmap().name, [None if v is None else float(v) for v in value.get_clim()])
        return (kind, None if array is None else np.asarray(array), extent, shades, look)
    if hasattr(value, "get_xy") and not callable(getattr(value, "get_text", None)):
        return (kind, np.asarray(value.get_xy(), dtype=float))
    if hasattr(value, "get_text"):
        places = [value.get_position(), *([value.xy] if hasattr(value, "xy") else [])]  # an annotation points at xy
        size, colour = float(value.get_fontsize()), _colour(value.get_color())
        return (kind, value.get_text(), [_number(v) for place in places for v in place], size, colour, look)
    return None


def _look(value: Any) -> dict[str, Any]:
    """What an artist has been given to look by: whether it is seen, how much shines through, how wide its lines are."""
    asked = ("visible", "alpha", "zorder", "linewidth", "markersize", "hatch", "edgecolor")
    return {name: _number(getattr(value, f"get_{name}")()) for name in asked if hasattr(value, f"get_{name}")}


def _number(value: Any) -> Any:
    """A number, or an array of them, of NumPy or of units, as plain data."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [_number(item) for item in value]
    return float(value) if isinstance(value, (int, float)) else str(value)
