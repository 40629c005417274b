"""The three curves of a run on one time axis: loss with its plateaus, speed with its slowest points, effective
width."""

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from . import _reading, _style


def time_view(record: xr.Dataset) -> tuple[str, float, float]:
    """The scale ("linear" or "log") and ends of the time axis.

    Linear, up to where the loss has come to within 1e-3 of its whole drop of the last value, and a quarter more: a
    tail in which nothing can be seen to happen is cut. Logarithmic if the plateaus' ends are more than a factor 30
    apart.
    """
    t, loss, _ = _reading.curve(record)
    if not t.size:
        return "linear", 0.0, 1.0
    stages = _reading.stages(record)
    ends = [stage.t_end for stage in stages if stage.t_end is not None and stage.t_end > 0]
    kept = np.flatnonzero(np.isfinite(loss))
    settled = t[-1]
    if kept.size and all(stage.t_end is not None for stage in stages):
        moving = kept[np.abs(loss[kept] - loss[kept[-1]]) > 1e-3 * np.ptp(loss[kept])]
        settled = t[moving[-1]] if moving.size else t[-1]
    low, high = float(t[0]), float(min(t[-1], max([settled, *ends]) * 1.25))
    if high > 0.8 * t[-1]:
        high = float(t[-1])
    if not high > low:
        high = low + 1.0
    if ends and max(ends) > 30 * min(ends):
        # before a fiftieth of the first plateau nothing has moved by more than a third: the axis may begin there
        return "log", min(ends) / 50, high
    return "linear", low, high


def set_time_axis(ax: Axes, view: tuple[str, float, float]) -> None:
    scale, low, high = view
    ax.set_xscale(scale)
    ax.set_xlim(low, high)


def shade_plateaus(ax: Axes, stages: tuple[_reading.Stage, ...], view: tuple[str, float, float]) -> None:
    """A light band from each plateau's start to its end, and a line at each end (label `stage end`)."""
    _, low, high = view
    for i, stage in enumerate(stages):
        start, end = max(stage.t_start, low), high if stage.drawn_until is None else stage.drawn_until
        ax.axvspan(start, end, facecolor=_style.SHADES[i % 2], edgecolor="none", zorder=0)
        if stage.t_end is not None:
            ax.axvline(stage.t_end, color=_style.GREY, linewidth=0.8, zorder=1, label="stage end")


def draw_loss(ax: Axes, record: xr.Dataset, *, divisor: float = 1.0, levels: bool = True) -> None:
    """Loss (over `divisor`) against time, on shaded plateaus with their heights and the errors of their ends."""
    view, stages = time_view(record), _reading.stages(record)
    t, loss, _ = _reading.curve(record)
    loss = loss / divisor
    shade_plateaus(ax, stages, view)
    if levels:
        for stage in stages:
            if stage.height is not None:
                ax.axhline(stage.height / divisor, color=_style.ORANGE, linewidth=0.9, zorder=2, label="height")
    for stage, following in zip(stages, [*(s.height for s in stages[1:]), None], strict=False):
        error = stage.t_end_error
        # an error bar thinner than the line it sits on would only look like a blot
        if stage.t_end is not None and error is not None and error > 0.004 * _span(view, stage.t_end):
            height = stage.height if stage.height is not None else float(np.interp(stage.t_end, t, loss)) * divisor
            middle = 0.5 * (height + (following if following is not None else _last(loss) * divisor)) / divisor
            bar = {
                "fmt": "none",
                "ecolor": _style.VERMILLION,
                "elinewidth": 1.2,
                "capsize": 2.5,
                "zorder": 4,
                "label": "end error",
            }
            ax.errorbar(stage.t_end, middle, xerr=error, **bar)
    _mark_predicted_ends(ax, stages, view)
    marker = {"marker": "o", "markersize": 3} if np.isfinite(loss).sum() < 2 else {}
    ax.plot(t, loss, color=_style.BLUE, linewidth=1.6, zorder=3, label="loss", **marker)
    set_time_axis(ax, view)
    _loss_limits(ax, loss)


def _mark_predicted_ends(ax: Axes, stages: tuple[_reading.Stage, ...], view: tuple[str, float, float]) -> None:
    """A small triangle on the time axis where theory expected each stage to end (label `predicted end`)."""
    ends = [s.predicted_end for s in stages if s.predicted_end is not None and view[1] <= s.predicted_end <= view[2]]
    if ends:
        look = {
            "linestyle": "none",
            "marker": "^",
            "markersize": 3.5,
            "color": _style.VERMILLION,
            "clip_on": False,
            "zorder": 5,
        }
        ax.plot(ends, [0.0] * len(ends), transform=ax.get_xaxis_transform(), label="predicted end", **look)


def _span(view: tuple[str, float, float], t: float) -> float:
    """The time that would fill the axis at the scale it has around `t`."""
    scale, low, high = view
    return t * np.log(high / low) if scale == "log" else high - low


def _last(loss: Float[np.ndarray, " time"]) -> float:
    finite = loss[np.isfinite(loss)]
    return float(finite[-1]) if finite.size else 0.0


def _loss_limits(ax: Axes, loss: Float[np.ndarray, " time"]) -> None:
    finite = loss[np.isfinite(loss)]
    if not finite.size:
        ax.set_ylim(0.0, 1.0)
        return
    # a run that diverges is cut at five times its first loss: what it did before stays visible
    top = min(finite.max(), 5 * finite[0]) if finite[0] > 0 else finite.max()
    bottom = min(0.0, finite.min())
    room = (top - bottom) or 1.0
    ax.set_ylim(bottom - 0.04 * room, top + 0.06 * room)


def label_plateaus(ax: Axes, record: xr.Dataset, *, inches: float, size: float = 7.5, most_rows: int = 3) -> int:
    """Writes each plateau's name above the axes, in as many rows as it takes not to overlap; returns that number.

    `inches` is about how wide the axes will be. A name that fits in no row is left out: its line is still there.
    """
    scale, low, high = time_view(record)
    stages = _reading.stages(record)
    letter = 0.60 * size / 72 / inches  # mean width of a DejaVu Sans letter, as a part of the axes' width

    def place(t: float) -> float:
        t = min(max(t, low), high)
        return np.log(t / low) / np.log(high / low) if scale == "log" else (t - low) / (high - low)

    used: list[float] = []  # where each row is free again
    for stage in stages:
        ends = place(stage.t_start), place(high if stage.drawn_until is None else stage.drawn_until)
        text = _style.plain(stage.name, 40)
        half = 0.5 * letter * len(text)
        middle = min(max(0.5 * sum(ends), half), max(1.0 - half, half))
        row = next((i for i, free in enumerate(used) if middle - half > free), len(used))
        if not text or row >= most_rows:
            continue
        used[row : row + 1] = [middle + half + letter]
        at = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        ax.annotate(text, (middle, 1.0), (0, 3 + 1.25 * size * row), ha="center", va="bottom", fontsize=size, **at)
    return len(used)


def label_heights(ax: Axes, record: xr.Dataset) -> None:
    """Writes the plateaus' heights at the right end of their levels, the highest first, none over another."""
    low, high = ax.get_ylim()
    last = np.inf
    for height in sorted((s.height for s in _reading.stages(record) if s.height is not None), reverse=True):
        place = (height - low) / (high - low)
        if not 0 <= place <= 1 or last - place < 0.055:
            continue
        last = place
        at = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        ax.annotate(_style.number(height), (1.0, place), (3, 0), va="center", fontsize=7, color=_style.OCHRE, **at)


def draw_speed(ax: Axes, record: xr.Dataset) -> None:
    """Speed on a logarithmic axis, with the slowest point of each plateau."""
    view, stages = time_view(record), _reading.stages(record)
    t, _, speed = _reading.curve(record)
    shade_plateaus(ax, stages, view)
    ax.plot(t, speed, color=_style.BLUE, linewidth=1.3, zorder=3, label="speed")
    slowest = [float(record["snapshot_t"].values[s.snapshot]) for s in stages if s.snapshot is not None]
    if slowest and np.isfinite(speed).any():
        nearest = [int(np.argmin(np.abs(t - one))) for one in slowest]
        points = {"linestyle": "none", "marker": "o", "markersize": 4.5, "clip_on": False}
        # t = 0 is at the edge of a logarithmic axis
        ax.plot(
            np.clip(t[nearest], *view[1:]),
            speed[nearest],
            color=_style.VERMILLION,
            zorder=4,
            label="slowest point",
            **points,
        )
    ax.set_yscale("log")
    shown = speed[np.isfinite(speed) & (t <= view[2])]
    if shown.size:
        top = shown.max()
        ax.set_ylim(max(shown.min() / 2, top * 1e-15), top * 2)  # below is rounding
    ax.yaxis.set_major_locator(LogLocator(numticks=5))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_locator(LogLocator(subs=()))
    set_time_axis(ax, view)


def draw_effective_width(ax: Axes, record: xr.Dataset) -> None:
    """Effective width at the snapshots, held until the next; one line a hidden layer."""
    view = time_view(record)
    shade_plateaus(ax, _reading.stages(record), view)
    ax.set_ylim(0.0, 1.0)
    if "effective_width" in record and record.sizes.get("snapshot", 0):
        t = np.asarray(record["snapshot_t"].values, float)
        widths = np.asarray(record["effective_width"].values, float).reshape(t.size, -1)
        widths = np.where(widths >= 0, widths, np.nan)
        layers = widths.shape[1]
        for layer in range(layers):
            look = {"color": _style.LAYERS[layer % len(_style.LAYERS)], "linewidth": 1.5, "zorder": 3 + layer}
            if layer:  # dashed, or equal lines would hide each other
                look["dashes"] = (3.0, 1.5 + 1.5 * layer)
            if t.size == 1:
                look["marker"] = "o"
            ax.step(t, widths[:, layer], where="post", label=f"layer {layer + 1}", **look)
        if np.isfinite(widths).any():
            most = max(1.0, float(np.nanmax(widths)))
            ax.set_ylim(-0.15 * most, (1.2 if layers == 1 else 1.75) * most)
        if layers > 1:
            lines = [line for line in ax.lines if str(line.get_label()).startswith("layer")]
            ax.legend(handles=lines, loc="upper left", ncols=layers, borderpad=0.0, handlelength=2.2)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=2))
    set_time_axis(ax, view)
