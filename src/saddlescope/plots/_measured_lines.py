"""A measured quantity against what was varied: points with their intervals over seeds, and the line of theory through them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import _style

COLOURS = (_style.BLUE, _style.VERMILLION, _style.GREEN, _style.PURPLE, _style.OCHRE)
MARKERS = "osD^v"


class MeasuredLine(NamedTuple):
    """`measured` and `theory` [seeds, values] over `values`, NaN where there is none; `colour`: which one; `hollow`: drawn with empty markers and dashes."""

    label: str
    values: Sequence[float]
    measured: np.ndarray
    theory: np.ndarray | None = None
    colour: int = 0
    hollow: bool = False


class LinePanel(NamedTuple):
    title: str
    label: str
    log: bool
    lines: Sequence[MeasuredLine]


def measured_lines(
    rows: Sequence[Sequence[LinePanel]],
    label: str = "plateau duration  (learning rate x steps)",
    hollow: str = "scale / sqrt(layer size)",
    linear: bool = False,
) -> Figure:
    """Draws medians over seeds, with bars from the lowest to the highest quarter, and medians of theory as lines, in the colour of their points or grey where there is one kind of points alone; on a
    logarithmic axis unless `linear`.

    **Arguments:** `label`: of what is measured. `hollow`: what empty markers mean, where there are any.

    **Returns:** a matplotlib `Figure`.

    **Raises:** `ValueError` if there is no panel.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("measured_lines needs at least one panel: the list it was given is empty.")
    with _style.styled():
        figure = _style.new_figure(max(2.7 * columns, 3.6), 2.5 * len(rows) + 0.4)
        axes = figure.subplots(len(rows), columns, squeeze=False)
        several = len({one.colour for row in rows for panel in row for one in panel.lines}) > 1
        for line, row in zip(axes, rows, strict=True):
            for ax, panel in zip(line, row, strict=False):
                _draw(ax, panel, linear, several)
            for ax in line[len(row) :]:
                ax.set_visible(False)
        figure.supylabel(label, fontsize=8.5)
        handles = {}
        for one in (one for row in rows for panel in row for one in panel.lines):
            handles[one.colour] = Line2D(
                [],
                [],
                color=COLOURS[one.colour],
                marker=MARKERS[one.colour],
                markersize=3.5,
                linestyle="",
                label=one.label,
            )
        shown = [handles[key] for key in sorted(handles)]
        shown.append(Line2D([], [], color=_style.GREY, linewidth=1.0, label="theory"))
        if any(one.hollow for row in rows for panel in row for one in panel.lines):
            shown.append(
                Line2D(
                    [],
                    [],
                    color=_style.GREY,
                    linewidth=1.0,
                    linestyle="--",
                    marker="o",
                    mfc="white",
                    markersize=3.5,
                    label=hollow,
                )
            )
        figure.legend(handles=shown, loc="outside lower center", ncols=len(shown))
    return figure


def _draw(ax: Axes, panel: LinePanel, linear: bool, coloured: bool) -> None:
    smallest, largest = np.inf, 0.0
    for one in panel.lines:
        values, measured = np.asarray(one.values, float), np.asarray(one.measured, float)
        colour = COLOURS[one.colour % len(COLOURS)]
        known = np.any(np.isfinite(measured), axis=0)
        if known.any():
            low, middle, high = np.nanquantile(measured[:, known], (0.25, 0.5, 0.75), axis=0)
            look = {
                "mfc": "white" if one.hollow else colour,
                "markersize": 3.2,
                "elinewidth": 0.8,
                "markeredgewidth": 0.8,
            }
            bars = np.clip([middle - low, high - middle], 0.0, None)
            ax.errorbar(values[known], middle, yerr=bars, fmt=MARKERS[one.colour % len(MARKERS)], color=colour, **look)
            smallest, largest = min(smallest, float(low.min())), max(largest, float(high.max()))
        theory = None if one.theory is None else np.asarray(one.theory, float)
        if theory is not None and np.any(np.isfinite(theory)):
            there = np.any(np.isfinite(theory), axis=0)
            line = np.nanmedian(theory[:, there], axis=0)
            look = {"color": colour if coloured else _style.GREY, "linewidth": 0.9, "zorder": 1}
            ax.plot(values[there], line, "--" if one.hollow else "-", **look)
    if panel.log:
        ax.set_xscale("log")
        every = [value for one in panel.lines for value in one.values]
        if every:
            _style.log_ticks(ax.xaxis, min(every), max(every))
    if linear:
        ax.set_ylim(0.0, None)
    elif largest > 0:
        ax.set_yscale("log")
        ax.set_ylim(smallest / 1.6, largest * 1.6)
        _style.log_ticks(ax.yaxis, smallest / 1.6, largest * 1.6)
    ax.set_title(_style.plain(panel.title, 40))
    ax.set_xlabel(_style.plain(panel.label, 40))
