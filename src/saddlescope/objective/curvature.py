r"""The dense Hessian of the loss, by structure where the network is a sum over units.

With $f = \sum_i f_i$ the Hessian is a Gauss-Newton matrix, one product of the derivatives of all units, plus one small block a unit:
no second derivative couples two units. That is an order of magnitude cheaper than a product with every unit vector, and a Rosenbrock step asks for one each.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..networks import AbstractLens, AbstractNetwork
from ._base import Objective


def hessian(objective: Objective, network: AbstractNetwork) -> Float[Array, "weights weights"]:
    """Second derivatives of the loss in the order of `jax.flatten_util.ravel_pytree(network)`; inside compiled code.

    **Holds** exactly, to rounding.
    """
    lenses = network.lenses()
    place = _places(lenses[0]) if len(lenses) == 1 and lenses[0].direct else None
    if place is not None:
        return _by_units(objective, lenses[0], place)
    y, unravel = ravel_pytree(network)
    return jax.hessian(lambda y: objective.loss(unravel(y)))(y)


def _by_units(objective: Objective, lens: AbstractLens, place: np.ndarray) -> Array:
    u, v = lens.get()
    units, weights = u.shape
    shape = v.shape[1:]
    own = place.shape[1]
    joined = jnp.concatenate([u, v.reshape(units, -1)], axis=1)
    root = jnp.sqrt(objective.weight)
    error = root[:, None] * (objective.outputs(lens.network) - objective.y)

    if objective.lifted:
        # f = psi c(w): derivatives of the few coefficients c, then one product with the rows of psi
        rows = root[:, None] * objective.x
        pull = rows.T @ error

        def coefficients(w):
            strength = jnp.einsum("p,fo->fpo", lens.unit.lift(w[:weights]), w[weights:].reshape(shape))
            return strength.reshape(-1, shape[1])

        def slopes_of(w):
            return jnp.einsum("kp,pod->kod", rows, jax.jacfwd(coefficients)(w))

        def pulled(w):
            return jnp.sum(pull * coefficients(w))
    else:

        def outputs(w):
            features = jax.vmap(lens.unit, in_axes=(0, None))(objective.x, w[:weights])
            return root[:, None] * (features @ w[weights:].reshape(shape))

        slopes_of = jax.jacfwd(outputs)

        def pulled(w):
            return jnp.sum(error * outputs(w))

    slopes = jax.vmap(slopes_of)(joined)  # [units, rows, outputs, own]
    blocks = jax.vmap(jax.hessian(pulled))(joined)  # [units, own, own]
    slopes = slopes.reshape(units, -1, own).transpose(1, 0, 2).reshape(-1, units * own)
    slopes = slopes[:, np.argsort(place.reshape(-1))]
    return (slopes.T @ slopes).at[place[:, :, None], place[:, None, :]].add(blocks)


def _places(lens: AbstractLens) -> np.ndarray | None:
    """[units, own]: where the weights of each unit (u, then v) stand in the vector of all weights; None where there are others."""
    u, v = lens.get()
    units = u.shape[0]
    numbers = np.arange(u.size + v.size, dtype=np.float64)
    numbered = lens.put(numbers[: u.size].reshape(u.shape), numbers[u.size :].reshape(v.shape))
    leaves = jax.tree.leaves(numbered)
    if not all(isinstance(leaf, np.ndarray) for leaf in leaves):
        return None
    order = np.concatenate([leaf.reshape(-1) for leaf in leaves]).astype(np.int64)
    if not np.array_equal(np.sort(order), np.arange(numbers.size)):
        return None
    position = np.argsort(order)
    return np.concatenate([position[: u.size].reshape(units, -1), position[u.size :].reshape(units, -1)], axis=1)
