"""First-layer weights as a reader can see through them: points of a plane where they have two coordinates, pictures
where the inputs are pictures, and otherwise the matrix itself.
"""

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator
from scipy.linalg import eigh

from . import _reading, _style

MOST_UNITS, MOST_INPUTS, MOST_POINTS = 60, 100, 5000  # more would be thinner than a printed line, or only a cloud


def is_plane(record: xr.Dataset) -> bool:
    """Whether the first-layer weights have two coordinates."""
    names = _reading.first_layer(record)
    return bool(names) and all(_reading.rows(record, name, 0).shape[1] == 2 for name in names)


def plane(record: xr.Dataset) -> Float[np.ndarray, "inputs 2"]:
    """Two directions to look along, the same for keys and queries: the coordinates if there are two, else the last
    snapshot's two leading right singular directions, the sign such that the largest entry is positive."""
    last = np.concatenate([_reading.rows(record, name, -1) for name in _reading.first_layer(record)])
    inputs = last.shape[1]
    if inputs <= 2:
        return np.eye(inputs, 2)
    right = leading(last, 2)[1]
    return np.pad(right.T, ((0, 0), (0, 2 - len(right))))


def points(record: xr.Dataset, snapshot: int, directions: np.ndarray) -> dict[str, Float[np.ndarray, "rows 2"]]:
    """The rows of each first-layer weight seen along `directions`, at most `MOST_POINTS` of them, evenly picked."""
    seen = {}
    for name in _reading.first_layer(record):
        array = _reading.rows(record, name, snapshot)
        if len(array) > MOST_POINTS:
            array = array[np.linspace(0, len(array) - 1, MOST_POINTS).astype(int)]
        seen[name] = array @ directions
    return seen


def largest_units(array: Float[np.ndarray, "rows inputs"]) -> Int[np.ndarray, " rows"]:
    """Rows in the order of their norm, the largest first."""
    return np.argsort(-np.linalg.norm(np.nan_to_num(array), axis=1), kind="stable")


def leading(matrix: Float[np.ndarray, "rows inputs"], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The leading singular values and right singular vectors, each vector's largest entry positive."""
    # through the smaller of the two Gram matrices: half the digits, which no eye sees, in a quarter of the time
    matrix = np.nan_to_num(matrix)
    tall = matrix.shape[0] >= matrix.shape[1]
    gram = matrix.T @ matrix if tall else matrix @ matrix.T
    first = max(len(gram) - count, 0)
    squares, vectors = eigh(gram, subset_by_index=[first, len(gram) - 1])
    values = np.sqrt(np.maximum(squares[::-1], 0.0))
    right = vectors.T[::-1] if tall else vectors.T[::-1] @ matrix / np.where(values > 0, values, 1.0)[:, None]
    largest = np.take_along_axis(right, np.argmax(np.abs(right), axis=1)[:, None], axis=1)
    return values, right * np.where(largest < 0, -1.0, 1.0)


def marker(index: int) -> dict[str, Any]:
    """Filled for units and keys, hollow for queries."""
    if index == 0:
        return {"facecolor": _style.BLUE, "edgecolor": "none", "alpha": 0.7}
    return {"facecolor": "none", "edgecolor": _style.VERMILLION, "linewidth": 1.0}


def set_plane(ax: Axes, extent: float) -> None:
    """A square about the origin that holds ± `extent`, ticks at the origin and at a round number, which say the
    scale."""
    extent = extent if np.isfinite(extent) and extent > 0 else 1.0
    limit = 1.18 * extent
    _style.blank(ax)
    ax.axhline(0.0, color="#DDDDDD", linewidth=0.6, zorder=0)
    ax.axvline(0.0, color="#DDDDDD", linewidth=0.6, zorder=0)
    ax.set_xlim(-limit, limit)
    ax.set_ylim(-limit, limit)
    ax.set_aspect("equal")
    decade = 10.0 ** np.floor(np.log10(extent))
    tick = max(step * decade for step in (1, 2, 5) if step * decade <= extent * (1 + 1e-12))
    ax.xaxis.set_major_locator(FixedLocator([-tick, 0.0, tick]))
    ax.yaxis.set_major_locator(FixedLocator([-tick, 0.0, tick]))
    ax.set_xticklabels([_style.number(-tick), "0", _style.number(tick)])
    ax.set_yticklabels([])
    ax.tick_params(length=2, labelsize=6.5, pad=1.5)


def draw_plane(ax: Axes, record: xr.Dataset, snapshot: int, directions: np.ndarray, *, size: float = 14.0) -> None:
    """A scatter of the units, square about the origin, at this snapshot's own scale; what is not finite is left out."""
    extent = 0.0
    for i, (name, xy) in enumerate(points(record, snapshot, directions).items()):
        ax.scatter(
            xy[:, 0], xy[:, 1], s=point_size(size, len(xy), i), zorder=2 + i, label=name.rpartition(".")[2], **marker(i)
        )
        extent = max(extent, float(np.abs(xy).max(initial=0.0, where=np.isfinite(xy))))
    set_plane(ax, extent)


def point_size(size: float, count: int, index: int) -> float:
    """Smaller in a crowd; a query's ring goes around its key's point."""
    return size * (1 + index) * min(1.0, max(0.2, 150 / max(count, 1)))


def draw_matrix(ax: Axes, record: xr.Dataset, snapshot: int) -> str:
    """The matrix units x inputs, the largest of each at the end of the run in every panel, keys and queries side by side;
    returns the scale."""
    names = _reading.first_layer(record)
    units = largest_units(np.hstack([_reading.rows(record, name, -1) for name in names]))[:MOST_UNITS]
    blocks = []
    for name in names:
        sizes = np.linalg.norm(np.nan_to_num(_reading.rows(record, name, -1)), axis=0)
        inputs = np.sort(np.argsort(-sizes, kind="stable")[:MOST_INPUTS])
        block = _reading.rows(record, name, snapshot)[np.ix_(units, inputs)]
        gap = np.full((len(units), max(1, len(inputs) // 20)), np.nan)
        blocks += [block, gap]
    shown = np.hstack(blocks[:-1])
    scale = float(np.abs(shown).max(initial=0.0, where=np.isfinite(shown))) or 1.0
    ax.imshow(shown / scale, cmap=_style.SIGNED, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    _style.blank(ax)
    return f"±{_style.number(scale)}"


def matrix_caption(record: xr.Dataset) -> str:
    """What the matrices show, and what they leave out."""
    names = _reading.first_layer(record)
    units, inputs = _reading.rows(record, names[0], -1).shape
    down = f"{MOST_UNITS} largest of {units} units" if units > MOST_UNITS else f"{_style.count(units, 'unit')}"
    across = f"{MOST_INPUTS} largest of {inputs} inputs" if inputs > MOST_INPUTS else _style.count(inputs, "input")
    return f"down: {down}, by size\nacross: {across}{' of key, then query' if len(names) > 1 else ''}"


def draw_pictures(ax: Axes, record: xr.Dataset, snapshot: int, name: str) -> str:
    """The two leading right singular vectors as pictures, side by side; returns their singular values."""
    values, right = leading(_reading.rows(record, name, snapshot), 2)
    side = round(right.shape[1] ** 0.5)
    pictures = [(one / (np.abs(one).max() or 1.0)).reshape(side, side) for one in right]
    gap = np.full((side, max(1, side // 14)), np.nan)
    ax.imshow(
        np.hstack([pictures[0], *(p for q in pictures[1:] for p in (gap, q))]), cmap=_style.SIGNED, vmin=-1, vmax=1
    )
    ax.set_axis_off()
    return "values " + ", ".join(_style.number(value) for value in values)
