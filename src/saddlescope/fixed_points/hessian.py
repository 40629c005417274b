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
from ..objective import hessian as dense_hessian

#: Up to this many weights the Hessian is computed whole.
DENSE = 600
#: Steps of Lanczos beyond; the lowest eigenvalue of relative size 1e-4 is found well before.
LANCZOS_STEPS = 200
#: Where several eigenvalues are asked for, a run that has not found them may go on for so long.
MOST_STEPS = 1000
#: Its basis takes at most this much memory: very large networks get fewer steps, and a coarser answer.
LANCZOS_BYTES = 256 * 2**20
#: A Ritz pair has converged where its residual is below this part of the largest eigenvalue.
CONVERGED = 1e-10


def hessian(network: AbstractNetwork, objective: Objective) -> np.ndarray:
    """The Hessian [weights, weights] of the loss, in the order of `flow.weights_of`."""
    with jax.enable_x64(True):
        matrix = np.asarray(_dense(jax.tree.map(jnp.asarray, network), jax.tree.map(jnp.asarray, objective)))
    return 0.5 * (matrix + matrix.T)


def gradient(network: AbstractNetwork, objective: Objective) -> np.ndarray:
    """First derivatives in all weights, in the order of `flow.weights_of`."""
    with jax.enable_x64(True):
        return np.asarray(_slope(jax.tree.map(jnp.asarray, network), jax.tree.map(jnp.asarray, objective)))


class Ends(NamedTuple):
    """Both ends of a Hessian's spectrum.

    - `lowest` ascending, `largest` descending; `lowest_error`, `largest_error`: an eigenvalue lies within this of each (residual bound of Lanczos;
        rounding where the whole spectrum was computed).
    - `vectors` [weights, count]: of the lowest.
    - `products`: Hessian-vector products used.
    - `verified`: whether a last search from a new random direction found nothing further out. Otherwise eigenvalues may be missing, also further
        out, and those listed may be known coarsely only: `lowest` is an upper bound, `largest` a lower one.

    A value occurs at least as often as it is listed; if it is the last one listed, it may occur more often.
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
    return ends(apply, n, count, max(min(MOST_STEPS, LANCZOS_BYTES // (8 * n)), 20))


def ends_of_matrix(matrix: np.ndarray, count: int) -> Ends:
    values, vectors = np.linalg.eigh(matrix)
    count = min(count, len(values))
    error = np.full(count, len(values) * np.finfo(np.float64).eps * max(abs(values[0]), abs(values[-1])))
    return Ends(values[:count], error, values[::-1][:count], error, vectors[:, :count], len(values), True)


def ends(apply: Callable[[np.ndarray], np.ndarray], n: int, count: int, most_steps: int = LANCZOS_STEPS) -> Ends:
    """Both ends of the spectrum of a symmetric operator on vectors of length n, by Lanczos with locking.

    One Krylov space sees each distinct eigenvalue once, whatever its multiplicity. So what has converged (residual below 1e-10 of the
    largest) is locked and projected out, and Lanczos starts again from another random direction, until `count` have been found at either end
    and a further search finds none beyond. Where `most_steps` do not bring it to converge, what it has is returned with its errors, not verified.
    """
    count = min(count, n)
    locked, values = np.zeros((n, 0)), np.zeros(0)
    rest, others = np.zeros(0), np.zeros((n, 0))
    products, verified, size = 0, False, 1e-300
    for attempt in range(4 * count + 8):
        left = n - locked.shape[1]
        if left == 0:
            verified, rest, others = True, np.zeros(0), np.zeros((n, 0))
            break
        wanted = 1 if attempt else count
        ritz, residual, basis, vectors = _lanczos(apply, locked, min(most_steps, left), attempt, wanted)
        products += len(ritz)
        size = max(size, np.max(np.abs(ritz)))
        good = residual <= CONVERGED * size
        known = np.sort(values)
        low = len(known) < count or ritz[0] < known[count - 1] - CONVERGED * size
        high = len(known) < count or ritz[-1] > known[-count] + CONVERGED * size
        # runs of converged pairs from either end: what lies between is not complete
        first, last = min(_run(good), count), min(_run(good[::-1]), count)
        edges = sorted({*range(min(count, len(ritz))), *range(max(len(ritz) - count, 0), len(ritz))})
        rest, others = ritz[edges], basis.T @ vectors[:, edges]
        if not low and not high:
            verified = bool(good[0] and good[-1])
            if verified:  # what it found further in may not have converged
                rest, others = np.zeros(0), np.zeros((n, 0))
            break
        if (low and not first) or (high and not last):
            break
        taken = sorted({*range(first if low else 0), *range(len(ritz) - (last if high else 0), len(ritz))})
        locked = np.hstack([locked, _normal(locked, basis.T @ vectors[:, taken])])
        values = np.append(values, ritz[taken])
        rest, others = np.zeros(0), np.zeros((n, 0))
    values, locked = np.append(values, rest), np.hstack([locked, others])
    order = np.argsort(values)
    low, high = order[:count], order[::-1][:count]
    # bounds of the operator itself, not of what locking left of it; as good as a product is
    rounding = np.sqrt(n) * np.finfo(np.float64).eps * size
    bounds = {
        k: float(np.linalg.norm(apply(locked[:, k]) - values[k] * locked[:, k])) + rounding for k in {*low, *high}
    }
    return Ends(
        values[low],
        np.array([bounds[k] for k in low]),
        values[high],
        np.array([bounds[k] for k in high]),
        locked[:, low],
        products + len(bounds),
        verified,
    )


def _run(good: np.ndarray) -> int:
    return int(np.argmin(good)) if not good.all() else len(good)


def _normal(locked: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Columns made orthogonal to `locked` and each other, in their order: each nearly is."""
    return np.linalg.qr(new - locked @ (locked.T @ new))[0]


def _lanczos(
    apply: Callable[[np.ndarray], np.ndarray], locked: np.ndarray, steps: int, seed: int, wanted: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ritz values, residual bounds, the basis [steps, n] and the Ritz vectors in it, orthogonal to `locked`.

    Stops early once `wanted` pairs have converged at either end.
    """
    n = len(locked)
    start = np.random.Generator(np.random.PCG64(seed)).standard_normal(n)
    start -= locked @ (locked.T @ start)
    basis, diagonal, side = np.zeros((steps + 1, n)), [], []
    basis[0] = start / np.linalg.norm(start)
    look = 20
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
        if wanted is not None and i + 1 == look:
            ritz, residual, _ = _ritz(diagonal, side)
            good = residual <= CONVERGED * np.abs(ritz).max()
            if min(_run(good), _run(good[::-1])) >= wanted:
                break
            look += look // 2
    ritz, residual, vectors = _ritz(diagonal, side)
    return ritz, residual, basis[: len(ritz)], vectors


def _ritz(diagonal: list[float], side: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    k = len(diagonal)
    ritz, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(side[: k - 1], 1) + np.diag(side[: k - 1], -1))
    return ritz, side[k - 1] * np.abs(vectors[-1]), vectors


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
def _slope(network, objective):
    return ravel_pytree(objective.loss_and_gradient(network)[1])[0]


@eqx.filter_jit
def _dense(network, objective):
    return dense_hessian(objective, network)


@eqx.filter_jit
def _product(network, objective, vector):
    y, unravel = ravel_pytree(network)
    return jax.jvp(jax.grad(lambda y: objective.loss(unravel(y))), (y,), (vector,))[1]
