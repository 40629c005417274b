"""The paper's first figure: unlike networks, the same staircase, and three ways in which their weights climb it."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from . import _curves, _reading, _style, _weights

ROWS = ("start", "plateau", "end")


#: Drops that follow one another within this part of the wait before the first are drawn close up, where that is asked for.
CLOSE = 0.2


def figure_1(records: dict[str, xr.Dataset], *, close_up: bool = False) -> Figure:
    """Draws the runs side by side, one a column: the loss over its first value, then the first-layer weights at the
    start, on the plateau between the drops, and at the end.

    **Arguments:** `records`, name to record, in the order of the columns; the names become titles. Weights with more
    than two coordinates are seen along the two leading singular directions at the end of the run.

    `close_up`: where the first wait is much longer than all that follows, the time axis shows what follows, counted from the first drop.

    **Returns:** a matplotlib `Figure`.

    **Raises:** `ValueError` if there is no record.

    **Source:** Zhang, Saxe & Latham (2026), Figure 1.
    """
    if not records:
        raise ValueError("figure_1 needs at least one record: the dictionary it was given is empty.")
    with _style.styled():
        count = len(records)
        figure = _style.new_figure(max(3.2, 1.75 * count + 0.5), 7.2)
        axes = figure.subplots(4, count, squeeze=False, height_ratios=(1.15, 1.0, 1.0, 1.0))
        for column, (name, record) in enumerate(records.items()):
            _loss_panel(axes[0, column], name, record)
            if close_up:
                _close_up(axes[0, column], record)
            _weight_panels(axes[1:, column], record)
        axes[0, 0].set_ylabel(_style.NORMALISED_LABEL)
        for ax, row in zip(axes[1:, 0], ROWS, strict=True):
            ax.set_ylabel(f"weights: {row}")
        figure.align_ylabels(axes[:, 0])
        words = "weights: across and upwards two coordinates of each unit's"
        if any(stage.predicted_end is not None for record in records.values() for stage in _reading.stages(record)):
            words += "\ntriangles on the time axis: ends of plateaus as theory foretold them"
        figure.supxlabel(words, fontsize=7, color=_style.GREY, x=0.01, ha="left")
    return figure


def _loss_panel(ax: Axes, name: str, record: xr.Dataset) -> None:
    first = _first(record)
    _curves.draw_loss(ax, record, divisor=first, levels=False)
    ax.set_title(_style.plain(name, 24), fontsize=9, pad=16)
    at = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    steps = [(stage.effective_width, stage.kind) for stage in between(record)]
    climb = _style.plain(_reading.climb_label([*steps, _reading.end(record)]), 40)
    ax.annotate(climb, (0.5, 1.0), (0, 4), ha="center", va="bottom", fontsize=7.5, color=_style.GREY, **at)
    ax.set_ylim(-0.05, 1.1)
    ax.set_yticks([0.0, 0.5, 1.0])
    ax.set_xlabel(_style.T_LABEL, fontsize=6.5)
    if ax.get_xscale() == "linear":
        ax.xaxis.set_major_locator(MaxNLocator(3))


def _close_up(ax: Axes, record: xr.Dataset) -> None:
    ends = [stage.t_end for stage in _reading.stages(record) if stage.t_end is not None]
    if len(ends) < 2 or ends[-1] - ends[0] > CLOSE * ends[0]:
        return
    first, span = ends[0], ends[-1] - ends[0]
    ax.set_xscale("linear")
    ax.set_xlim(first - 1.2 * span, ends[-1] + 1.2 * span)
    tick = 10.0 ** np.floor(np.log10(span))
    ax.set_xticks([first, first + tick * np.floor(span / tick)])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda t, _: _style.number(t - first)))
    ax.set_xlabel(f"t after the first drop at {_style.number(first)}", fontsize=6.5)


def _first(record: xr.Dataset) -> float:
    loss = _reading.curve(record)[1]
    finite = loss[np.isfinite(loss)]
    return float(finite[0]) if finite.size and finite[0] > 0 else 1.0


def between(record: xr.Dataset) -> tuple[_reading.Stage, ...]:
    """The plateaus above the origin."""
    return tuple(stage for stage in _reading.stages(record) if stage.kind != "origin")


def _weight_panels(axes, record: xr.Dataset) -> None:
    names = _reading.first_layer(record)
    last = record.sizes.get("snapshot", 0) - 1
    directions = _weights.plane(record) if names and last >= 0 else None
    plateau = next((stage.snapshot for stage in between(record) if stage.snapshot is not None), None)
    missing = ("no snapshot", "no plateau\nbetween", "no snapshot")
    for ax, snapshot, words in zip(
        axes, (0 if last >= 0 else None, plateau, last if last >= 0 else None), missing, strict=True
    ):
        if directions is None or snapshot is None:
            _style.blank(ax)
            ax.set_box_aspect(1)
            ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=7.5, color=_style.GREY)
            continue
        _weights.draw_plane(ax, record, snapshot, directions, size=11.0)
    if directions is not None and len(names) > 1:
        # above the panel: inside, it would hide units
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.98), "ncols": 2}
        axes[0].legend(**place, borderpad=0.0, handletextpad=0.0, columnspacing=0.8, fontsize=6.5)
