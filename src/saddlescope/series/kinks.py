"""Takes jumps out of log10(speed), so that a kink of the landscape is not read as the end of a plateau.

Where a ReLU unit switches a data point on or off, the gradient jumps and the loss does not. In a sampled series a jump
is an interval over which log10(speed) changes far more than the slopes on both sides explain. The beginning of a
sharp transition is not one: there the slope keeps growing, and the interval that follows is at least as steep. A whole
transition of which one sample was taken would look like one, were it not for its size.
"""

import numpy as np
from numpy.typing import NDArray

# intervals looked at on either side: a transition may peak between two samples and be steep in the next interval
_BESIDE = 2
# A kink changes the share that one unit has in one sample's gradient; more decades at once are a transition of which
# one sample was seen. At duplicated times nobody needs to guess.
_LARGEST = 1.0


def without_kinks(t: NDArray, log_speed: NDArray, noise: NDArray, jump: float, ratio: float) -> NDArray:
    """`log_speed` less the jumps accumulated so far.

    **Arguments:** `noise` is the least size of a jump set by noise, per sample; `jump` (decades) and `ratio` as `kink_jump`
    and `kink_ratio` of `PlateauConstants`. At duplicated times every change is a jump.

    **Shapes:** all `[time]`; returns `[time]`, equal to `log_speed` up to the first jump.
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
        large &= size <= _LARGEST
        steep = size > ratio * np.max(_beside(slope), axis=0) * step
        kink = large & steep
        kink[[0, -1]] = False  # nothing is known about the slope on their other side
        jumps[moving[kink]] = change[moving[kink]]
    return log_speed - np.concatenate([[0.0], np.cumsum(jumps)])


def _beside(slope: NDArray) -> list[NDArray]:
    """The slopes one, two ... intervals before and after each; -inf beyond the ends."""
    beside = []
    for k in range(1, _BESIDE + 1):
        absent = np.full(k, -np.inf)
        beside += [np.concatenate([absent, slope[:-k]]), np.concatenate([slope[k:], absent])]
    return beside
