"""Takes jumps out of log10(speed), so that a kink of the landscape is not read as the end of a plateau.

Where a ReLU unit switches a data point on or off, the gradient jumps and the loss does not. In a sampled series a jump
is an interval over which log10(speed) changes far more than the slopes on both sides explain. The beginning of a
sharp transition is not one: there the slope keeps growing, and the interval that follows is at least as steep. A whole
transition between two samples would look like one; but then the loss falls by more than the speeds shown explain.
"""

import numpy as np
from numpy.typing import NDArray

# intervals looked at on either side: a transition may peak between two samples and be steep in the next interval
_BESIDE = 2
# over a resolved interval the loss falls by less than the larger speed^2 x duration; 2 leaves room for a rounded peak
_UNSEEN = 2.0


def without_kinks(
    t: NDArray, log_speed: NDArray, noise: NDArray, resolved: NDArray, jump: float, ratio: float
) -> NDArray:
    """`log_speed` less the jumps accumulated so far.

    **Arguments:** `noise` is the least size of a jump set by noise, per sample; `resolved` from `resolved_intervals`;
    `jump` (decades) and `ratio` as `kink_jump` and `kink_ratio` of `PlateauConstants`. At duplicated times every
    change is a jump.

    **Shapes:** `[time]`, `resolved` `[time - 1]`; returns `[time]`, equal to `log_speed` up to the first jump.
    """
    change, duration = np.diff(log_speed), np.diff(t)
    event = duration <= 0
    jumps = np.where(event, change, 0.0)
    moving = np.flatnonzero(~event)
    if moving.size >= 3:
        size, step = np.abs(change[moving]), duration[moving]
        with np.errstate(over="ignore"):
            slope = size / step  # overflows to inf for adjacent floats near t = 0, which explains any jump
        large = size >= np.maximum(jump, np.maximum(noise[moving], noise[moving + 1]))
        steep = size > ratio * np.max(_beside(slope, -np.inf), axis=0) * step
        seen = resolved[moving] & np.all(_beside(resolved[moving], True), axis=0)
        kink = large & steep & seen
        kink[[0, -1]] = False  # nothing is known about the slope on their other side
        jumps[moving[kink]] = change[moving[kink]]
    return log_speed - np.concatenate([[0.0], np.cumsum(jumps)])


def resolved_intervals(t: NDArray, loss: NDArray, speed: NDArray, uncertainty: NDArray) -> NDArray:
    """Whether the loss falls, over each interval, by no more than the speeds at its ends explain (dL/dt = -speed^2).

    **Arguments:** `uncertainty` is what noise and rounding add to a loss, per sample. With t in a shorter unit than
    (learning rate) x (steps) every interval is resolved, in a longer one none may be.

    **Shapes:** four times `[time]`; returns booleans `[time - 1]`.
    """
    with np.errstate(over="ignore"):  # the speed of a diverging run
        explained = _UNSEEN * np.maximum(speed[:-1], speed[1:]) ** 2 * np.diff(t)
    return loss[:-1] - loss[1:] <= explained + np.maximum(uncertainty[:-1], uncertainty[1:])


def _beside(values: NDArray, missing) -> list[NDArray]:
    """`values` of the intervals one, two ... places before and after each; `missing` beyond the ends."""
    beside = []
    for k in range(1, _BESIDE + 1):
        absent = np.full(k, missing)
        beside += [np.concatenate([absent, values[:-k]]), np.concatenate([values[k:], absent])]
    return beside
