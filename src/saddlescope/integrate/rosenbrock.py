r"""A Rosenbrock method: steps as long as the solution is smooth, whatever the stiffest direction, for one Hessian and one factorisation each.

On a plateau after the first drops the slow motion lasts tens of thousands of the stiffest direction's times, and an explicit method has to
resolve every one of them. The Jacobian of gradient flow is minus the Hessian of the loss, so a step solves with $1/(h\gamma) + H$.
"""

import functools
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._base import AbstractMethod, Attempt
from .sampling import put

#: Products with the Hessian that estimate its largest eigenvalue, from the velocity and a fixed vector: enough for a factor of 1.2.
PRODUCTS = 4


class Rosenbrock(AbstractMethod):
    """A stiffly accurate Rosenbrock method in the form of Kaps, Poon & Rentrop (Hairer & Wanner, IV.7), for systems that do not depend on t.

    **Arguments:**

    - `order`: of the solution that is carried on; its error estimate is the last stage.
    - `gamma`, `a` [s, s], `c` [s, s]: (1/(h gamma) - J) k_i = f(y + sum a_ij k_j) + sum c_ij k_j / h.
    - `dense` [d, s]: see `_interpolant`.
    """

    reach = float("inf")

    def __init__(self, order: int, gamma: float, a: np.ndarray, c: np.ndarray, dense: np.ndarray):
        self.order, self.gamma, self.a, self.c, self.dense = order, gamma, a, c, dense

    def attempt(self, field, y, mode, loss, velocity, h, tolerance) -> Attempt:
        stages, n = len(self.a), y.shape[0]
        jacobian = field.jacobian(y, mode)
        first, second, permutation = _factors(jnp.eye(n) / (h * self.gamma) - jacobian)
        a, c = jnp.asarray(self.a), jnp.asarray(self.c)

        def solve(right):
            forward = lax.linalg.triangular_solve(first, right[permutation][:, None], left_side=True, lower=True)
            return lax.linalg.triangular_solve(second, forward, left_side=True, lower=True, transpose_a=True)[:, 0]

        def stage(i, carry):
            k, _ = carry
            at = y + a[i] @ k
            _, slope = field(at, mode)
            return put(k, i, solve(slope + (c[i] @ k) / h)), at

        k = jnp.zeros((stages, n)).at[0].set(solve(velocity))
        k, at = lax.fori_loop(1, stages, stage, (k, y))
        end = at + k[-1]
        end_loss, end_velocity = field(end, mode)
        scaled = k[-1] / tolerance(end)
        error = jnp.sqrt(jnp.mean(scaled**2))

        def inside():
            return self._interpolant(y, end, k), 0

        stretch = h * _largest(jacobian, end_velocity)
        return Attempt(end, end_loss, end_velocity, error, stretch, inside, stages, 1)

    def _interpolant(self, y0, y1, k):
        """Fraction of a step -> the solution there. Order 4, exact at both ends (Steinebach 2023)."""
        inner = jnp.asarray(self.dense) @ k

        def at(x):
            total = inner[-1]
            for row in inner[-2::-1]:
                total = row + x * total
            return (1 - x) * y0 + x * (y1 + (1 - x) * total)

        return at


def _factors(matrix):
    """Lower triangles and a permutation P of the right side, P x matrix = first x second^T, of a symmetric matrix.

    It is positive definite unless the step is long against the fastest way out, so that Cholesky's factors do almost always: an elimination with pivots
    takes three times as long, most of it in following the pivots one by one.
    """
    n = matrix.shape[0]
    factor = lax.linalg.cholesky(matrix, symmetrize_input=False)

    def eliminated():
        factor, _, permutation = lax.linalg.lu(matrix)
        return jnp.tril(factor, -1) + jnp.eye(n), jnp.triu(factor).T, permutation

    def found():
        return factor, factor, jnp.arange(n, dtype=jnp.int32)

    return lax.cond(jnp.isfinite(factor[-1, -1]), found, eliminated)


def _largest(jacobian, direction):
    """The largest size of an eigenvalue, from below: a few products, started off the slow directions."""
    n = jacobian.shape[0]
    start = jnp.sin(jnp.arange(1.0, n + 1)) + direction / (jnp.linalg.norm(direction) + 1e-300)

    def product(_, carry):
        v, _ = carry
        w = jacobian @ (v / (jnp.linalg.norm(v) + 1e-300))
        return w, jnp.linalg.norm(w)

    return lax.fori_loop(0, PRODUCTS, product, (start, jnp.zeros(())))[1]


@functools.cache
def rosenbrock_5() -> Rosenbrock:
    """Rodas5P (Steinebach 2023, *BIT* 63): order 5 with an error estimate of order 4, L-stable; 8 gradients, a Hessian and a factorisation a step."""
    text = (Path(__file__).parent / "rosenbrock.json").read_text(encoding="utf-8")
    numbers = {name: np.array(values) for name, values in json.loads(text).items()}
    return Rosenbrock(5, float(numbers["gamma"]), numbers["A"], numbers["C"], numbers["H"])
