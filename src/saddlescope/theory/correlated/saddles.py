"""Saddles beside slow places of a curve: without formulas, by Newton's method on as many units as the function has rank there, accepted by the rule for those of runs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...complexity import TAU
from ...series import Plateau
from ..crowds.landing import Rest, rest
from ..crowds.motion import Units
from ..curve import REACH, Curve
from .motion import Combined, LinearUnits

#: As for runs: the function is reduced to the rank that changes it by at most these parts in turn; a fixed point counts at once where it moves the function by the first part, not beyond the second.
TOLERANCES = (TAU, 3e-2, 1e-1, 2.5e-1)
NEARBY, FARTHEST = 0.1, 0.3
#: Part of what is allowed beyond which a run may judge otherwise.
DOUBTFUL = 0.8
#: A curvature, or a singular value of the residual correlation, below this part of the largest is none.
FLAT = 1e-6


class Visit(NamedTuple):
    """What a slow place of the curve is: the height a run gives it, the rank of its function, and whether a saddle is there.

    `doubt`: how far off the height may be, because it is read off a curve or a run may judge otherwise; `rate`: the fastest way out of the saddle; `index`: how many there are, all units counted.
    """

    height: float
    width: int
    near: bool
    doubt: float
    rate: float | None = None
    index: int | None = None


def state_of(flow: Combined, curve: Curve, index: int) -> np.ndarray:
    """The state [weights + readouts, columns] at a sample of the curve."""
    assert curve.state_at is not None
    columns = flow.state.shape[1]
    return curve.state_at(float(curve.t[index])).reshape(columns, -1).T


def visited(flow: Combined, plateaus: list[Plateau], curve: Curve, end: float) -> list[Visit]:
    """One for each plateau, in order. `end`: the loss after the last."""
    loss = curve.loss
    losses = [*(float(loss[p.index]) for p in plateaus), end]
    found = []
    for k, plateau in enumerate(plateaus):
        drops = (losses[k - 1] - losses[k] if k else np.inf, losses[k] - losses[k + 1])
        rough = float(np.ptp(loss[max(plateau.index - 1, 0) : plateau.index + 2]))
        found.append(_visit(flow, state_of(flow, curve, plateau.index), losses[k], REACH * min(drops), rough))
    return found


def rank_of(flow: Combined, state: np.ndarray, tau: float = TAU) -> int:
    """The rank that changes the function by at most this part of the target."""
    size, truncated = _truncation(flow, state)
    return next(k for k in range(size + 1) if truncated(k)[1] <= tau)


def _visit(flow: Combined, state: np.ndarray, loss: float, reach: float, rough: float) -> Visit:
    size, truncated = _truncation(flow, state)
    tried, least = set(), np.inf
    for tau in TOLERANCES:
        width = next(k for k in range(size + 1) if truncated(k)[1] <= tau)
        if width in tried:
            continue
        tried.add(width)
        best: Visit | None = None
        nearest = np.inf
        for search in (_minimum, _saddle, _by_least_squares):
            point = search(flow.units, truncated(width)[0])
            if point is None or rank_of(flow, point.units.T) != width:
                continue
            apart = abs(point.loss - loss)
            moved = float(np.linalg.norm(point.residual - flow.residual(state))) / flow.units.scale
            far = max(apart / max(reach, 1e-300), moved / FARTHEST)
            if far > 1.0:
                least = min(least, apart if far < 1.0 / DOUBTFUL else 0.0)
            elif moved < nearest:
                nearest = moved
                best = Visit(
                    point.loss,
                    width,
                    True,
                    apart + rough if far > DOUBTFUL or search is _by_least_squares else 0.0,
                    *_ways_out(flow, point.units, point.residual),
                )
                if moved <= NEARBY:
                    break
        if best is not None:
            return best
    doubt = rough + (least if np.isfinite(least) else 0.0)
    return Visit(loss, rank_of(flow, state), False, doubt)


def _minimum(motion: LinearUnits, units: Units) -> Rest | None:
    return rest(motion, units)


def _saddle(motion: LinearUnits, units: Units) -> Rest | None:
    return rest(motion, units, downhill=False)


def _by_least_squares(motion: LinearUnits, units: Units) -> Rest | None:
    """Where Newton's steps lead nowhere: the least gradient, if that is none. A search of another kind may miss it."""
    from scipy.optimize import least_squares

    if not len(units):
        return None

    def gradient(y: np.ndarray) -> np.ndarray:
        here = y.reshape(units.shape)
        return motion.in_residual(motion.residual(here))(here).ravel()

    def slope(y: np.ndarray) -> np.ndarray:
        here = y.reshape(units.shape)
        return motion.jacobian(here, motion.residual(here))

    found = least_squares(gradient, units.ravel(), slope, x_scale="jac", ftol=None, xtol=1e-12, gtol=None, max_nfev=200)
    return rest(motion, found.x.reshape(units.shape), downhill=False)


def _ways_out(flow: Combined, units: Units, residual: np.ndarray) -> tuple[float, int]:
    """The fastest rate out of a fixed point of these units, and how many directions lead out: those of its own units, and those of every silent combination of the others."""
    pull = np.linalg.svd(flow.units.pull(residual).reshape(flow.units.weights, -1), compute_uv=False)
    curvatures = np.linalg.eigvalsh(-flow.units.jacobian(units, residual)) if len(units) else np.zeros(1)
    largest = max(float(pull[0]), float(np.max(np.abs(curvatures))))
    silent = len(flow.units.start) - len(units)
    return max(float(pull[0]), -float(curvatures[0])), silent * int(np.sum(pull > FLAT * largest)) + int(
        np.sum(curvatures < -FLAT * largest)
    )


def _truncation(flow: Combined, state: np.ndarray) -> tuple[int, Callable[[int], tuple[Units, float]]]:
    """The largest rank of a state's function, and of a rank the balanced units that have it with what of the target they change.

    By the singular vectors of the product as all features together see it: as runs are read.
    """
    motion = flow.units
    u, v = np.split(state, [motion.weights])
    product = u @ v.T
    factor = np.linalg.qr(motion.psi.reshape(-1, motion.weights), mode="r")
    directions = np.linalg.svd(factor @ product, full_matrices=False)[2]
    residual = flow.residual(state)

    def truncated(width: int) -> tuple[Units, float]:
        right = directions[:width]
        left = (product @ right.T).T
        size = np.linalg.norm(left, axis=1)[:, None]
        root = np.sqrt(np.where(size > 0, size, 1.0))
        units = np.concatenate([left / root, right * root], axis=1)
        return units, float(np.linalg.norm(motion.residual(units) - residual)) / motion.scale

    most = min(len(directions), state.shape[1])
    return most, truncated
