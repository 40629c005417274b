"""Local minima of a sampled curve and how far the curve rises around each: its persistence.

A minimum's persistence is the height that must be climbed from it, on the easier side, before a lower sample is
reached (Edelsbrunner, Letscher & Zomorodian 2002). Where no lower sample exists on one side, the highest one up to the
end of the series counts, as in topographic prominence: the series does not show what lies beyond.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Minima:
    """Local minima, in order, the two ends of the series included.

    `index` [minima]; `left`, `right` [minima]: the rise on either side before a lower sample (of equal ones the first
    is the lower), or up to the end of the series. At an end itself the rise outwards is 0.
    """

    index: NDArray
    left: NDArray
    right: NDArray


def find_minima(values: NDArray) -> Minima:
    """All local minima of `values` `[time]`; of a flat bottom the first sample. Linear in the number of samples."""
    turns = _turning_points(values)
    lowest = turns[_is_minimum(values, turns)]
    heights = values[lowest]
    bounds = np.concatenate([[0], lowest, [values.size - 1]])
    peaks = np.array([values[a : b + 1].max() for a, b in pairwise(bounds)])
    right = _climb(heights, peaks[1:], stop_at_equal=False) - heights
    left = _climb(heights[::-1], peaks[:-1][::-1], stop_at_equal=True)[::-1] - heights
    return Minima(lowest, left, right)


def _turning_points(values: NDArray) -> NDArray:
    """Indices where the direction changes, the first sample of each flat stretch standing for it; both ends."""
    moving = np.concatenate([[0], np.flatnonzero(np.diff(values) != 0) + 1])  # first sample of each flat stretch
    direction = np.sign(np.diff(values[moving]))
    inner = np.flatnonzero(direction[1:] != direction[:-1]) + 1
    return moving[np.unique(np.concatenate([[0], inner, [moving.size - 1]]))]


def _is_minimum(values: NDArray, turns: NDArray) -> NDArray:
    heights = values[turns]
    before = np.concatenate([[np.inf], heights[:-1]])
    after = np.concatenate([heights[1:], [np.inf]])
    return (heights <= before) & (heights <= after)


def _climb(heights: NDArray, peaks: NDArray, *, stop_at_equal: bool) -> NDArray:
    """Highest peak between each minimum and the next lower one to its right; `peaks[k]` follows minimum k."""
    heights, peaks = heights.tolist(), peaks.tolist()
    count = len(heights)
    following = [count] * count  # the next lower minimum; jumping along these makes the loop linear
    top = list(peaks)
    for k in range(count - 1, -1, -1):
        j = k + 1
        while j < count and (heights[j] > heights[k] or (heights[j] == heights[k] and not stop_at_equal)):
            top[k] = max(top[k], top[j])
            j = following[j]
        following[k] = j
    return np.array(top)
