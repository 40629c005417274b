r"""How a homogeneous network leaves the saddle at the origin, in one number: what its layers have gained.

For layers of degree 1 each, gradient flow gives every layer the same gain of squared norm, $S = \lVert W_l\rVert^2 - \lVert W_l(0)\rVert^2$, exactly (by Euler's
identity $\tfrac{d}{d\tau}\lVert W_l\rVert^2 = -2\langle W_l, \nabla_l L\rangle$ is the same for all; Du, Hu & Lee 2018). While f is small that rate is twice the
fall of the loss, and once one direction leads,

$$\dot S = C \prod_l \sqrt{A_l + S} = C\,|u| \prod_{l \ne m} \sqrt{u^2 + d_l}, \qquad u^2 = A_m + S,\quad d_l = A_l - A_m,$$

where $A_l$ is the part of $\lVert W_l(0)\rVert^2$ that lies in the leading path and m the layer with the smallest. It is the motion of a product of scalars, whose
differences of squares are conserved. From weights that know nothing of the task, u starts near 0 (the network is as likely to be against the target as for it), so that S
grows at first like a square of time. Equal layers with $S \gg A_l$ give $S^{-(L-2)/2}$, and $q^{-(L-2)/L}$, falling linearly to zero at the exit, or
for L = 2 $\ln q$ growing linearly. Layers whose $A_l$ is larger than what will be learned are constants: the order of the saddle is the number of the others.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Points of the table from which the integral over u is read: its error is then below 1e-4 of the whole.
_POINTS = 240
#: No gain is looked for that is more times larger than what has been gained.
_FARTHEST = 1e10


class Law(NamedTuple):
    """`rate` C; `gaps` d_l [layers - 1] of all layers but the smallest; `least` A_m of the smallest; `start`: the time at which S = 0."""

    rate: float
    gaps: NDArray
    least: float
    start: float

    def growth(self, gain: NDArray) -> NDArray:
        """dS/dtau at gains S, of any shape."""
        return self.rate * _product(np.sqrt(np.maximum(self.least + gain, 0.0)), self.gaps)

    def gains_where(self, levels: NDArray, now: float) -> NDArray:
        """The gains S >= `now` at which dS/dtau reaches each of the levels: `now` where it has. It grows with S like a power between 1/2 and half the layers."""
        grid = now * np.geomspace(1.0, _FARTHEST, _POINTS)
        return np.exp(np.interp(np.log(levels), np.log(self.growth(grid)), np.log(grid)))

    def times_from(self, first: float, last: NDArray) -> NDArray:
        """The times from gain `first` to gains `last` >= `first`."""
        start = float(np.sqrt(max(self.least + first, 0.0)))
        return elapsed(np.sqrt(np.maximum(self.least + last, 0.0)), start, self.gaps) / self.rate

    def order(self, gain: float) -> int:
        """How many layers are small against `gain`: their A_l is below it."""
        return int(self.least < gain) + int(np.sum(self.gaps + self.least < gain))


def elapsed(u: NDArray, start: float, gaps: NDArray) -> NDArray:
    r"""$\int_{start}^{u} 2\,du / \prod_l \sqrt{u^2 + d_l}$, the time at C = 1 of the motion above.

    **Arguments:** `u` [samples], each at least `start` >= 0; `gaps` [layers - 1], not negative.

    **Holds** to 1e-3 of the largest (trapezoids in asinh of u; measured against quadrature in the tests). Infinite from `start` = 0 where two or more gaps vanish.
    """
    top = float(np.max(u, initial=start))
    if top <= start:
        return np.zeros_like(u)
    positive = gaps[gaps > 0]
    unit = max(min(np.sqrt(positive.min()) if positive.size else top, top) / 8, start / 4, 1e-9 * top)
    nodes = unit * np.sinh(np.linspace(np.arcsinh(start / unit), np.arcsinh(top / unit), _POINTS))
    with np.errstate(divide="ignore"):
        integrand = 2 / np.prod(np.sqrt(nodes[:, None] ** 2 + gaps), axis=1)
    # d(u) = sqrt(unit^2 + u^2) d(asinh): a smooth integrand in that variable
    integrand = integrand * np.sqrt(unit**2 + nodes**2)
    step = np.arcsinh(top / unit) - np.arcsinh(start / unit)
    step /= _POINTS - 1
    total = np.concatenate([[0.0], np.cumsum(0.5 * step * (integrand[1:] + integrand[:-1]))])
    return np.interp(u, nodes, total)


def fit(tau: NDArray, gain: NDArray, gaps: NDArray, least: float) -> tuple[Law, float] | None:
    """The rate and the start that bring the law with these gaps nearest to what was seen, by least squares in time, and the mean squared error (of tau).

    **Arguments:** `tau`, `gain` [samples], three or more of different gain >= 0.

    **Returns:** None where no positive rate fits.
    """
    u = np.sqrt(least + gain)
    x = elapsed(u, float(np.sqrt(least)) if least > 0 or np.count_nonzero(gaps == 0) < 2 else float(u.min()), gaps)
    spread = x - x.mean()
    square = float(spread @ spread)
    slope = float(spread @ tau) / square if square > 0 else 0.0
    if not (np.isfinite(slope) and slope > 0):
        return None
    start = float(tau.mean() - slope * x.mean())
    error = tau - start - slope * x
    return Law(1 / slope, gaps, least, start), float(np.mean(error**2))


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


def _product(u: NDArray, gaps: NDArray) -> NDArray:
    return u * np.prod(np.sqrt(u[..., None] ** 2 + gaps), axis=-1)
