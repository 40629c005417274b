"""Families of loss curves: one thing varied, everything else the same, a colour a value."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import _style

#: From dark to light, distinct also in grey and to colour-blind readers; the palest part is left out.
COLOURS, PALEST = "viridis", 0.88
#: A time axis ends where the slowest curve has this part of its fall left.
LEFT = 0.005
#: Curves that begin higher than this many times the lowest first loss are cut: they fall out of sight at once.
HIGHEST = 1.6


class CurveFamily(NamedTuple):
    """One panel: `curves` as (value of what is varied, t, loss), `heights` of saddles as levels, and whether time is logarithmic."""

    title: str
    curves: Sequence[tuple[float, np.ndarray, np.ndarray]]
    heights: Sequence[float] = ()
    log_time: bool = False


def curve_families(rows: Mapping[str, Sequence[CurveFamily]]) -> Figure:
    """Draws each family of curves in a panel, a row of panels a name.

    **Returns:** a matplotlib `Figure`.

    **Raises:** `ValueError` if there is no panel.
    """
    columns = max((len(panels) for panels in rows.values()), default=0)
    if not columns:
        raise ValueError("curve_families needs at least one panel: the dictionary it was given has none.")
    with _style.styled():
        figure = _style.new_figure(max(2.35 * columns, 3.2), 2.35 * len(rows) + 0.2)
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for line, (name, panels) in zip(axes, rows.items(), strict=True):
            for ax, panel in zip(line, panels, strict=False):
                _draw(ax, panel)
            for ax in line[len(panels) :]:
                ax.set_visible(False)
            line[0].set_ylabel(f"{_style.plain(name, 30)}: {_style.LOSS_LABEL}")
        for ax in axes.ravel():
            ax.set_xlabel(_style.T_LABEL)
    return figure


def _draw(ax: Axes, panel: CurveFamily) -> None:
    colours = matplotlib.colormaps[COLOURS](np.linspace(0.0, PALEST, max(len(panel.curves), 2)))
    for height in panel.heights:
        ax.axhline(height, color="#C8C8C8", linewidth=0.7, zorder=0)
    last, first, firsts, bottom = 0.0, np.inf, [], 0.0
    for (value, t, loss), colour in zip(panel.curves, colours, strict=False):
        ax.plot(t, loss, color=colour, linewidth=1.2, label=_style.number(value))
        moving = np.flatnonzero(loss - loss[-1] > LEFT * (loss[0] - loss[-1]))
        last = max(last, float(t[moving[-1]]) if moving.size else 0.0)
        half = np.flatnonzero(loss - loss[-1] < 0.5 * (loss[0] - loss[-1]))
        first = min(first, float(t[half[0]]) if half.size and t[half[0]] > 0 else np.inf)
        firsts.append(float(loss[0]))
        bottom = min(bottom, float(loss[-1]))
    top = min(max(firsts), HIGHEST * min(firsts)) if firsts else 1.0
    ax.set_ylim(bottom - 0.04 * top, 1.08 * top)
    if panel.log_time and np.isfinite(first):
        ax.set_xscale("log")
        ax.set_xlim(first / 30, last * 1.3)
    else:
        ax.set_xlim(0.0, last * 1.05 or 1.0)
        ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_title(_style.plain(panel.title, 40))
    place = {"handlelength": 1.0, "labelspacing": 0.15, "borderpad": 0.1, "fontsize": 6.3}
    ax.legend(loc="lower left" if panel.log_time else "upper right", ncols=1 if len(panel.curves) <= 9 else 2, **place)
