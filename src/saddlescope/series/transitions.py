"""Whether the loss itself shows a transition between two slow points.

Where a ReLU network slides along a kink, a solver's samples land on either side of it and |grad L| flickers between
two branches, neither of which is the speed of the motion: minima without end, while the loss only slows down. Between
two plateaus it must do more: fall at first slowly, then fast, then slowly again. That is asked of times and losses
alone, so it holds whatever the unit of t, and for a gradient that is estimated.
"""

import numpy as np
from numpy.typing import NDArray

# Parts of the fall between two points in which times are compared. A quarter shows the slightest bend; the finer ones
# find a plateau that a fast beginning and a long tail follow.
_PARTS = (1 / 4, 1 / 16, 1 / 64)
# A rise of p decades in speed is one of 2p in the rate of fall; a quarter of it must show in times averaged over a part
_SHOWN = 0.25
# Staying at an exponential saddle grows with the logarithm of the rise only: for rises above 0.35 decades this is asked
_ENOUGH = 1.5


def transition_shows(t: NDArray, loss: NDArray, i: int, j: int, rises: tuple[float, float], finest: float) -> bool:
    """Whether the loss lingers around sample `i`, falls faster, and (unless `j` is the last sample) lingers around `j`.

    It lingers if, for some width w (a part of the fall), it spends longer within w of the loss of the slow point, on
    one side, than in one of the next two bands of width w, by a factor 10^(rise / 2), at most 1.5.

    **Arguments:** `rises` of log10(speed) from `i` and from `j` to the maximum between them, decades; `finest`: the
    least difference of loss that means something; smaller w are left out, except a quarter of the fall.

    **Shapes:** `t`, `loss` `[time]`.
    """
    if not _lingers(t, loss, i, j, rises[0], finest):
        return False
    if j == t.size - 1:  # a run may stop anywhere
        return True
    return _lingers(-t[::-1], -loss[::-1], t.size - 1 - j, t.size - 1 - i, rises[1], finest)


def _lingers(t: NDArray, loss: NDArray, i: int, j: int, rise: float, finest: float) -> bool:
    if loss[j] >= loss[i]:  # no flow climbs; a noisy run that did has made no transition
        return False
    since = _visited_since(loss, i, loss[i] + _PARTS[0] * (loss[i] - loss[j]))
    t, depth, i = t[since : j + 1], loss[i] - loss[since : j + 1], i - since
    fall = depth[-1]
    factor = min(10 ** (2 * _SHOWN * rise), _ENOUGH)
    before, after = slice(0, i + 1), slice(i, None)
    for width in (part * fall for part in _PARTS if part == _PARTS[0] or part * fall >= finest):
        second, third = (_time_within(t[after], depth[after], k * width, (k + 1) * width) for k in (1, 2))
        here = max(
            _time_within(t[after], depth[after], -np.inf, width), _time_within(t[before], depth[before], -width, np.inf)
        )
        if here >= factor * min(second, third):
            return True
    return False


def _visited_since(loss: NDArray, i: int, high: float) -> int:
    """The last sample before `i` whose loss is above `high` (0 if none is), looked for in steps that double."""
    length = 16
    while True:
        start = max(i - length, 0)
        above = np.flatnonzero(loss[start:i] > high)
        if above.size or start == 0:
            return start + int(above[-1]) if above.size else 0
        length *= 2


def _time_within(t: NDArray, depth: NDArray, low: float, high: float) -> float:
    """Time spent with `low` <= depth < `high`, on straight lines between samples."""
    before, after = depth[:-1], depth[1:]
    change = after - before
    inside = np.clip(after, low, high) - np.clip(before, low, high)
    here = ((before >= low) & (before < high)).astype(float)  # a level stretch lies wholly in or out
    part = np.divide(inside, change, out=here, where=change != 0)
    return float(np.sum(part * np.diff(t)))
