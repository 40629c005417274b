"""Many small numbers at one look: a row a case, a dot a seed, and a line that says what counts as zero."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from . import _style

#: Where zero is drawn on an axis that has none, and the smallest range shown.
FLOOR = 1e-17
HIGHEST = 1e2
ROW, HEAD, EDGES = 0.155, 0.36, 1.0  # inches: a row, what a group needs besides, and above and below all of them


class Strip(NamedTuple):
    """One row: its `label`, a value for each seed (None where there is none), whether the theorem's assumptions hold, and whether it holds without."""

    label: str
    values: Sequence[float | None]
    assumed: bool
    still: bool = False


def strips(
    columns: Sequence[Mapping[str, Sequence[Strip]]],
    label: str,
    line: float,
    *,
    assumed: str = "assumptions hold",
    dropped: str = "one is dropped: breaks",
    still: str = "one is dropped: still holds",
) -> Figure:
    """Draws one dot a seed on a logarithmic axis: blue circles where the assumptions hold, orange diamonds where one is
    dropped (hollow ones where that makes no difference), and a dashed line at `line`, below which a number counts as zero.

    **Arguments:**

    - `columns`: one or more, side by side, each with groups from title to rows.
    - `label`: of the axis. `assumed`, `dropped`, `still`: words for the three markers.

    Zero is drawn at 1e-17, infinity at the right end.

    **Returns:** a matplotlib `Figure`.

    **Raises:** `ValueError` if there is no row.
    """
    counts = [[len(rows) for rows in groups.values()] for groups in columns]
    if not sum(map(sum, counts)):
        raise ValueError("strips needs at least one row: the columns it was given are empty.")
    values = [v for groups in columns for rows in groups.values() for row in rows for v in row.values if v is not None]
    finite = [v for v in values if np.isfinite(v)]
    right = max(HIGHEST, 3 * max(finite, default=1.0))
    with _style.styled():
        height = max(ROW * sum(c) + HEAD * len(c) for c in counts) + EDGES
        figure = _style.new_figure(3.75 * len(columns), height)
        parts = figure.subfigures(1, len(columns), squeeze=False)[0]
        for part, groups, count in zip(parts, columns, counts, strict=True):
            # a group of few rows still needs room for its title
            axes = part.subplots(len(count), 1, squeeze=False, height_ratios=[n + HEAD / ROW for n in count])[:, 0]
            for ax, (title, rows) in zip(axes, groups.items(), strict=True):
                _group(ax, title, rows, line, right)
                ax.tick_params(labelbottom=ax is axes[-1])
            axes[-1].set_xlabel(label, loc="right")
        handles = [
            Line2D([], [], linestyle="none", label=words, **_marker(*kind))
            for words, kind in ((assumed, (True, True)), (dropped, (False, False)), (still, (False, True)))
        ]
        handles.append(
            Line2D(
                [],
                [],
                color=_style.INK,
                linewidth=0.9,
                linestyle=(0, (4, 2)),
                label=f"{_style.number(line)}: zero to rounding",
            )
        )
        figure.legend(
            handles=handles, loc="outside upper center", ncols=4, handletextpad=0.4, columnspacing=1.4, fontsize=7.5
        )
    return figure


def _marker(assumed: bool, still: bool) -> dict:
    if assumed:
        return {
            "marker": "o",
            "markersize": 3.6,
            "markerfacecolor": _style.BLUE,
            "markeredgecolor": "none",
            "alpha": 0.75,
        }
    return {
        "marker": "D",
        "markersize": 3.4,
        "markerfacecolor": "white" if still else _style.ORANGE,
        "markeredgecolor": _style.OCHRE,
        "markeredgewidth": 0.8 if still else 0.5,
    }


def _group(ax: Axes, title: str, rows: Sequence[Strip], line: float, right: float) -> None:
    ax.set_title(_style.plain(title, 60), loc="left", fontsize=8.5, fontweight="bold", pad=3)
    for place, row in enumerate(rows):
        known = np.array([v for v in row.values if v is not None and not np.isnan(v)])
        shown = np.clip(known, FLOOR, right)
        ax.plot(
            shown,
            np.full(shown.shape, place),
            linestyle="none",
            clip_on=False,
            zorder=3,
            **_marker(row.assumed, row.still),
        )
    ax.axvline(line, color=_style.INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    ax.hlines(np.arange(len(rows)), FLOOR, right, color="#E4E4E4", linewidth=0.6, zorder=0)
    ax.set_xscale("log")
    ax.set_xlim(FLOOR / 2, right)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), [_style.plain(row.label, 60) for row in rows], fontsize=7.0)
    for tick, row in zip(ax.get_yticklabels(), rows, strict=True):
        tick.set_color(_style.INK if row.assumed else _style.OCHRE)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ticks = [FLOOR, *(10.0**n for n in range(-13, 40, 6) if 10.0**n <= right)]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(FixedLocator([]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: "0" if x <= FLOOR else _style.number(x)))
