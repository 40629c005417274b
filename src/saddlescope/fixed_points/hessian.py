r"""Second derivatives of the loss: all of them for small networks, both ends of the spectrum for large ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

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
#: A Ritz pair has converged where its residual is below this part of the largest eigenvalue.
CONVERGED = 1e-10


def hessian(network: AbstractNetwork, objective: Objective) -> np.ndarray:
    """The Hessian [weights, weights] of the loss, in the order of `flow.weights_of`."""
    with jax.enable_x64(True):
        matrix = np.asarray(_dense(jax.tree.map(jnp.asarray, network), jax.tree.map(jnp.asarray, objective)))
    return 0.5 * (matrix + matrix.T)


class Ends(NamedTuple):
    """Both ends of a Hessian's spectrum.

    - `lowest` ascending, `largest` descending; `lowest_error`, `largest_error`: an eigenvalue lies within this of each (residual bound of Lanczos;
        rounding where the whole spectrum was computed).
    - `vectors` [weights, count]: of the lowest.
    - `products`: Hessian-vector products used.
    - `verified`: whether a last search from a new random direction found nothing further out. Copies of one eigenvalue are then counted right;
        otherwise there may be more of them than listed.
    """

    lowest: np.ndarray
    lowest_error: np.ndarray
    largest: np.ndarray
    largest_error: np.ndarray
    vectors: np.ndarray
    products: int
    verified: bool


def extreme_eigenvalues(
    network: AbstractNetwork, objective: Objective, part: str | None = None
) -> tuple[float, float, int]:
    """The lowest and the largest eigenvalue of the Hessian, and how many Hessian-vector products that took.

    From the whole spectrum up to 600 weights; beyond, Ritz values of Lanczos with full reorthogonalisation, which lie inside the spectrum:
    the lowest is then an upper bound. `part` names one array of weights, for its diagonal block alone.
    """
    apply, n = _operator(network, objective, part)
    if n <= DENSE:
        values = np.linalg.eigvalsh(_block(network, objective, part))
        return float(values[0]), float(values[-1]), n
    steps = min(LANCZOS_STEPS, n, max(LANCZOS_BYTES // (8 * n), 20))
    ritz, *_ = _lanczos(apply, np.zeros((n, 0)), steps, 0)
    return float(ritz[0]), float(ritz[-1]), len(ritz)


def spectrum_ends(network: AbstractNetwork, objective: Objective, count: int = 6, part: str | None = None) -> Ends:
    """The `count` lowest and largest eigenvalues, each as often as it occurs; see `ends`. `part` names one array of weights, for its block alone."""
    apply, n = _operator(network, objective, part)
    if n <= DENSE:
        return ends_of_matrix(_block(network, objective, part), count)
    return ends(apply, n, count, max(LANCZOS_BYTES // (8 * n), 20))


def ends_of_matrix(matrix: np.ndarray, count: int) -> Ends:
    values, vectors = np.linalg.eigh(matrix)
    count = min(count, len(values))
    error = np.full(count, len(values) * np.finfo(np.float64).eps * max(abs(values[0]), abs(values[-1])))
    return Ends(values[:count], error, values[::-1][:count], error, vectors[:, :count], len(values), True)


def ends(apply: Callable[[np.ndarray], np.ndarray], n: int, count: int, most_steps: int = LANCZOS_STEPS) -> Ends:
    """Both ends of the spectrum of a symmetric operator on vectors of length n, by Lanczos with locking.

    One Krylov space sees each distinct eigenvalue once, whatever its multiplicity. So what has converged (residual below 1e-10 of the
    largest) is locked and projected out, and Lanczos starts again from another random direction, until `count` have been found at either end
    and a further search finds none beyond.
    """
    count = min(count, n)
    locked = np.zeros((n, 0))
    values, errors = np.zeros(0), np.zeros(0)
    products, verified = 0, False
    for attempt in range(4 * count + 8):
        left = n - locked.shape[1]
        if left == 0:
            verified = True
            break
        steps = min(most_steps, left)
        ritz, residual, basis, vectors = _lanczos(apply, locked, steps, attempt)
        products += len(ritz)
        size = max(np.max(np.abs(ritz), initial=0.0), np.max(np.abs(values), initial=0.0), 1e-300)
        good = residual <= CONVERGED * size
        # runs of converged pairs from either end: what lies between is not complete
        first, last = _run(good), _run(good[::-1])
        taken = sorted({*range(min(first, count)), *range(len(ritz) - min(last, count), len(ritz))})
        if len(values) >= 2 * count or locked.shape[1] >= 2 * count:
            low, high = np.sort(values)[count - 1], np.sort(values)[-count]
            if ritz[0] >= low - CONVERGED * size and ritz[-1] <= high + CONVERGED * size:
                verified = bool(good[0] and good[-1])
                break
        if not taken:
            break
        new = basis.T @ vectors[:, taken]
        locked = np.linalg.qr(np.hstack([locked, new]))[0]
        values, errors = np.append(values, ritz[taken]), np.append(errors, residual[taken])
    order = np.argsort(values)
    low, high = order[:count], order[::-1][:count]
    return Ends(values[low], errors[low], values[high], errors[high], locked[:, low], products, verified)


def _run(good: np.ndarray) -> int:
    return int(np.argmin(good)) if not good.all() else len(good)


def _lanczos(
    apply: Callable[[np.ndarray], np.ndarray], locked: np.ndarray, steps: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ritz values, residual bounds, the basis [steps, n] and the Ritz vectors in it, orthogonal to `locked`."""
    n = len(locked)
    start = np.random.Generator(np.random.PCG64(seed)).standard_normal(n)
    start -= locked @ (locked.T @ start)
    basis, diagonal, side = np.zeros((steps + 1, n)), [], []
    basis[0] = start / np.linalg.norm(start)
    for i in range(steps):
        w = np.array(apply(basis[i]))
        diagonal.append(float(basis[i] @ w))
        frame = basis[: i + 1]
        for _ in range(2):  # twice is enough (Parlett)
            w -= frame.T @ (frame @ w)
            w -= locked @ (locked.T @ w)
        size = float(np.linalg.norm(w))
        side.append(size)
        if size < 1e-12 * max(abs(d) for d in diagonal) or size == 0.0:
            break
        basis[i + 1] = w / size
    k = len(diagonal)
    ritz, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(side[: k - 1], 1) + np.diag(side[: k - 1], -1))
    return ritz, side[k - 1] * np.abs(vectors[-1]), basis[:k], vectors


def _operator(
    network: AbstractNetwork, objective: Objective, part: str | None
) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """The Hessian as an operator, and its size."""
    place = place_of(network, part)
    with jax.enable_x64(True):
        network = jax.tree.map(jnp.asarray, network)
        objective = jax.tree.map(jnp.asarray, objective)
        size = ravel_pytree(network)[0].shape[0]

    def apply(vector: np.ndarray) -> np.ndarray:
        whole = np.zeros(size)
        whole[place] = vector
        with jax.enable_x64(True):
            return np.asarray(_product(network, objective, jnp.asarray(whole)))[place]

    return apply, len(np.arange(size)[place])


def _block(network: AbstractNetwork, objective: Objective, part: str | None) -> np.ndarray:
    place = place_of(network, part)
    return hessian(network, objective)[place][:, place]


def place_of(network: AbstractNetwork, part: str | None) -> Any:
    """Where an array of weights stands in the vector of all of them."""
    if part is None:
        return slice(None)
    arrays = network.arrays()
    if part not in arrays:
        raise ValueError(f"This network has no weights named {part!r}: it has {', '.join(map(repr, arrays))}.")
    marked = network.with_arrays({name: np.full(np.shape(a), float(name == part)) for name, a in arrays.items()})
    with jax.enable_x64(True):
        return np.flatnonzero(np.asarray(ravel_pytree(marked)[0]))


@eqx.filter_jit
def _dense(network, objective):
    y, unravel = ravel_pytree(network)
    return jax.hessian(lambda y: objective.loss(unravel(y)))(y)


@eqx.filter_jit
def _product(network, objective, vector):
    y, unravel = ravel_pytree(network)
    return jax.jvp(jax.grad(lambda y: objective.loss(unravel(y))), (y,), (vector,))[1]
