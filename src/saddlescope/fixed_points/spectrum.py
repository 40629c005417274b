r"""The Hessian's spectrum at a point: how many directions lead down, how many are flat, and how sure that is."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..networks import AbstractNetwork
from ..objective import Objective
from .hessian import gradient, hessian, place_of
from .symmetry import symmetries

#: Eigenvalues count as zero below this part of the largest: the formulas of the index hold with it on linear networks.
ZERO_EIGENVALUE = 1e-6
#: An eigenvalue within this factor of the threshold, on either side, could be counted either way.
DOUBT = 10.0
#: A Newton step shorter than this part of the weights changes the Hessian by no more than rounding does.
NO_STEP = 1e-12


class Spectrum(NamedTuple):
    r"""All eigenvalues of the Hessian, counted.

    - `values` [weights]: ascending; those of symmetry directions are in it as they came out.
    - `index`: how many are below $-10^{-6}$ of the largest. `nullity`: how many within $\pm 10^{-6}$ of it, symmetry directions included.
    - `index_interval`, `nullity_interval`: smallest and largest possible number. A symmetry direction is zero for certain; any other eigenvalue, wrong by up to
        `error`, could be counted either way within a factor of 10 of the threshold.
    - `symmetries`: the number of symmetry directions that are flat here (at a fixed point all of them; bent ones count as what they are).
    - `error`: by how much an eigenvalue may be wrong: the largest of rounding, how much the symmetry directions that count as flat are bent, and how
        much a Newton step to where the gradient vanishes changes the Hessian.
    - `direction` [weights]: of the lowest eigenvalue, orthogonal to all symmetries.
    - `parts`: lowest and largest eigenvalue of the diagonal block of each array of weights.
    """

    values: np.ndarray
    index: int
    nullity: int
    index_interval: tuple[int, int]
    nullity_interval: tuple[int, int]
    symmetries: int
    error: float
    direction: np.ndarray
    parts: dict[str, tuple[float, float]]

    @property
    def lowest(self) -> float:
        return float(self.values[0])

    @property
    def largest(self) -> float:
        return float(self.values[-1])


def spectrum(network: AbstractNetwork, objective: Objective) -> Spectrum:
    """The dense spectrum: n^3 operations for n weights (0.1 s for 600, 20 s for 3000).

    Meant for fixed points: beside them symmetry directions are no null vectors, `error` is large and the intervals are wide. Takes two Hessians
    where the gradient does not vanish to rounding.
    """
    matrix = hessian(network, objective)
    parts = {}
    for name in network.arrays():
        place = place_of(network, name)
        values = np.linalg.eigvalsh(matrix[place][:, place])
        parts[name] = (float(values[0]), float(values[-1]))
    return of_matrix(matrix, symmetries(network).basis, beside=_beside(network, objective, matrix))._replace(
        parts=parts
    )


def _beside(network: AbstractNetwork, objective: Objective, matrix: np.ndarray) -> float:
    """How much the Hessian changes (its norm) over a Newton step: 0 to rounding at a fixed point."""
    with jax.enable_x64(True):
        here, unravel = ravel_pytree(jax.tree.map(jnp.asarray, network))
        here = np.asarray(here)
        slope = gradient(network, objective)
        values, vectors = np.linalg.eigh(matrix)
        along = vectors.T @ slope
        stiff = np.abs(values) > ZERO_EIGENVALUE * np.abs(values).max(initial=0.0)
        step = vectors[:, stiff] @ (along[stiff] / values[stiff])
        if not np.linalg.norm(step) > NO_STEP * np.linalg.norm(here):
            return 0.0
        change = hessian(unravel(jnp.asarray(here - step)), objective) - matrix
    return float(np.abs(np.linalg.eigvalsh(change)).max())


def of_matrix(matrix: np.ndarray, flat: np.ndarray, size: float = 0.0, beside: float = 0.0) -> Spectrum:
    """The spectrum of a symmetric matrix with known null directions `flat` [weights, directions], orthonormal.

    Zero is relative to the largest of the eigenvalues, or to `size` if that is larger. `beside`: what is known otherwise of an eigenvalue's error.
    What of `flat` is bent by more than zero is no null direction of this matrix, and is counted by its eigenvalues like the rest.
    """
    values, vectors = np.linalg.eigh(matrix)
    size = max(float(values[-1]), -float(values[0]), size)
    zero = ZERO_EIGENVALUE * size
    error = max(len(matrix) * np.finfo(np.float64).eps * size, beside)
    rest, direction = values, vectors[:, 0]
    if flat.shape[1]:
        _, bent, mixed = np.linalg.svd(matrix @ flat, full_matrices=False)
        error = max(error, float(np.max(bent[bent <= zero], initial=0.0)))
        flat = flat @ mixed[bent <= zero].T
    if flat.shape[1]:
        # the spectrum of what is left once the null directions are taken out
        frame = np.linalg.qr(flat, mode="complete")[0][:, flat.shape[1] :]
        rest, inside = np.linalg.eigh(frame.T @ matrix @ frame)
        direction = frame @ inside[:, 0] if rest.size else direction
    index, nullity = int(np.sum(rest < -zero)), int(np.sum(np.abs(rest) <= zero)) + flat.shape[1]
    negative = int(np.sum(rest + error < -DOUBT * zero)), int(np.sum(rest - error < -zero / DOUBT))
    flat_too = int(np.sum(np.abs(rest) + error <= zero / DOUBT)), int(np.sum(np.abs(rest) - error <= DOUBT * zero))
    return Spectrum(
        values,
        index,
        nullity,
        negative,
        (flat.shape[1] + flat_too[0], flat.shape[1] + flat_too[1]),
        flat.shape[1],
        error,
        direction,
        {},
    )
