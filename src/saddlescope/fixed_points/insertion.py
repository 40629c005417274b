r"""What a silent unit would see: the largest $|E[(y - f)\,\phi(x; u)]|$ over $|u| = 1$.

Near the origin of a unit of order 2 or more the Hessian is blind (every direction of a small unit is flat), and yet the unit grows as long as
its features are correlated with the residual. This maximum is zero exactly where no silent unit can lower the loss.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..networks import AbstractNetwork
from ..objective import Objective

STARTS = 32
ITERATIONS = 60


def insertion(network: AbstractNetwork, objective: Objective) -> tuple[float, np.ndarray]:
    r"""The largest $|E[(y - f)\,\phi(x; u)]|$ over $|u| = 1$ for a single layer, relative to $\sqrt{E|y|^2 E|\phi|^2}$, and its maximiser.

    By steps of normalised gradient ascent from 32 fixed random directions and the units' own: a lower bound that for linear and quadratic
    units is the maximum, as ascent is then a power iteration.
    """
    with jax.enable_x64(True):
        network = jax.tree.map(jnp.asarray, network)
        objective = jax.tree.map(jnp.asarray, objective)
        lens = network.lenses()[0]
        u = np.asarray(lens.get()[0])
        draw = np.random.Generator(np.random.PCG64(0)).standard_normal((STARTS, u.shape[1]))
        starts = np.concatenate([draw, u[np.linalg.norm(u, axis=1) > 0][:STARTS]])
        starts /= np.linalg.norm(starts, axis=1, keepdims=True)
        values, points = _climb(lens, objective, jnp.asarray(starts))
        best = int(np.argmax(np.asarray(values)))
        return float(values[best]), np.asarray(points[best])


@eqx.filter_jit
def _climb(lens, objective, starts):
    error = objective.y - objective.outputs(lens.network)
    target = jnp.sqrt(objective.mean_square(objective.y) + 2 * objective.irreducible)

    def correlation(u):
        phi = objective.unit_features(lens, u)
        size = jnp.sqrt(objective.mean_square(phi))
        value = jnp.linalg.norm(jnp.einsum("k,kf,ko->fo", objective.weight, phi, error))
        return value, value / jnp.where(size * target > 0, size * target, 1.0)

    def climb(u):
        def once(_, u):
            step = jax.grad(lambda u: correlation(u)[0])(u)
            size = jnp.linalg.norm(step)
            step = jnp.where((size > 0) & jnp.isfinite(size), step / jnp.where(size > 0, size, 1.0), 0.0)
            moved = u + step  # for a homogeneous correlation this is a shifted power iteration, which cannot overshoot
            return moved / jnp.linalg.norm(moved)

        u = jax.lax.fori_loop(0, ITERATIONS, once, u)
        return correlation(u)[1], u

    return jax.vmap(climb)(starts)
