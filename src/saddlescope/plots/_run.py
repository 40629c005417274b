"""One run on one page: what the loss did, how slowly, with how many units, and what the weights looked like
meanwhile."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import _curves, _reading, _style, _weights

MOST_PANELS = 6


def run_figure(record: xr.Dataset) -> Figure:
    """Draws a run.

    Left, on one time axis: the loss, with each plateau shaded and named by its effective width and kind, its height a
    thin level, its end a line (with an error bar where one is wide enough to be seen), the end that theory foretold a
    triangle on the time axis; the speed on a logarithmic
    axis with the slowest points; the effective width. Right: the first-layer weights at the start, on the plateaus
    and at the end, each panel at its own scale, which it says.

    **Arguments:** `record`, as `saddlescope.run` or `saddlescope.load` returns it. A run without stages, cut short,
    diverged or with a single snapshot is drawn with what it has.

    **Returns:** a matplotlib `Figure` that belongs to no window; `saddlescope.plots.save` writes it.
    """
    with _style.styled():
        moments, left_out = _chosen(_reading.moments(record))
        names = _reading.first_layer(record)
        columns = 1 if len(moments) <= 3 else 2
        weights = bool(moments and names)
        right_inches = (2.6, 4.0)[columns - 1] if weights else 0.0
        figure = _style.new_figure(6.2 + right_inches, 6.0)
        figure.suptitle(_style.plain(_reading.title(record)), fontsize=10.5, x=0.02, ha="left")
        left, *right = figure.subfigures(1, 2, width_ratios=(6.2, right_inches)) if weights else (figure,)
        _left(left, record)
        if weights:
            _right(right[0], record, moments, names, columns, left_out)
    return figure


def _left(figure, record: xr.Dataset) -> None:
    loss, speed, width = figure.subplots(3, 1, sharex=True, height_ratios=(3.0, 1.6, 1.0))
    _curves.draw_loss(loss, record)
    _curves.label_plateaus(loss, record, inches=5.0)
    _curves.label_heights(loss, record)
    _curves.draw_speed(speed, record)
    _curves.draw_effective_width(width, record)
    loss.set_ylabel(_style.LOSS_LABEL)
    speed.set_ylabel(_style.SPEED_LABEL)
    width.set_ylabel("effective\nwidth")
    t = np.asarray(record["t"].values, float)
    view = _curves.time_view(record)
    cut = f"; the run goes on to {_style.number(t[-1])}" if t.size and view[2] < t[-1] else ""
    stages = _reading.stages(record)
    marks = ["dots: slowest moments"] if stages else []
    if any(stage.predicted_end is not None for stage in stages):
        marks.append("triangles: ends that theory foretold")
    width.set_xlabel("\n".join([_style.T_LABEL + cut, *([", ".join(marks)] if marks else [])]))
    figure.align_ylabels()


def _right(figure, record, moments, names, columns: int, left_out: int) -> None:
    axes = figure.subplots(max(-(-len(moments) // columns), 2), columns, squeeze=False).ravel()
    for ax in axes[len(moments) :]:
        ax.set_visible(False)
    draw, caption = _drawer(record, names)
    if left_out:
        caption += f"\n{_style.count(left_out, 'more plateau')} not shown"
    figure.suptitle(caption, fontsize=7.5, color=_style.GREY)
    for ax, moment in zip(axes, moments, strict=False):
        scale = draw(ax, moment.snapshot)
        ax.set_title(
            f"{_style.plain(moment.name, 30)}\nt = {_style.number(moment.t)}{scale}", fontsize=8, linespacing=1.25
        )


def _drawer(record: xr.Dataset, names: tuple[str, ...]):
    """How these weights are drawn, a function of axes and snapshot, and a line that explains it."""
    head = "first-layer weights"
    if _weights.is_plane(record):
        directions = _weights.plane(record)

        def plane(ax: Axes, snapshot: int) -> str:
            _weights.draw_plane(ax, record, snapshot, directions)
            return ""

        rows = len(_reading.rows(record, names[0], 0))
        what = "a point a unit" if len(names) == 1 else "keys filled, queries hollow"
        if rows > _weights.MOST_POINTS:
            what += f", {_weights.MOST_POINTS} of {rows}"
        return plane, f"{head}: {what}\neach panel has its own scale"
    inputs = _reading.rows(record, names[0], 0).shape[1]
    if _reading.is_digits(record) and inputs in (64, 784):

        def pictures(ax: Axes, snapshot: int) -> str:
            return f"\n{_weights.draw_pictures(ax, record, snapshot, names[0])}"

        return pictures, f"{head}: two leading\nright singular vectors and singular values"

    def matrix(ax: Axes, snapshot: int) -> str:
        return f", {_weights.draw_matrix(ax, record, snapshot)}"

    return matrix, f"{head}\nred positive, blue negative\n{_weights.matrix_caption(record)}"


def _chosen(moments: tuple[_reading.Moment, ...]) -> tuple[tuple[_reading.Moment, ...], int]:
    """At most `MOST_PANELS` moments, the last always among them, and how many plateaus that leaves out."""
    if len(moments) <= MOST_PANELS:
        return moments, 0
    return (*moments[: MOST_PANELS - 1], moments[-1]), len(moments) - MOST_PANELS
