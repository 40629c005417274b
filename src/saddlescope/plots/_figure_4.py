"""Loss curves of many seeds, a panel a network, and the parts of them that rest on the way, as maps."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import _style


class Curve(NamedTuple):
    """One seed: `t` and `loss` (over its first value), and the plateaus after the first drop as `t` and `loss` of their slowest moments."""

    t: Float[np.ndarray, " time"]
    loss: Float[np.ndarray, " time"]
    rests: Float[np.ndarray, "plateaus 2"]


class Map(NamedTuple):
    """Parts [rows, columns] between 0 and 1, with a word for each row and column."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    parts: Float[np.ndarray, "rows columns"]


COLUMNS = 3


def curves_and_maps(panels: Mapping[str, Sequence[Curve]], maps: Sequence[Map] = ()) -> Figure:
    """Draws a panel for each network, one line a seed on time in units of its first drop, dots where it rests after that drop; below, the maps.

    **Raises:** `ValueError` if there is no panel, or one without curves.
    """
    if not panels or not all(panels.values()):
        raise ValueError("curves_and_maps needs a panel, and a curve in each: found none.")
    rows = -(-len(panels) // COLUMNS)
    with _style.styled():
        figure = _style.new_figure(6.8, 1.75 * rows + (2.0 if maps else 0.0) + 0.3)
        parts = np.ravel(figure.subfigures(2, 1, height_ratios=(1.75 * rows, 2.0))) if maps else [figure]  # type: ignore[arg-type]
        axes = parts[0].subplots(rows, COLUMNS, squeeze=False, sharey=True)
        for ax in axes.ravel()[len(panels) :]:
            ax.set_visible(False)
        for ax, (title, curves) in zip(axes.ravel(), panels.items(), strict=False):
            _panel(ax, title, curves)
        for ax in axes[:, 0]:
            ax.set_ylabel(_style.NORMALISED_LABEL)
        for ax in axes.ravel()[max(len(panels) - COLUMNS, 0) : len(panels)]:  # the lowest of each column
            ax.set_xlabel("t / t of the first half drop")
        if maps:
            parts[1].supxlabel("part of the runs with a clean second plateau", fontsize=8.0)
            for ax, one in zip(np.ravel(parts[1].subplots(1, len(maps), squeeze=False)), maps, strict=True):
                _map(ax, one)
    return figure


def _panel(ax: Axes, title: str, curves: Sequence[Curve]) -> None:
    for curve in curves:
        drop = curve.loss[0] - curve.loss[-1]
        unit = float(curve.t[np.argmax(curve.loss < curve.loss[0] - 0.25 * drop)]) or 1.0
        ax.plot(curve.t / unit, curve.loss, color=_style.BLUE, linewidth=1.0, alpha=0.6, label="loss")
        ax.plot(
            curve.rests[:, 0] / unit,
            curve.rests[:, 1],
            linestyle="none",
            marker="o",
            markersize=3.5,
            color=_style.VERMILLION,
            zorder=4,
            label="rests",
        )
    ax.set_xscale("log")
    ax.set_xlim(0.3, 300.0)
    ax.set_ylim(-0.04, 1.08)
    ax.set_title(_style.plain(title, 34), loc="left")


def _map(ax: Axes, one: Map) -> None:
    ax.imshow(one.parts, cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto")
    ax.set_xticks(range(len(one.columns)), [_style.plain(word, 16) for word in one.columns])
    ax.set_yticks(range(len(one.rows)), [_style.plain(word, 24) for word in one.rows])
    ax.set_title(_style.plain(one.title, 60), loc="left")
    for (i, k), part in np.ndenumerate(one.parts):
        ax.text(k, i, f"{part:.1f}", ha="center", va="center", color="white" if part < 0.5 else _style.INK)
    ax.tick_params(length=0)
