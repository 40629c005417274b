r"""Whether units still turn towards the task, read off the probe: then the rate of the law still grows.

The rate C of the law (`law.py`) is how much of what the leading path computes lies along the slope of the loss. While f is small the loss falls by $\tfrac12 \dot S = \langle f, \delta\rangle$, with $\delta$
the slope of the loss at f = 0, so that

$$\cos = \frac{\tfrac12\dot S}{q\,\lvert\delta\rvert}$$

is the alignment of what the network has learned with what it should; q is that of the probe, without the part that random weights began with (they know nothing of the task: the two add in squares).
Where one direction leads, cos stands still. Where units turn while they are small (ReLU units towards a parity, heads towards a context), C grows with it,
as a power of the gain: $C \propto S^{\kappa}$, with $\kappa = d\ln\cos / d\ln S$. It cannot go on for longer than cos is below 1.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Parts of the past, in time, that are compared.
PARTS = ((0.5, 0.75), (0.75, 1.0))
#: A drift that says that units still turn. Measured where the law holds: 0.09 at most.
TURNS = 0.1
#: What cos is taken to be where the slope was not seen, and the least of it.
UNKNOWN, LEAST = 0.5, 0.03


class Turning(NamedTuple):
    """`drift` kappa >= 0; `aligned`: the cosine now, NaN where it was not seen."""

    drift: float
    aligned: float

    @property
    def to_go(self) -> float:
        """By what factor the rate can still grow."""
        return 1 / (np.clip(self.aligned, LEAST, 1.0) if np.isfinite(self.aligned) else UNKNOWN)


def turning(tau: NDArray, gain: NDArray, variation: NDArray, slope: float) -> Turning:
    """The drift of the rate, from times, gains and q of the snapshots since the gain began.

    **Arguments:** `slope`: the fall of the loss for each unit of q if all of f lay along it; NaN where it was not seen.

    **Returns:** no drift where q was not seen, or too seldom.
    """
    nothing = Turning(0.0, np.nan)
    if not variation.size or not np.isfinite(variation[0]):
        return nothing
    with np.errstate(invalid="ignore"):
        learned = np.sqrt(np.maximum(variation**2 - variation[0] ** 2, 0.0))
    known = np.isfinite(learned) & (learned > 0) & (gain > 0)
    tau, gain, learned = tau[known], gain[known], learned[known]
    logs = []
    for low, high in PARTS:
        inside = (tau >= low * tau[-1]) & (tau <= high * tau[-1]) if tau.size else np.zeros(0, bool)
        if inside.sum() < 3:
            return nothing
        rate = float(np.polyfit(tau[inside], gain[inside], 1)[0])
        if rate <= 0:
            return nothing
        logs.append((np.log(rate / 2 / learned[inside].mean()), np.log(gain[inside].mean())))
    (before, small), (now, large) = logs
    drift = max(float((now - before) / (large - small)), 0.0) if large > small else 0.0
    # means over a part of the past, carried on to now
    return Turning(drift, float(np.exp(now + drift * (np.log(gain[-1]) - large)) / slope))
