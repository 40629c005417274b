r"""From near a minimum of a narrow network to the minimum: Levenberg-Marquardt on the residuals, then Newton.

The saddle that a plateau visits is a minimum of the network of its own width, embedded in the wide one. There it is found by descent, which
cannot slip to another saddle as a root search on the gradient does.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from ..networks import AbstractNetwork
from ..objective import Objective
from ..results import RESULTS, ComputationError
from .hessian import hessian

#: A fixed point: |grad L| relative to |residual| x (largest column of its Jacobian), which bounds it.
STATIONARY = 1e-12
#: What rounding may leave of it where that is not reached.
ROUNDING = 1e-9
#: Below this part of rms y a residual is zero, and so is the gradient.
ZERO_RESIDUAL = 1e-14
#: Levenberg-Marquardt brings a state into the basin; where a residual is left it converges slowly, and Newton takes over.
MARQUARDT_ITERATIONS = 40
NEWTON_ITERATIONS = 40
#: Newton needs the spectrum of a Hessian a step: above so many weights Levenberg-Marquardt has to do.
NEWTON_WEIGHTS = 500
DAMPINGS = 10
#: Alternating exact minimisations for products of two matrices; each costs next to nothing.
SWEEPS = 2000
#: Newton leaves directions alone in which the Hessian is flat: symmetries, and minima that form a manifold.
FLAT = 1e-10


@dataclass(frozen=True)
class Polished:
    """A fixed point of a network: its `loss`, relative `gradient` (see `STATIONARY`) and how many `iterations` it took."""

    network: AbstractNetwork
    loss: float
    gradient: float
    iterations: int
    result: RESULTS


def polish(network: AbstractNetwork, objective: Objective, *, throw: bool = True) -> Polished:
    r"""The minimum that descent from `network` reaches.

    **Holds:** the relative gradient at the end is at most 1e-12, or no further step lowers it and it is at most 1e-9.

    **Raises:** `ComputationError` (not_stationary) otherwise, unless `throw` is False.
    """
    with jax.enable_x64(True):
        network = jax.tree.map(jnp.asarray, network)
        objective = jax.tree.map(jnp.asarray, objective)
        y, unravel = ravel_pytree(network)
        zero = ZERO_RESIDUAL * float(jnp.sqrt(objective.mean_square(objective.y)))
        if y.size > NEWTON_WEIGHTS and _bilinear(network, objective):
            y = ravel_pytree(_alternate(network, objective))[0]
        y, first = _marquardt(network, objective, np.asarray(y), zero)
        y, second = _newton(network, objective, y, zero) if y.size <= NEWTON_WEIGHTS else (y, 0)
        residual, jacobian = (np.asarray(a) for a in linearise(network, objective, y))
        relative = 0.0 if np.linalg.norm(residual) <= zero else _relative(residual, jacobian)
        final = jax.tree.map(lambda a: np.asarray(a) if eqx.is_array(a) else a, unravel(jnp.asarray(y)))
        loss = 0.5 * float(np.sum(residual**2)) + float(objective.irreducible)
    result = RESULTS.successful if relative <= ROUNDING else RESULTS.not_stationary
    if throw and result is not RESULTS.successful:
        raise ComputationError(result, f"Its relative gradient is {relative:.1e}.")
    return Polished(final, loss, relative, first + second, result)


def nearest_fixed_point(network: AbstractNetwork, objective: Objective, *, throw: bool = True) -> Polished:
    r"""The fixed point, of any index, that Newton's method on the gradient reaches from `network`.

    A saddle visited need not be a minimum even of the networks of its own width (linear networks learn in the order of s, not of
    $s^2/\lambda$). Steps are halved until the gradient shrinks, and flat directions are left alone.

    **Holds** and **Raises** as `polish`; refused with not_stationary above 500 weights.
    """
    with jax.enable_x64(True):
        network = jax.tree.map(jnp.asarray, network)
        objective = jax.tree.map(jnp.asarray, objective)
        y, unravel = ravel_pytree(network)
        y, count = np.asarray(y), 0
        residual, jacobian = (np.asarray(a) for a in linearise(network, objective, y))
        while y.size <= NEWTON_WEIGHTS and count < NEWTON_ITERATIONS and _relative(residual, jacobian) > STATIONARY:
            gradient = jacobian.T @ residual
            values, vectors = np.linalg.eigh(hessian(unravel(jnp.asarray(y)), objective))
            kept = np.abs(values) > FLAT * np.max(np.abs(values))
            step = vectors @ np.where(kept, (vectors.T @ gradient) / np.where(kept, values, 1.0), 0.0)
            length, size = 1.0, np.linalg.norm(gradient)
            while length > 1e-3:
                trial, trial_jacobian = (np.asarray(a) for a in linearise(network, objective, y - length * step))
                if np.linalg.norm(trial_jacobian.T @ trial) < size:
                    break
                length /= 2
            else:
                break
            y, residual, jacobian, count = y - length * step, trial, trial_jacobian, count + 1
        relative = _relative(residual, jacobian)
        final = jax.tree.map(lambda a: np.asarray(a) if eqx.is_array(a) else a, unravel(jnp.asarray(y)))
        loss = 0.5 * float(np.sum(residual**2)) + float(objective.irreducible)
    result = RESULTS.successful if relative <= ROUNDING else RESULTS.not_stationary
    if throw and result is not RESULTS.successful:
        raise ComputationError(result, f"Its relative gradient is {relative:.1e}.")
    return Polished(final, loss, relative, count, result)


def _bilinear(network: AbstractNetwork, objective: Objective) -> bool:
    """Whether f is one product of two matrices on psi: linear units with one feature, read out directly."""
    lens = network.lenses()[0]
    return lens.direct and lens.facts.linear and lens.get()[1].shape[1] == 1 and objective.lifted


def _alternate(network: AbstractNetwork, objective: Objective) -> AbstractNetwork:
    """Exact minimisations over u for fixed v and over v for fixed u in turn, each a linear least-squares problem.

    On data whose eigenvalues span many decades they do at once what damped steps on both together do slowly. For a full
    rank the first sweep is the answer; otherwise this is a power iteration, which ends at the lowest minimum of its rank.
    """
    root = np.sqrt(np.asarray(objective.weight))[:, None]
    psi, target = root * np.asarray(objective.x), root * np.asarray(objective.y)
    best, *_ = np.linalg.lstsq(psi, target, rcond=None)  # of any rank
    lens = network.lenses()[0]
    fit = psi @ best
    v = np.asarray(lens.get()[1])[:, 0]
    for _ in range(SWEEPS):
        before, back = v, np.linalg.pinv(v)
        v, *_ = np.linalg.lstsq(fit @ back, target, rcond=None)
        if np.linalg.norm(v - before) <= 1e-15 * np.linalg.norm(v):
            break
    u = best @ np.linalg.pinv(v)
    size = np.sqrt(np.linalg.norm(v, axis=1) / np.maximum(np.linalg.norm(u, axis=0), 1e-300))
    size = np.where(size > 0, size, 1.0)
    return jax.tree.map(jnp.asarray, lens.put((u * size).T, (v / size[:, None])[:, None, :]))


def _marquardt(network, objective, y: np.ndarray, zero: float) -> tuple[np.ndarray, int]:
    residual, jacobian = (np.asarray(a) for a in linearise(network, objective, y))
    damping, count = 1e-3, 0
    while (
        count < MARQUARDT_ITERATIONS and np.linalg.norm(residual) > zero and _relative(residual, jacobian) > STATIONARY
    ):
        count += 1
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        size = max(float(np.max(np.diag(normal), initial=0.0)), 1e-300)
        step = _damped(normal, gradient, damping * size)
        trial, trial_jacobian = (np.asarray(a) for a in linearise(network, objective, y - step))
        gain = np.sum(residual**2) - np.sum(trial**2)
        if gain > 0:
            y, damping = y - step, max(damping / 5, 1e-15)
            slow = gain < 1e-6 * np.sum(residual**2) and count > 5
            residual, jacobian = trial, trial_jacobian
            if slow:
                break
        else:
            damping *= 4
            if damping > 1e8:
                break
    return y, count


def _newton(network, objective, y: np.ndarray, zero: float) -> tuple[np.ndarray, int]:
    """Newton's steps with absolute curvatures, so that they descend, damped until they do."""
    _, unravel = ravel_pytree(network)
    residual, jacobian = (np.asarray(a) for a in linearise(network, objective, y))
    damping = 0.0
    for count in range(NEWTON_ITERATIONS):
        if np.linalg.norm(residual) <= zero or _relative(residual, jacobian) <= STATIONARY:
            return y, count
        gradient = jacobian.T @ residual
        values, vectors = np.linalg.eigh(hessian(unravel(jnp.asarray(y)), objective))
        sizes = np.abs(values)
        top = np.max(sizes)
        along = vectors.T @ gradient
        for _ in range(DAMPINGS):
            # directions flatter than the damping are symmetries, or minima that form a manifold: they need no step
            kept = sizes > max(FLAT, damping) * top
            step = vectors @ np.where(kept, along / np.where(kept, sizes + damping * top, 1.0), 0.0)
            trial, trial_jacobian = (np.asarray(a) for a in linearise(network, objective, y - step))
            loss, before = np.sum(trial**2), np.sum(residual**2)
            shrinks = np.linalg.norm(trial_jacobian.T @ trial) < np.linalg.norm(gradient)
            # near the end the loss is flat to rounding, and only the gradient still tells
            if loss < before * (1 - 1e-12) or (shrinks and loss <= before * (1 + 1e-12)):
                break
            damping = max(10 * damping, 1e-8)
        else:
            return y, count
        y, residual, jacobian, damping = y - step, trial, trial_jacobian, damping / 100 if damping > 1e-9 else 0.0
    return y, NEWTON_ITERATIONS


def _relative(residual: np.ndarray, jacobian: np.ndarray) -> float:
    column = np.sqrt(np.max(np.sum(jacobian**2, axis=0), initial=0.0))
    return float(np.linalg.norm(jacobian.T @ residual) / max(np.linalg.norm(residual) * column, 1e-300))


def _damped(normal: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
    for _ in range(40):
        try:
            return cho_solve(cho_factor(normal + damping * np.eye(len(normal))), gradient)
        except LinAlgError:
            damping *= 10
    raise LinAlgError("the normal equations of Levenberg-Marquardt are not finite")


@eqx.filter_jit
def linearise(network, objective, y):
    _, unravel = ravel_pytree(network)

    def residual(y):
        return objective.residual(unravel(y)).reshape(-1)

    return residual(y), jax.jacfwd(residual)(y)


_linearise = linearise
