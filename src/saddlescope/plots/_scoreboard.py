"""Predicted against measured, a dot a plateau's end: the theory filled, a plain rule hollow beside it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import _style

COLOURS = {"theorem": _style.GREEN, "asymptotic": _style.BLUE, "heuristic": _style.ORANGE}
COLUMNS = 4


class ScoredEnd(NamedTuple):
    """One end: `predicted` and `measured` times, the status of the prediction, and what a plain rule says, None where there is none."""

    predicted: float
    measured: float
    status: str
    baseline: float | None = None


def scoreboard(
    families: Mapping[str, Sequence[ScoredEnd]],
    words: Mapping[str, str] | None = None,
    axes_words: tuple[str, str] = ("measured t_end", "predicted t_end"),
    dots: str | None = None,
    crosses: str = "plain rule",
) -> Figure:
    """Draws predicted over measured on logarithmic axes, a panel a family: dots coloured by status, grey crosses for the plain rule, a line where
    both are equal.

    **Arguments:** `families`: title to ends, perhaps none. `words`: a line under the title of a family. `axes_words`: what is measured, and predicted. `dots`: what the legend calls them,
    where there is one status only, in place of that; `crosses`: what it calls the plain rule.

    **Returns:** a matplotlib `Figure`.

    **Raises:** `ValueError` if there is no family.
    """
    if not families:
        raise ValueError("scoreboard needs at least one family: the dictionary it was given is empty.")
    rows = -(-len(families) // COLUMNS)
    columns = min(COLUMNS, len(families))
    with _style.styled():
        figure = _style.new_figure(max(2.3 * columns, 3.2), 2.5 * rows + 0.4)
        axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
        for ax, (title, ends) in zip(axes, families.items(), strict=False):
            _panel(ax, title, ends, (words or {}).get(title, ""))
            ax.set_xlabel(axes_words[0])
        for ax in axes[len(families) :]:
            ax.set_visible(False)
        for ax in axes[::columns]:
            ax.set_ylabel(axes_words[1])
        used = {end.status for ends in families.values() for end in ends}
        handles = [
            Line2D([], [], color=colour, marker="o", linestyle="", markersize=4, label=dots or status)
            for status, colour in COLOURS.items()
            if status in used
        ]
        handles.append(Line2D([], [], color=_style.GREY, marker="x", linestyle="", markersize=4, label=crosses))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _panel(ax: Axes, title: str, ends: Sequence[ScoredEnd], words: str) -> None:
    ax.set_title(_style.plain(title, 30) + (f"\n{_style.plain(words, 48)}" if words else ""), fontsize=7.5)
    plain = [(end.measured, end.baseline) for end in ends if end.baseline is not None and end.baseline > 0]
    if not ends:
        _style.blank(ax)
        ax.text(0.5, 0.5, "no prediction", transform=ax.transAxes, ha="center", va="center", color=_style.GREY)
        return
    ax.set_xscale("log")
    ax.set_yscale("log")
    if plain:
        ax.plot(*np.transpose(plain), "x", color=_style.GREY, markersize=3, markeredgewidth=0.6, zorder=1)
    for status, colour in COLOURS.items():
        chosen = [(end.measured, end.predicted) for end in ends if end.status == status and end.predicted > 0]
        if chosen:
            ax.plot(*np.transpose(chosen), "o", color=colour, markersize=2.6, alpha=0.7, markeredgewidth=0, zorder=2)
    measured = [end.measured for end in ends]
    reach = np.array([min(measured) / 1.3, max(measured) * 1.3])
    ax.plot(reach, reach, color=_style.INK, linewidth=0.6, zorder=0)
    for axis in (ax.xaxis, ax.yaxis):
        _style.log_ticks(axis, *reach)
