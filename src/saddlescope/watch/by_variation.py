"""The end of a plateau read off the probe's variation q alone, where norms or learning rates were not seen: $q^{-(r-2)/r}$ falls linearly to the exit (ln q grows so where r = 2)."""

from typing import NamedTuple

import numpy as np

from .hypotheses import INDEPENDENT, LEAST_GROWTH, LEAST_SNAPSHOTS, Abstention, quantiles
from .recording import Recording

#: Orders that are tried where only the probe's variation was seen, and sizes of it, in the unit of the output, that count as learned.
ORDERS, LEARNED = (2, 3, 4, 5), (0.1, 0.2, 0.4)


class ByVariation(NamedTuple):
    """Remaining steps: median and both ends of the interval; order; numbers."""

    middle: float
    low: float
    high: float
    order: int
    evidence: dict[str, float]


def from_variation(seen: Recording, step: int, width: float) -> ByVariation:
    """The plain law on q: every order, weighted by its fit, and a level that is only guessed.

    **Raises:** `Abstention`.
    """
    known = np.isfinite(seen.variation) & (seen.variation > 0)
    if known.sum() < LEAST_SNAPSHOTS + 2:
        raise Abstention(
            "neither the layers' norms and learning rate nor the probe's variation was seen: a loss alone does not show its end"
        )
    s, q = seen.step[known].astype(float), seen.variation[known]
    times: list[float] = []
    logs: list[float] = []
    orders: list[float] = []
    least_error = np.inf
    for window in (0.4, 0.6):
        chosen = s >= s[0] + window * (s[-1] - s[0])
        if chosen.sum() < LEAST_SNAPSHOTS or q[-1] < LEAST_GROWTH * q[chosen][0]:
            continue
        for r in ORDERS:
            power = -(r - 2) / r
            y = np.log(q[chosen]) if r == 2 else q[chosen] ** power
            slope, at_zero = np.polyfit(s[chosen], y, 1)
            error = float(np.mean(((y - slope * s[chosen] - at_zero) / np.ptp(y)) ** 2)) if np.ptp(y) > 0 else np.inf
            least_error = min(least_error, error)
            for learned in LEARNED:
                level = np.log(learned) if r == 2 else learned**power
                times.append((level - at_zero) / slope)
                logs.append(error)
                orders.append(r)
    if not times:
        raise Abstention(f"too little has been seen: the probe's variation has not grown by a factor {LEAST_GROWTH:g}")
    weights = np.exp(-0.5 * INDEPENDENT * np.array(logs) / (least_error + 1e-4))
    middle, low, high = quantiles(np.array(times) - step, weights, width)
    order = int(np.round(np.average(orders, weights=weights)))
    evidence = {"variation": float(q[-1]), "fit_error": float(np.sqrt(least_error))}
    return ByVariation(middle, low, high, order, evidence)
