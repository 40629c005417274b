"""Loss curves of several networks on one pair of axes: linear time, and logarithmic time."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import _reading, _style

LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), "-.")


def overlaid(panels: Mapping[str, Mapping[str, xr.Dataset]]) -> Figure:
    """Draws a row of two axes a panel: loss over its first value against time, linear on the left and logarithmic on the right.

    **Arguments:** `panels`, title to curves, each a name to a record. Plateaus' heights are marked where a curve's stages end, by a dot.

    **Raises:** `ValueError` if there is no panel, or one without curves.
    """
    if not panels or not all(panels.values()):
        raise ValueError("overlaid needs a panel, and a record in each: found none.")
    with _style.styled():
        figure = _style.new_figure(6.6, 2.3 * len(panels) + 0.4)
        axes = figure.subplots(len(panels), 2, squeeze=False, sharey=True)
        for row, (title, curves) in zip(axes, panels.items(), strict=True):
            last = max(_settled(record) for record in curves.values())
            first = min(_first_end(record) for record in curves.values())
            for number, (name, record) in enumerate(curves.items()):
                for ax in row:
                    _draw(ax, name, record, number)
            row[0].set_xlim(0.0, 1.1 * last)
            row[1].set_xscale("log")
            row[1].set_xlim(first / 30, 1.6 * last)
            row[0].set_ylim(-0.04, 1.08)
            row[0].set_ylabel(_style.NORMALISED_LABEL)
            row[0].set_title(_style.plain(title, 40), loc="left")
            row[1].legend(loc="lower left", handlelength=2.4)
        for ax in axes.ravel():
            ax.set_xlabel(_style.T_LABEL)
    return figure


def _draw(ax: Axes, name: str, record: xr.Dataset, number: int) -> None:
    t, loss, _ = _reading.curve(record)
    first = loss[np.isfinite(loss)][0]
    colour = _style.LAYERS[(4 + number) % len(_style.LAYERS)] if number < 2 else _style.GREEN
    ax.plot(
        t, loss / first, color=colour, linestyle=LINES[number % len(LINES)], linewidth=1.5, label=_style.plain(name, 30)
    )
    ends = [stage.t_end for stage in _reading.stages(record) if stage.t_end]
    ax.plot(ends, np.interp(ends, t, loss) / first, linestyle="none", marker="o", markersize=4, color=colour)


def _settled(record: xr.Dataset) -> float:
    t, loss, _ = _reading.curve(record)
    moving = np.flatnonzero(np.abs(loss - loss[-1]) > 1e-2 * np.ptp(loss))
    return float(t[moving[-1]]) if moving.size else float(t[-1])


def _first_end(record: xr.Dataset) -> float:
    ends = [stage.t_end for stage in _reading.stages(record) if stage.t_end]
    return min(ends) if ends else _settled(record)
