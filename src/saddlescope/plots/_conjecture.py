"""Two groups of measured numbers over a size, and the line that is to part them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from . import _style


class Parted(NamedTuple):
    """One dot: its place `x`, its `value`, and the group it is expected in."""

    x: float
    value: float
    group: str


def parted(
    panels: Mapping[str, Sequence[Parted]], line: float, sides: tuple[str, str], labels: tuple[str, str]
) -> Figure:
    """Draws a panel each, on logarithmic axes: circles and triangles for the first and second group of all panels, a dashed line at `line`, and what is said of a value below and above it.

    **Arguments:** `sides`: words below and above the line. `labels`: of the axes.

    **Raises:** `ValueError` if there is no dot, or more than two groups.
    """
    groups = sorted({dot.group for dots in panels.values() for dot in dots})
    if not 1 <= len(groups) <= 2:
        raise ValueError(f"parted needs dots of one or two groups, found {len(groups)}.")
    marks = dict(zip(groups, ((_style.BLUE, "o"), (_style.VERMILLION, "^")), strict=False))
    with _style.styled():
        figure = _style.new_figure(3.4 * len(panels), 3.0)
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for ax, (title, dots) in zip(axes, panels.items(), strict=True):
            ax.set_title(_style.plain(title, 60))
            for group, (colour, marker) in marks.items():
                chosen = [(dot.x, dot.value) for dot in dots if dot.group == group]
                if chosen:
                    ax.plot(*np.transpose(chosen), marker, color=colour, markersize=3.5, alpha=0.7, markeredgewidth=0)
            ax.axhline(line, color=_style.INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
            for where, words, align in ((line / 1.04, sides[0], "top"), (line * 1.04, sides[1], "bottom")):
                ax.text(0.99, where, words, transform=ax.get_yaxis_transform(), ha="right", va=align, fontsize=7.0)
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xlabel(labels[0])
            sizes, values = (np.array([getattr(dot, name) for dot in dots]) for name in ("x", "value"))
            _style.log_ticks(ax.xaxis, float(sizes.min()), float(sizes.max()))
            _style.log_ticks(ax.yaxis, float(values.min()), float(values.max()))
        axes[0].set_ylabel(labels[1])
        for group, (colour, marker) in marks.items():
            axes[0].plot([], [], marker, color=colour, markersize=3.5, label=f"expected: {group}")
        figure.legend(loc="outside lower center", ncols=2)
    return figure
