r"""Linearly dependent units: of low rank and staying so, where $\phi$ is linear in $u$."""

import equinox as eqx
import numpy as np

from ..units import Facts
from ._base import AbstractManifold


class Rank(AbstractManifold):
    r"""All units in the span of `width` of them (Theorem 3, linear $\phi$; one unit less is `width` $= H - 1$).

    $$\mathrm{rank}\,[\,U \; V\,] \le h, \qquad d^2 = \sum_{k > h} \sigma_k^2 ,$$

    with $\sigma_k$ the singular values of $[U \; V]$. Both gradients are $[U \; V]$ times a matrix from the right ($\nabla_U = V M$, $\nabla_V = U M^\top$), so that
    the span of its columns never grows.

    **Arguments:**

    - `width`: $h$, at least 0; 0 is the origin. From $h$ = units on, the set is everything.

    **Shapes:** $[U \; V]$ [units, weights + features $\times$ outputs].

    **Holds** exactly, to rounding, for $\phi$ linear in $u$. `nearest` is exact (Eckart & Young, 1936), and unique where $\sigma_h > \sigma_{h+1}$. `normal` at a point of rank
    $r < h$, counted as `numpy.linalg.matrix_rank` does, is the distance to the tangent cone there: directions of rank $h - r$ are free.

    **Raises:** `ValueError` if `width` is negative.
    """

    width: int = eqx.field(static=True)

    def __check_init__(self):
        if self.width < 0:
            raise ValueError(f"Rank(width={self.width}) needs a width of at least 0.")

    def refuses(self, facts: Facts) -> str | None:
        if facts.linear:
            return None
        return "units that depend linearly on each other stay so only where phi is linear in u. " + (
            "Rays holds for phi of degree 1." if facts.degree == 1 else "Copies holds for any phi."
        )

    def project(self, theta: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        return _truncated(theta, self.width)

    def normal_part(self, point: np.ndarray, flow: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        left, values, right = np.linalg.svd(point, full_matrices=False)
        floor = max(point.shape) * np.finfo(np.float64).eps * values[0] if values.size else 0.0
        rank = min(int(np.sum(values > floor)), self.width)
        left, right = left[:, :rank], right[:rank]
        rest = flow - left @ (left.T @ flow)
        rest = rest - (rest @ right.T) @ right
        return rest - _truncated(rest, self.width - rank)


def _truncated(theta: np.ndarray, rank: int) -> np.ndarray:
    """The nearest matrix of at most this rank."""
    if rank >= min(theta.shape):
        return theta
    left, values, right = np.linalg.svd(theta, full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank]
