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
#: More stalls than these have no room in a legend: the cards name them.
MOST_NAMED = 5


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


def watch_panels(view: WatchView) -> list[tuple[str, Figure]]:
    """One small figure each, with the words that describe it: loss over step, over log step, effective width of each layer, forecast exit over the step at which
    it was made. What was not seen has none.

    **Returns:** pairs (words, matplotlib `Figure`); pages lay them out side by side or below each other.
    """
    panels = []

    def panel(words: str) -> Axes:
        figure = _style.new_figure(4.1, 2.9)
        panels.append((words, figure))
        return figure.subplots()

    with _style.styled():
        if view.step.size:
            _loss(panel("loss with its stalls shaded, on linear time"), view, "linear time", legend=True)
            first = view.step[view.step > 0]
            if first.size > 1:
                ax = panel("loss with its stalls shaded, on logarithmic time")
                _loss(ax, view, "logarithmic time", legend=False)
                ax.set_xscale("log")
                ax.set_xlim(max(float(first[0]), 1.0), float(max(view.smooth_step[-1], first[-1], 2.0)))
        if np.isfinite(view.widths).any():
            _widths(panel("effective width of each layer"), view)
        if view.forecast_step.size:
            _forecasts(panel("forecast of the exit against time"), view)
    return panels


def _loss(ax: Axes, view: WatchView, title: str, *, legend: bool) -> None:
    positive = view.step[view.step > 0]
    least = max(float(positive[0]), 1.0) if positive.size else 1.0  # where a logarithmic axis begins
    for k, (start, end, kind) in enumerate(view.stalls):
        begin = start if legend else max(start, least)
        label = f"{k + 1}: {_style.plain(kind, 24)}, {start} to {end}"
        ax.axvspan(begin, max(end, begin), color=_style.SHADES[k % 2], linewidth=0, label=label)
        ax.annotate(
            str(k + 1),
            (begin, 1.0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(2, -2),
            textcoords="offset points",
            va="top",
            fontsize=7,
            color=_style.GREY,
        )
    every = max(1, view.step.size // MOST_DRAWN)
    ax.plot(view.step[::every], view.loss[::every], color=_style.GREY, linewidth=0.5, alpha=0.5)
    ax.plot(view.smooth_step, view.smooth_loss, color=_style.BLUE, linewidth=1.2)
    ax.set_title(f"loss, {title}")
    ax.set_xlabel(STEP_LABEL)
    ax.set_ylabel(_style.LOSS_LABEL)
    if legend and 0 < len(view.stalls) <= MOST_NAMED:
        ax.legend(loc="best", handlelength=0, handletextpad=0)


def _widths(ax: Axes, view: WatchView) -> None:
    ax.set_title(f"effective width{f' ({view.width_kind})' if view.width_kind else ''}")
    ax.set_xlabel(STEP_LABEL)
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
    ax.set_ylabel("units in use")
    ax.set_ylim(0, max(1.0, 1.15 * float(np.nanmax(view.widths))))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best")


def _forecasts(ax: Axes, view: WatchView) -> None:
    ax.set_title("forecast of the exit, 80% interval")
    ax.set_xlabel("step at which it was made")
    ax.fill_between(
        view.forecast_step, view.forecast_low, view.forecast_high, color=_style.SKY, alpha=0.35, linewidth=0
    )
    ax.plot(view.forecast_step, view.forecast_exit, "o-", color=_style.BLUE, markersize=2.5, linewidth=1)
    reach = np.array([view.forecast_step[0], view.forecast_step[-1]])
    ax.plot(reach, reach, color=_style.GREY, linewidth=0.8, linestyle=":")
    ax.set_ylabel("exit step")
    top = float(np.percentile(view.forecast_high, 75)) * 1.3
    ax.set_ylim(0, max(top, float(view.forecast_exit[-1]) * 1.2, float(reach[1])))
