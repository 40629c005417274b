r"""How a homogeneous network leaves the saddle at the origin, in one number: what its layers have gained.

For layers of degree 1 each, gradient flow gives every layer the same gain of squared norm, $S = \lVert W_l\rVert^2 - \lVert W_l(0)\rVert^2$, exactly (by Euler's
identity $\tfrac{d}{d\tau}\lVert W_l\rVert^2 = -2\langle W_l, \nabla_l L\rangle$ is the same for all; Du, Hu & Lee 2018). While f is small that rate is twice the
fall of the loss, and once one direction leads,

$$\dot S = C \prod_l \sqrt{A_l + S} = C\,|u| \prod_{l \ne m} \sqrt{u^2 + d_l}, \qquad u^2 = A_m + S,\quad d_l = A_l - A_m,$$

where $A_l$ is the part of $\lVert W_l(0)\rVert^2$ that lies in the leading path and m the layer with the smallest. It is the motion of a product of scalars, whose
differences of squares are conserved. From weights that know nothing of the task, u starts near 0 (the network is as likely to be against the target as for it), so that S
grows at first like a square of time. Equal layers with $S \gg A_l$ give $S^{-(L-2)/2}$, and $q^{-(L-2)/L}$, falling linearly to zero at the exit, or
for L = 2 $\ln q$ growing linearly. Layers whose $A_l$ is larger than what will be learned are constants: the order of the saddle is the number of the others.

Where units still turn towards the task C grows with what has been gained, here like $u^{2\kappa}$ until u^2 is `until` (`turning.py`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Points of the table from which the integral over u is read: its error is then below 1e-4 of the whole.
_POINTS = 240
#: No gain is looked for that is more times larger than what has been gained.
_FARTHEST = 1e10


class Laws(NamedTuple):
    """Several laws at once, one a row: `rate` C at u = 1 [laws]; `gaps` d_l [laws, layers - 1] of all layers but the smallest; `least` A_m of the smallest [laws]; `drift` kappa [laws], as long as u^2 is below `until` [laws]."""

    rate: NDArray
    gaps: NDArray
    least: NDArray
    drift: NDArray
    until: NDArray

    @classmethod
    def steady(cls, rate: NDArray, gaps: NDArray, least: NDArray) -> "Laws":
        """Laws whose rate does not drift."""
        return cls(rate, gaps, least, np.zeros_like(least), np.full_like(least, np.inf))

    def growth(self, gain: NDArray) -> NDArray:
        """dS/dtau at gains S [laws, any], each at least -A_m."""
        u = np.sqrt(np.maximum(self.least[:, None] + gain, 0.0))
        return self.rate[:, None] * u * _drifted(u, self.drift, self.until) * np.exp(0.5 * _log_product(u, self.gaps))

    def gains_where(self, levels: NDArray, now: float) -> NDArray:
        """The gains S >= `now` > 0 at which dS/dtau reaches each of the levels, [laws, levels]: `now` where it has.

        It grows with S like a power between 1/2 and half the layers, which is read off a table in logarithms: to 1e-3.
        """
        grid = now * np.geomspace(1.0, _FARTHEST, _POINTS)
        growths = np.log(self.growth(np.broadcast_to(grid, (self.rate.size, _POINTS))))
        return np.exp(np.stack([np.interp(np.log(levels), row, np.log(grid)) for row in growths]))

    def times_from(self, first: float, last: NDArray) -> NDArray:
        """The times from gain `first` to gains `last` [laws, any] >= `first`."""
        start = np.sqrt(np.maximum(self.least + first, 0.0))
        ends = np.sqrt(np.maximum(self.least[:, None] + last, 0.0))
        return elapsed(ends, start, self.gaps, self.drift, self.until) / self.rate[:, None]

    def orders(self, gain: NDArray) -> NDArray:
        """How many layers are small against gains [laws, any]: their A_l is below it."""
        sizes = np.concatenate([self.least[:, None], self.gaps + self.least[:, None]], axis=1)
        return np.sum(sizes[:, :, None] < gain[:, None, :], axis=1)


def elapsed(u: NDArray, start: NDArray, gaps: NDArray, drift: NDArray, until: NDArray) -> NDArray:
    r"""$\int_{start}^{u} 2\,du / (u^{2\kappa} \prod_l \sqrt{u^2 + d_l})$, the time of the motion above whose rate is 1 at u = 1.

    **Arguments:** `u` [laws, samples], each at least its `start` [laws] >= 0; `gaps` [laws, layers - 1], not negative; `drift` kappa [laws]. A start at 0 needs at most one gap that vanishes,
    and no drift.

    **Holds** to 1e-3 of the largest (trapezoids in asinh of u; held against quadrature by a test).
    """
    top = np.maximum(u.max(axis=1), start)
    smallest = np.where(gaps > 0, gaps, np.inf).min(axis=1, initial=np.inf)
    unit = np.maximum.reduce([np.minimum(np.sqrt(smallest), top) / 8, start / 4, 1e-9 * top])
    low, high = np.arcsinh(start / unit), np.arcsinh(top / unit)
    width = (high - low) / (_POINTS - 1)
    nodes = unit[:, None] * np.sinh(low[:, None] + width[:, None] * np.arange(_POINTS))
    with np.errstate(divide="ignore"):
        # du = sqrt(unit^2 + u^2) d(asinh): a smooth integrand in that variable
        integrand = 2 * np.sqrt(unit[:, None] ** 2 + nodes**2) * np.exp(-0.5 * _log_product(nodes, gaps))
        integrand = integrand / _drifted(nodes, drift, until)
    panels = 0.5 * width[:, None] * (integrand[:, 1:] + integrand[:, :-1])
    total = np.concatenate([np.zeros((u.shape[0], 1)), np.cumsum(panels, axis=1)], axis=1)
    return np.stack([np.interp(row, at, of) for row, at, of in zip(u, nodes, total, strict=True)])


def fit(tau: NDArray, gain: NDArray, gaps: NDArray, least: NDArray, drift: NDArray) -> tuple[Laws, NDArray]:
    """The rates that bring laws with these gaps nearest to what was seen, by least squares in time (when they started is free), and mean squared errors of tau.

    **Arguments:** `tau`, `gain` [samples], three or more of different gain > 0; `gaps` [laws, layers - 1], `least`, `drift` [laws].

    **Returns:** the laws and their errors [laws]; where no positive rate fits, the rate is NaN and the error infinite.
    """
    u = np.sqrt(least[:, None] + gain)
    # from the first sample on: from u = 0 the time may be infinite
    until = np.full(least.size, np.inf)
    x = elapsed(u, u.min(axis=1), gaps, drift, until)
    spread = x - x.mean(axis=1, keepdims=True)
    # times of a law may be too large for their squares: its rate is then as good as 0, and the law is none
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        square = np.sum(spread**2, axis=1)
        slope = spread @ (tau - tau.mean()) / square
        error = tau - tau.mean() - slope[:, None] * spread
    right = np.isfinite(slope) & (slope > 0)
    return Laws(1 / np.where(right, slope, np.nan), gaps, least, drift, until), np.where(
        right, np.mean(error**2, axis=1), np.inf
    )


def _drifted(u: NDArray, drift: NDArray, until: NDArray) -> NDArray:
    """By what the rate has changed since u = 1, [laws, any]."""
    return np.minimum(u, np.sqrt(until)[:, None]) ** (2 * drift[:, None])


def _log_product(u: NDArray, gaps: NDArray) -> NDArray:
    """Sum over layers of ln(u^2 + d_l), [laws, any]; -inf where one vanishes."""
    with np.errstate(divide="ignore"):
        return sum((np.log(u**2 + gaps[:, l, None]) for l in range(gaps.shape[1])), np.zeros_like(u))


def unsaturated(fall: float, drop: float) -> float:
    r"""The fall that the law without saturation shows when the loss has really fallen by `fall`, on its way down by `drop` to the next plateau.

    Along the leading direction $L = L_0 - D(2a - a^2)$, with a = 1 at the next plateau: the loss has fallen by `fall` at $a = 1 - \sqrt{1 - fall/D}$. The motion
    $\dot a = r a (1 - a)$ is then as far as the unsaturated one at a/(1 - a), whose loss would have fallen by 2 D a/(1 - a). At the half drop that
    is a factor 1.66 more than half the drop. For more layers (1 - a) acts for a shorter time: the factor is an upper bound, within 30 %.

    **Raises:** `ValueError` unless 0 < `fall` < `drop`.
    """
    if not 0 < fall < drop:
        raise ValueError(f"unsaturated: needs 0 < fall < drop, found fall = {fall} and drop = {drop}.")
    a = 1 - np.sqrt(1 - fall / drop)
    return float(2 * drop * a / (1 - a))
