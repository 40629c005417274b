r"""The motion of a few units that stand for a layer, each with its multiplicity: $f = \sum_i m_i\, \phi(x; u_i)\, v_i$, every unit in the residual that all leave."""

from typing import NamedTuple

import numpy as np

from ..crowds.any_unit import AnyUnit
from ..crowds.motion import Units
from ..curve import Curve, follow
from .choose import chosen, moments_of

RTOL = 1e-8
#: Modes whose plateaus are followed, and in whose directions fourth moments are kept.
MODES = 3
#: A correlation below this part of the largest is rounding.
NOTHING = 1e-9
#: Constants of several features are one where singular values are below this part of the largest.
FLAT = 1e-9
#: Followed for so many times the wait that modes would have alone, and so many time constants of the slowest.
LONGER, CONSTANTS = 1.3, 8.0


class Growth(NamedTuple):
    r"""What a layer does near zero weights, where its units are linear, or a constant and linear.

    The constant of units that are not silent is fitted first, by the output weights alone: with $\phi_0 = \phi(x; 0)$, the sum of all $v_i$ follows
    a linear equation with rates $H\, E[\phi_0\phi_0^\top]$, and each $v_i$ changes alike.

    - `rates` [modes]: singular values of E[psi y^T], the strongest few; `overlaps` [units, modes]: $c_k$, what of each unit grows at each rate.
    - `directions` [modes, size]: of a unit's weights, along which it does.
    - `waits` [modes]: when each mode would be learned if it grew alone.
    - `all_of_them`: whether no other mode grows.
    - `fitted`: the loss once the constant is; that of f = 0 for silent units. `fitting`: the rate of that, or 0.
    """

    rates: np.ndarray
    overlaps: np.ndarray
    directions: np.ndarray
    waits: np.ndarray
    all_of_them: bool
    fitted: float
    fitting: float


def growth(motion: AnyUnit) -> Growth | None:
    """None where nothing correlates with the targets, or the weights start no direction that grows."""
    phi, psi = motion.at_zero()
    units, target = motion.start.copy(), motion.target
    fitting = 0.0
    if not motion.lens.facts.silent:
        fit = np.linalg.lstsq(phi, target, rcond=FLAT)[0]
        target = target - phi @ fit
        v = units[:, motion.weights :]
        v += (fit.ravel() - v.sum(axis=0)) / len(units)
        fitting = len(units) * float(np.linalg.norm(phi, 2)) ** 2
    left, rates, right = np.linalg.svd(
        np.einsum("rfp,ro->pfo", psi, target).reshape(motion.weights, -1), full_matrices=False
    )
    count = int(np.sum(rates > NOTHING * rates[0])) if rates[0] > 0 else 0
    kept = min(count, MODES)
    directions = np.concatenate([left[:, :kept].T, right[:kept]], axis=1) / np.sqrt(2)
    overlaps = units @ directions.T
    perpendicular = np.abs(np.diag(np.linalg.qr(overlaps)[1])) if kept else np.zeros(0)
    if not np.any(perpendicular):
        return None
    gain = np.einsum("pk,rfp,rfq,qk->k", left[:, :kept], psi, psi, left[:, :kept])
    top = 2 * rates[:kept] / np.maximum(gain, 1e-300)
    size = np.maximum(perpendicular, np.finfo(float).eps * np.linalg.norm(overlaps, axis=0)[: len(perpendicular)])
    waits = np.log(np.maximum(top[: len(size)] / np.maximum(size, 1e-300) ** 2, 1.0)) / (2 * rates[: len(size)])
    return Growth(rates[:kept], overlaps, directions, waits, count <= MODES, motion.loss(target), fitting)


class Representatives(NamedTuple):
    """Units [chosen, size] with multiplicities [chosen]."""

    units: Units
    multiplicities: np.ndarray


def enough(motion: AnyUnit, growing: Growth) -> bool:
    """Whether the layer has more units than the fewest moments that say what it does."""
    return len(_kept(motion, growing)) + len(moments_of(growing.overlaps, _straight(motion))) < len(motion.start)


def _straight(motion: AnyUnit) -> tuple[int, ...]:
    """Degrees of the moments by which units move while they are linear; with a constant, also how many they are and where their middle is."""
    return (2,) if motion.lens.facts.silent else (0, 1, 2)


def _kept(motion: AnyUnit, growing: Growth) -> np.ndarray:
    """Moments by which units bend: of fourth degree (third too, unless the formula is odd) in what grows, and the sixth of what grows first."""
    bends = (4,) if motion.lens.facts.parity == "odd" else (3, 4)
    grown = _grown(growing)
    return np.concatenate([moments_of(grown, bends), moments_of(grown[:, :1], (6,))])


def _grown(growing: Growth) -> np.ndarray:
    return growing.overlaps / np.sqrt(np.mean(growing.overlaps**2, axis=0))


def representatives(motion: AnyUnit, growing: Growth, sign: float) -> Representatives | None:
    """Fewer units than there are, of all multiplicities that keep the moments those with the least (`sign` 1) or the largest (-1) eighth moments; None where none are fewer.

    Kept are those by which units bend, and second moments of all weights, which is all that matters while units are linear. In narrow networks only those of
    what grows: the rest is left out, as it decays.
    """
    units, count = motion.start, len(motion.start)
    grown, bending = _grown(growing), _kept(motion, growing)
    whole = units / np.maximum(np.sqrt(np.mean(units**2, axis=0)), 1e-300)
    cost = sign * np.sum(grown**2, axis=1) ** 4
    for second, of_units in (
        (whole, units),
        (grown, growing.overlaps @ np.linalg.pinv(growing.directions.T)),
    ):
        straight = moments_of(second, _straight(motion))
        if second is whole and len(straight) + len(bending) >= count:
            continue
        found = chosen(np.concatenate([straight, bending]), cost)
        if found is not None and len(found[0]) < count:
            which, multiplicities = found
            return Representatives(of_units[which], multiplicities)
    return None


def course(motion: AnyUnit, few: Representatives, growing: Growth) -> Curve:
    """Their flow, until every mode that is followed is learned."""
    shape, m = few.units.shape, few.multiplicities

    def velocity(y: np.ndarray) -> np.ndarray:
        return motion.weighted(y.reshape(shape), m)[1].ravel()

    def jacobian(y: np.ndarray) -> np.ndarray:
        units = y.reshape(shape)
        outputs, own = motion.slopes(units, motion.weighted(units, m)[0])
        matrix = -outputs.T @ (outputs * np.repeat(m, motion.size))
        for i, block in enumerate(own):
            part = slice(i * motion.size, (i + 1) * motion.size)
            matrix[part, part] += block
        return matrix

    return follow(
        velocity,
        jacobian,
        lambda y: motion.loss(motion.weighted(y.reshape(shape), m)[0]),
        few.units.ravel(),
        until_loss=-1.0,
        t_max=LONGER * float(np.max(growing.waits)) + CONSTANTS / float(growing.rates[-1]),
        rtol=RTOL,
        atol=0.1 * RTOL * float(np.sqrt(np.mean(few.units**2))),
        speed_of=lambda y: float(np.sqrt(np.sum(m[:, None] * velocity(y).reshape(shape) ** 2))),
    )
