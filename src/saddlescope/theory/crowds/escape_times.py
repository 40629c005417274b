r"""The exact time at which one unit that is a quadratic form runs away in a residual that does not change.

With one output weight, $\dot v = u^\top Q u$ and $\dot u = 2 v\, Q u$. In the eigenbasis of $Q$ and with $\tau = \int v\, dt$ this is
$u_k = u_{k0}\, e^{2\mu_k\tau}$ and $v^2 = F(\tau) = v_0^2 + \frac12\sum_k u_{k0}^2 (e^{4\mu_k\tau} - 1)$, a convex $F$, so the unit runs away at
$T = \int_0^{\pm\infty} d\tau / \sqrt F$.

Where $F$ is negative the unit cannot go: it turns back from such an interval and runs away on its own side of it.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

#: Gauss-Legendre nodes on each panel, and the panels' edges in x, from either end.
NODES = 16
NEAR_START, NEAR_END = (0.0, 4.0, 30.0), (100.0, 80.0, 40.0, 0.0)
#: Newton's steps to a root of a convex function, from the side where it converges without overshooting.
STEPS = 100
#: What is left out at infinity, relative to the whole.
TAIL = 1e-17
#: exp of more overflows
LARGEST = 700.0
#: Rates below this part of the largest are rounding of zero.
FLAT = 1e-13


class EscapeTimes(NamedTuple):
    """`times` [units], infinite for a unit that never runs away; `sides` [units]: the sign that its output weight ends with."""

    times: np.ndarray
    sides: np.ndarray


def escape_times(matrix: np.ndarray, u: np.ndarray, v: np.ndarray) -> EscapeTimes:
    r"""Blow-up times of single units, all at once.

    **Arguments:**

    - `matrix` [weights, weights]: Q, symmetric. `u` [units, weights], `v` [units]: initial weights.

    **Holds** exactly for $\dot v = u^\top Q u$, $\dot u = 2 v Q u$, to 1e-11 of the time by quadrature.
    """
    mu, basis = np.linalg.eigh(matrix)
    top = float(np.max(np.abs(mu), initial=0.0))
    v = np.asarray(v, np.float64)
    if top == 0.0 or len(v) == 0:
        return EscapeTimes(np.full(len(v), np.inf), np.sign(v))
    rate = np.broadcast_to(mu / top, u.shape)  # x = 4 top tau is the variable from here on
    half = 0.5 * (u @ basis) ** 2
    half = np.where(np.abs(rate) > FLAT, half, 0.0)

    up, down = (np.sum(np.where(sign * rate > 0, half, 0.0), axis=1) > 0 for sign in (1, -1))
    place = np.where(up, -np.inf, np.inf)
    place[up & down] = _minimum(half[up & down], rate[up & down])
    at_rest = v**2 - half.sum(axis=1)  # of F, where all exponentials have died
    lowest = np.where(up & down, v**2 + np.sum(half * np.expm1(_times(rate, place)), axis=1), at_rest)
    barred = (lowest < 0) & (up | down)
    side = np.where(barred, np.where(place < 0, 1.0, -1.0), np.sign(v))

    # reflected, every unit runs away towards +infinity
    rate, place, inward = side[:, None] * rate, side * place, side * v < 0
    runs = (np.sum(np.where(rate > 0, half, 0.0), axis=1) > 0) & (side != 0)
    found = np.full(len(v), np.inf)
    for chosen, method in ((barred & runs, _from_turning_point), (~barred & runs, _over_the_dip)):
        if np.any(chosen):
            found[chosen] = method(half[chosen], rate[chosen], v[chosen] ** 2, place[chosen], inward[chosen])
    return EscapeTimes(found / (4 * top), side)


def _times(rate: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.minimum(rate * np.where(np.isfinite(x), x, 0.0)[:, None], LARGEST)


def _minimum(half: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Where F' = 0: log of its growing part minus log of its falling part rises with a slope between 2 x the smallest rate and 2."""

    def log_sum(x, sign):
        with np.errstate(divide="ignore"):
            terms = np.where(sign * rate > 0, np.log(half * np.abs(rate)), -np.inf) + rate * x[:, None]
        most = np.max(terms, axis=1)
        return most + np.log(np.sum(np.exp(terms - np.where(np.isfinite(most), most, 0.0)[:, None]), axis=1))

    def excess(x):
        with np.errstate(all="ignore"):
            return np.nan_to_num(log_sum(x, 1) - log_sum(x, -1))

    slope = np.min(np.where((half > 0) & (rate != 0), np.abs(rate), 1.0), axis=1)
    reach = np.abs(excess(np.zeros(len(half)))) / slope
    low, high = -reach, reach
    for _ in range(60):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def _farthest(half: np.ndarray, rate: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Where so little of the integral is left that it does not count: each growing direction alone gives a bound."""
    size = np.sqrt(square + half.sum(axis=1))[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = 2 / rate * np.log(2 * size / (TAIL * rate * np.sqrt(half)))
    return np.min(np.where((rate > 0) & (half > 0), bound, np.inf), axis=1)


def _integral(integrand, low: np.ndarray, high: np.ndarray, variable) -> np.ndarray:
    """Panels whose edges, in x, stand close at both ends: fast directions die away near the start, and take over near the end."""
    edges = np.concatenate([low + np.array(NEAR_START)[:, None], high - np.array(NEAR_END)[:, None]])
    edges = variable(np.sort(np.clip(edges, low, np.maximum(high, low)), axis=0))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    total = np.zeros(len(low))
    for left, right in pairwise(edges):
        if np.all(right == left):
            continue
        for node, weight in zip(nodes, weights, strict=True):
            total += weight / 2 * (right - left) * integrand(left + (right - left) * (1 + node) / 2)
    return total


def _from_turning_point(half, rate, square, place, inward) -> np.ndarray:
    r"""F has a root on the left, at or behind the start: with $x = x^* + 2 b \sinh^2(s/2)$ the integrand is smooth in s."""
    offset = np.zeros(len(square))  # of the start from the root
    for _ in range(STEPS):
        factors = half * np.exp(np.minimum(-rate * offset[:, None], LARGEST))
        value = square + np.sum(half * np.expm1(np.minimum(-rate * offset[:, None], LARGEST)), axis=1)
        slope = np.sum(factors * rate, axis=1)
        step = np.divide(value, slope, out=np.zeros_like(value), where=slope > 0)
        offset = offset + np.maximum(step, 0.0)
        if np.all(step <= 1e-16 * offset):
            break
    factors = half * np.exp(np.minimum(-rate * offset[:, None], LARGEST))
    b = np.minimum(np.where(np.isfinite(place), -offset - place, 1.0), 1.0)
    b = np.maximum(b, 1e-30)

    def integrand(s):
        d = 2 * b * np.sinh(s / 2) ** 2
        value = np.sum(factors * np.expm1(np.minimum(rate * d[:, None], LARGEST)), axis=1)
        return np.divide(b * np.sinh(s), np.sqrt(np.maximum(value, 0.0)), out=np.zeros_like(s), where=value > 0)

    def variable(d):
        return 2 * np.arcsinh(np.sqrt(d / (2 * b)))

    total = _integral(integrand, offset, _farthest(half, rate, square) + offset, variable)
    if np.any(inward):  # to the turning point and back to where it started
        total += np.where(inward, 2 * _integral(integrand, np.zeros_like(offset), offset, variable), 0.0)
    return total


def _over_the_dip(half, rate, square, place, inward) -> np.ndarray:
    r"""F is positive throughout: with $x = x_0 + b \sinh s$ around its minimum the integrand is smooth however shallow that is."""
    centre = np.where(np.isfinite(place), place, 0.0)
    factors = half * np.exp(np.minimum(rate * centre[:, None], LARGEST))
    value = square + np.sum(half * np.expm1(np.minimum(rate * centre[:, None], LARGEST)), axis=1)
    slope, bend = np.sum(factors * rate, axis=1), np.sum(factors * rate**2, axis=1)
    b = np.where(np.isfinite(place), np.sqrt(2 * np.maximum(value, 0.0) / bend), 1.0)
    b = np.clip(b, 1e-30, 1.0)

    def integrand(s):
        d = b * np.sinh(s)
        x = np.minimum(rate * d[:, None], LARGEST)
        rest = np.where(np.abs(x) < 1e-4, x**2 / 2 * (1 + x / 3), np.expm1(x) - x)
        height = value + slope * d + np.sum(factors * rest, axis=1)
        return np.divide(b * np.cosh(s), np.sqrt(np.maximum(height, 0.0)), out=np.zeros_like(s), where=height > 0)

    return _integral(integrand, -centre, _farthest(half, rate, square) - centre, lambda d: np.arcsinh(d / b))
