r"""The motion of a few units that stand for a layer, each with its multiplicity: $f = \sum_i m_i\, \phi(x; u_i)\, v_i$, every unit in the residual that all leave."""

from typing import NamedTuple

import jax
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
#: Followed for so many times the wait that modes would have alone, and so many time constants of the slowest.
LONGER, CONSTANTS = 1.3, 8.0


class Growth(NamedTuple):
    r"""What a layer does near zero weights, where its units are linear.

    - `rates` [modes]: singular values of E[psi y^T], the strongest few; `overlaps` [units, modes]: $c_k$, what of each unit grows at each rate.
    - `directions` [modes, size]: of a unit's weights, along which it does.
    - `waits` [modes]: when each mode would be learned if it grew alone.
    - `all_of_them`: whether no other mode grows.
    """

    rates: np.ndarray
    overlaps: np.ndarray
    directions: np.ndarray
    waits: np.ndarray
    all_of_them: bool


def growth(motion: AnyUnit) -> Growth | None:
    """None where nothing correlates with the targets, or the weights start no direction that grows."""
    lens, objective, units = motion.lens, motion.objective, motion.start
    with jax.enable_x64(True):
        slope = jax.jacfwd(lambda u: objective.unit_features(lens, u))(np.zeros(motion.weights))
    psi = motion.root[:, None, None] * np.asarray(slope, np.float64)
    left, rates, right = np.linalg.svd(
        np.einsum("rfp,ro->pfo", psi, motion.target).reshape(motion.weights, -1), full_matrices=False
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
    return Growth(rates[:kept], overlaps, directions, waits, count <= MODES)


class Representatives(NamedTuple):
    """Units [chosen, size] with multiplicities [chosen]."""

    units: Units
    multiplicities: np.ndarray


def enough(motion: AnyUnit, growing: Growth) -> bool:
    """Whether the layer has more units than the fewest moments that say what it does."""
    return len(_kept(motion, growing)) + growing.overlaps.shape[1] * (growing.overlaps.shape[1] + 1) // 2 < len(
        motion.start
    )


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
    pairs = motion.size * (motion.size + 1) // 2
    for second, of_units in (
        (whole, units),
        (grown, growing.overlaps @ np.linalg.pinv(growing.directions.T)),
    ):
        if second is whole and pairs + len(bending) >= count:
            continue
        found = chosen(np.concatenate([moments_of(second, (2,)), bending]), cost)
        if found is not None and len(found[0]) < count:
            which, multiplicities = found
            return Representatives(of_units[which], multiplicities)
    return None


def course(motion: AnyUnit, few: Representatives, growing: Growth) -> Curve:
    """Their flow, until every mode that is followed is learned."""
    shape, m = few.units.shape, few.multiplicities

    def residual(y: np.ndarray) -> np.ndarray:
        return motion.target - np.tensordot(m, motion.parts(y.reshape(shape)), 1)

    def velocity(y: np.ndarray) -> np.ndarray:
        return motion.in_residual(residual(y))(y.reshape(shape)).ravel()

    return follow(
        velocity,
        None,
        lambda y: motion.loss(residual(y)),
        few.units.ravel(),
        until_loss=-1.0,
        t_max=LONGER * float(np.max(growing.waits)) + CONSTANTS / float(growing.rates[-1]),
        rtol=RTOL,
        atol=0.1 * RTOL * float(np.sqrt(np.mean(few.units**2))),
        speed_of=lambda y: float(np.sqrt(np.sum(m[:, None] * velocity(y).reshape(shape) ** 2))),
    )
