"""A training run as it was watched: its loss with the stalls shaded on both clocks, its effective widths, and its forecasts against time."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from . import _style

STEP_LABEL = "step"
#: Losses beyond these many are drawn as every k-th: more than pixels.
MOST_DRAWN = 4000


class WatchView(NamedTuple):
    """What is drawn: losses [n] and their smooth course [blocks]; stalls (start, end, kind); widths [k, layers] at snapshots [k]; forecasts [m] made at steps [m]."""

    step: NDArray
    loss: NDArray
    smooth_step: NDArray
    smooth_loss: NDArray
    stalls: tuple[tuple[int, int, str], ...]
    snapshot: NDArray
    widths: NDArray
    layers: tuple[str, ...]
    width_kind: str
    forecast_step: NDArray
    forecast_exit: NDArray
    forecast_low: NDArray
    forecast_high: NDArray


def watch_figure(view: WatchView) -> Figure:
    """Four panels: loss over step, over log step, effective width of each layer, forecast exit over the step at which it was made.

    **Returns:** a matplotlib `Figure`.
    """
    with _style.styled():
        figure = _style.new_figure(8.2, 5.6)
        (linear, logarithmic), (widths, forecasts) = figure.subplots(2, 2)
        _loss(linear, view, "linear time")
        _loss(logarithmic, view, "logarithmic time")
        logarithmic.set_xscale("symlog" if view.smooth_step.size and view.smooth_step[0] <= 0 else "log")
        first = view.step[view.step > 0] if view.step.size else view.smooth_step[view.smooth_step > 0]
        if first.size:
            logarithmic.set_xscale("log")
            logarithmic.set_xlim(max(float(first[0]), 1.0), float(max(view.smooth_step[-1], first[-1], 2.0)))
        _widths(widths, view)
        _forecasts(forecasts, view)
    return figure


def _loss(ax: Axes, view: WatchView, title: str) -> None:
    for k, (start, end, kind) in enumerate(view.stalls):
        ax.axvspan(max(start, 0.5), max(end, 1), color=_style.SHADES[k % 2], linewidth=0, label=_style.plain(kind, 24))
    every = max(1, view.step.size // MOST_DRAWN)
    ax.plot(view.step[::every], view.loss[::every], color=_style.GREY, linewidth=0.5, alpha=0.5)
    ax.plot(view.smooth_step, view.smooth_loss, color=_style.BLUE, linewidth=1.2)
    ax.set_title(f"loss, {title}")
    ax.set_xlabel(STEP_LABEL)
    ax.set_ylabel(_style.LOSS_LABEL)
    if view.stalls:
        ax.legend(loc="lower left")


def _widths(ax: Axes, view: WatchView) -> None:
    ax.set_title(f"effective width{f' ({view.width_kind})' if view.width_kind else ''}")
    ax.set_xlabel(STEP_LABEL)
    drawn = False
    for j, name in enumerate(view.layers):
        seen = np.isfinite(view.widths[:, j])
        if seen.any():
            ax.step(
                view.snapshot[seen],
                view.widths[seen, j],
                where="post",
                color=_style.LAYERS[j % len(_style.LAYERS)],
                label=_style.plain(name, 24),
            )
            drawn = True
    if drawn:
        ax.set_ylabel("units in use")
        ax.set_ylim(0, max(1.0, 1.15 * float(np.nanmax(view.widths))))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="upper left")
    else:
        _nothing(ax, "no hidden layer was seen")


def _forecasts(ax: Axes, view: WatchView) -> None:
    ax.set_title("forecast of the exit, 80% interval")
    ax.set_xlabel("step at which it was made")
    if not view.forecast_step.size:
        _nothing(ax, "no forecast")
        return
    ax.fill_between(
        view.forecast_step, view.forecast_low, view.forecast_high, color=_style.SKY, alpha=0.35, linewidth=0
    )
    ax.plot(view.forecast_step, view.forecast_exit, "o-", color=_style.BLUE, markersize=2.5, linewidth=1)
    reach = np.array([view.forecast_step[0], view.forecast_step[-1]])
    ax.plot(reach, reach, color=_style.GREY, linewidth=0.8, linestyle=":")
    ax.set_ylabel("exit step")
    top = float(np.percentile(view.forecast_high, 75)) * 1.3
    ax.set_ylim(0, max(top, float(view.forecast_exit[-1]) * 1.2, float(reach[1])))


def _nothing(ax: Axes, words: str) -> None:
    _style.blank(ax)
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=_style.GREY)
