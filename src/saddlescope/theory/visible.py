"""How much smaller the initial weights would have to be for a merged plateau to show."""

from collections.abc import Callable

import numpy as np

#: The scale is found to this factor.
SCALE_RATIO = 1.25


def visible_factor(shows: Callable[[float], bool], smaller: Callable[[float], float], least: float) -> float | None:
    """The factor by which initial weights become small enough for a plateau to show, from below; None below `least`.

    **Arguments:**

    - `shows`: whether it does with all weights times a factor; it does not at 1, and wherever it does it also does below.
    - `smaller`: the next factor to look at after one at which it does not, looking for any.
    """
    high, low = 1.0, smaller(1.0)
    while not shows(low):
        high, low = low, smaller(low)
        if low < least:
            return None
    while high / low > SCALE_RATIO:
        middle = float(np.sqrt(high * low))
        high, low = (high, middle) if shows(middle) else (middle, low)
    return low


def root_mean_square(arrays) -> float:
    """Of all weights."""
    arrays = [np.asarray(a) for a in arrays]
    # relative to the largest, so that no square leaves 64 bits
    largest = max((float(np.max(np.abs(a), initial=0.0)) for a in arrays), default=0.0) or 1.0
    return largest * float(np.sqrt(sum(np.sum((a / largest) ** 2) for a in arrays) / sum(a.size for a in arrays)))
