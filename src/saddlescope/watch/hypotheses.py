"""The laws that could be behind what the layers have gained: each with the exit that it gives and a weight, and the quantiles of those.

Known are the gains and the sizes of the layers at the start. What is not known (`forecast.py`) is tried; each combination is weighted by its fit and by the spread of alpha over training runs.
"""

import numpy as np
from numpy.typing import NDArray

from .law import Laws, fit
from .turning import Turning

#: Parts of the past, in time, that are left out of a fit.
WINDOWS = (0.3, 0.45, 0.6, 0.75)
#: ln(alpha): spread over training runs (mean and standard deviation), and the values that are tried.
ALPHA_MEAN, ALPHA_SPREAD = 0.0, 0.7
ALPHAS = np.linspace(-2.4, 2.4, 25)
#: The smallest layer's part of its alpha: 0 where nothing is aligned with the task at the start, 1 for a product that starts aligned.
FRACTIONS = (0.0, 0.1, 0.4, 1.0)
#: How far the rate goes on growing where units still turn, as a power of what is left until they are aligned: not at all, half of the way, the whole of it.
SHARES = (0.0, 0.5, 1.0)
#: Independent errors in a fit (snapshots are correlated), and the part of the past by which the law itself may be off.
INDEPENDENT, LEAST_ERROR = 12.0, 0.003
#: Relative standard deviation of the remaining time that the spread does not contain.
MODEL_ERROR = 0.05
#: The interval holds the exit with this probability.
COVERAGE = 0.8
#: The interval's ends, as logarithms of time that remains, over those that the spread of hypotheses gives. Fitted so that 80 % of the exits are in, each
#: family of `in-the-wild` that had been looked at weighing the same; there each of them is scored with a width that was fitted on the others only.
WIDTH = 0.587
#: Snapshots in the shortest window; factor by which the gain must have grown over it.
LEAST_SNAPSHOTS, LEAST_GROWTH = 6, 1.5


class Abstention(Exception):
    """Why there is no forecast; never leaves this room."""


def hypotheses(
    tau: NDArray, gain: NDArray, sizes: NDArray, levels: list[float], lag: float, turning: Turning
) -> tuple[NDArray, NDArray, NDArray, NDArray, float]:
    r"""Remaining times (in tau), weights, orders, inertias of every combination; the relative error of the best fit.

    Momentum averages gradients over `lag` (in tau). Where r weights grow like $e^{xt}$, the fall $w \cdot g$ grows like $e^{rxt}$ and $w \cdot \dot w$ has the gradient of before, a mean of
    $e^{-(r-1)xs}$ over ages s: it is behind by a factor $1 + (r-1)\,x\,lag$, which is $\ln(\ldots)/(rx)$ in time. `inertia`: x lag at the exit.
    """
    times, weights, orders, inertia, errors = [], [], [], [], []
    smallest = int(np.argmin(sizes))
    alphas, fractions = (a.ravel() for a in np.meshgrid(np.exp(ALPHAS), FRACTIONS))
    drifts = np.full(alphas.size, turning.drift)
    least = fractions * alphas * sizes[smallest]
    gaps = np.maximum(alphas[:, None] * np.delete(sizes, smallest) - least[:, None], 0.0)
    prior = -0.5 * ((np.log(alphas) - ALPHA_MEAN) / ALPHA_SPREAD) ** 2
    end, grown = tau[-1], False
    for window in WINDOWS:
        chosen = (tau >= window * end) & (gain > 0)
        t, s = tau[chosen], gain[chosen]
        if np.unique(s).size < LEAST_SNAPSHOTS or s[-1] < LEAST_GROWTH * s[0]:
            continue
        grown = True
        laws, error = fit(t, s, gaps, least, drifts)
        if not np.any(np.isfinite(error)):
            continue
        errors.append(np.sqrt(error.min()) / end)
        log = prior - 0.5 * INDEPENDENT * error / (error.min() + (LEAST_ERROR * end) ** 2)
        weight = np.exp(log - log.max())
        kept = weight > 3e-4
        laws, weight = _continued(
            Laws(laws.rate[kept], gaps[kept], least[kept], drifts[kept], laws.until[kept]), weight[kept], s[-1], turning
        )
        ends = laws.gains_where(np.array(levels), s[-1])
        order = laws.orders(ends)
        growth = 0.5 * np.array(levels) / (ends + laws.least[:, None])
        behind = np.log1p(np.maximum(order - 1, 1) * growth * lag) / (np.maximum(order, 2) * growth)
        times.append((laws.times_from(s[-1], ends) - behind).ravel())
        weights.append(np.repeat(weight, len(levels)))
        orders.append(order.ravel())
        inertia.append((growth * lag).ravel())
    if not times:
        if grown:
            raise Abstention("no law of growth fits what the layers gained")
        raise Abstention(
            f"too little has been seen: the gain has not grown by a factor {LEAST_GROWTH:g} over {LEAST_SNAPSHOTS} snapshots"
        )
    if min(errors) > 0.05:
        raise Abstention(f"the law misses what the layers gained by {min(errors):.0%} of the time that has passed")
    found = (np.concatenate(each).astype(float) for each in (times, weights, orders, inertia))
    return *found, float(min(errors))


def _continued(laws: Laws, weights: NDArray, now: float, turning: Turning) -> tuple[Laws, NDArray]:
    """Each law once for every share of what the rate may still grow by, equally likely; the same laws where nothing turns."""
    if turning.drift <= 0:
        return laws, weights
    factors = np.exp(np.minimum(np.log(turning.to_go) * np.array(SHARES) / turning.drift, 700.0))
    until = np.concatenate([(laws.least + now) * factor for factor in factors])
    rate, gaps, least, drift = (np.concatenate([a] * len(SHARES)) for a in laws[:4])
    return Laws(rate, gaps, least, drift, until), np.concatenate([weights] * len(SHARES))


def quantiles(times: NDArray, weights: NDArray, width: float) -> tuple[float, float, float]:
    """Median and both ends of the interval of remaining times, each time spread by `MODEL_ERROR`; the ends are moved from the median by the power `width` of their ratio to it."""
    z = np.linspace(-2.2, 2.2, 15)
    spread = (times[:, None] * np.exp(MODEL_ERROR * np.sign(times[:, None]) * z)).ravel()
    weight = (weights[:, None] * np.exp(-0.5 * z**2)).ravel()
    order = np.argsort(spread)
    cumulative = np.cumsum(weight[order]) / weight.sum()
    tail = (1 - COVERAGE) / 2
    middle, low, high = (float(spread[order][np.searchsorted(cumulative, p)]) for p in (0.5, tail, 1 - tail))
    if middle > 0:
        low, high = middle * (max(low, 0.0) / middle) ** width, middle * (high / middle) ** width
    return middle, low, high
