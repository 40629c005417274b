r"""Second derivatives of the loss: all of them for small networks, the lowest eigenvalue for large ones."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..networks import AbstractNetwork
from ..objective import Objective

#: Up to this many weights the Hessian is computed whole.
DENSE = 600
#: Steps of Lanczos beyond; the lowest eigenvalue of relative size 1e-4 is found well before.
LANCZOS_STEPS = 200
#: Its basis takes at most this much memory: very large networks get fewer steps, and a coarser answer.
LANCZOS_BYTES = 256 * 2**20


def hessian(network: AbstractNetwork, objective: Objective) -> np.ndarray:
    """The Hessian [weights, weights] of the loss, in the order of `flow.weights_of`."""
    with jax.enable_x64(True):
        matrix = np.asarray(_dense(jax.tree.map(jnp.asarray, network), jax.tree.map(jnp.asarray, objective)))
    return 0.5 * (matrix + matrix.T)


def extreme_eigenvalues(network: AbstractNetwork, objective: Objective) -> tuple[float, float, int]:
    """The lowest and the largest eigenvalue of the Hessian, and how many Hessian-vector products that took.

    From the whole spectrum up to 600 weights; beyond, Ritz values of Lanczos with full reorthogonalisation, which lie inside the spectrum:
    the lowest is then an upper bound.
    """
    with jax.enable_x64(True):
        network = jax.tree.map(jnp.asarray, network)
        objective = jax.tree.map(jnp.asarray, objective)
        n = ravel_pytree(network)[0].shape[0]
        if n <= DENSE:
            values = np.linalg.eigvalsh(hessian(network, objective))
            return float(values[0]), float(values[-1]), n
        start = np.random.Generator(np.random.PCG64(0)).standard_normal(n)
        steps = min(LANCZOS_STEPS, n, max(LANCZOS_BYTES // (8 * n), 20))
        basis, diagonal, side = np.zeros((steps + 1, n)), [], []
        basis[0] = start / np.linalg.norm(start)
        for i in range(steps):
            w = np.array(_product(network, objective, jnp.asarray(basis[i])))
            diagonal.append(float(basis[i] @ w))
            frame = basis[: i + 1]
            for _ in range(2):  # twice is enough (Parlett)
                w -= frame.T @ (frame @ w)
            size = float(np.linalg.norm(w))
            if size < 1e-12 * max(abs(d) for d in diagonal):
                break
            side.append(size)
            basis[i + 1] = w / size
        k = len(diagonal)
        ritz = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(side[: k - 1], 1) + np.diag(side[: k - 1], -1))
        return float(ritz[0]), float(ritz[-1]), k


@eqx.filter_jit
def _dense(network, objective):
    y, unravel = ravel_pytree(network)
    return jax.hessian(lambda y: objective.loss(unravel(y)))(y)


@eqx.filter_jit
def _product(network, objective, vector):
    y, unravel = ravel_pytree(network)
    return jax.jvp(jax.grad(lambda y: objective.loss(unravel(y))), (y,), (vector,))[1]
