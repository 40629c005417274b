r"""Explicit Runge-Kutta methods: cheap steps, as long as the stiffest direction allows.

Their steps end where |step x stiffest rate| reaches `reach`, whatever the tolerance: on a plateau after the first drops that is short against
the plateau. How near a step is to that limit shows in its last two stages, which are at the same time (Hairer & Wanner, IV.2).
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from ._base import AbstractField, AbstractMethod, Attempt
from .sampling import put

#: From this many weights on, combining stages is bound by memory.
WIDE = 50_000


class Explicit(AbstractMethod):
    """An explicit Runge-Kutta pair with dense output.

    **Arguments:**

    - `order`: of the solution that is carried on.
    - `stages` [s + 1, s + 1]: row i has the weights of the stages before it; the last row is the step itself, so that
        the last stage is the first of the next step.
    - `errors`: rows of weights [k, s + 1] of the error estimates; one, or (fifth order, third order) for DOP853.
    - `extra` [e, s + 1 + e]: further stages for dense output.
    - `dense`: see `_interpolant`; of kind `dense_kind`.
    - `reach`: where the stability region ends on the negative real axis.

    No nodes are stored: gradient flow does not depend on t.
    """

    def __init__(
        self,
        order: int,
        stages: np.ndarray,
        errors: np.ndarray,
        extra: np.ndarray,
        dense: np.ndarray,
        dense_kind: str,
        reach: float,
    ):
        self.order, self.stages, self.errors, self.extra = order, stages, errors, extra
        self.dense, self.dense_kind, self.reach = dense, dense_kind, reach

    def attempt(self, field, y, mode, loss, velocity, h, tolerance) -> Attempt:
        last = self.stages.shape[0] - 1

        # what a field is evaluated at travels in the carry, so that it is computed once: otherwise XLA fuses its formula into every sum over it
        def stage(i, carry):
            k, point, _ = carry
            loss, velocity = field(point, mode)
            k = put(k, i, velocity)
            return k, y + h * self._combined(i + 1, k), loss

        k = jnp.zeros((last + 1, y.shape[0])).at[0].set(velocity)
        # after the last stage the index stays at the last row, which is the step itself
        k, end, end_loss = lax.fori_loop(1, last + 1, stage, (k, y + h * self._combined(1, k), loss))
        error = self._error(k, h, tolerance(end))
        # the last two stages are both at the end of the step: their difference shows the stiffest rate (Hairer & Wanner, IV.2)
        apart = h * ((self.stages[last] - self.stages[last - 1]) @ k)
        far = jnp.linalg.norm(apart)
        stretch = jnp.where(far > 0, h * jnp.linalg.norm(k[last] - k[last - 1]) / jnp.where(far > 0, far, 1.0), 0.0)

        def inside():
            looked = self._extra_stages(field, y, mode, k, h)
            return self._interpolant(y, end, looked, h), self.extra.shape[0]

        return Attempt(end, end_loss, k[last], error, stretch, inside, last, 0)

    def _combined(self, i, k: Array) -> Array:
        """Stage i's combination of the velocities before it."""
        if k.shape[1] < WIDE:
            return lax.dynamic_index_in_dim(jnp.asarray(self.stages), i, keepdims=False) @ k
        # memory decides here: read only the rows that are there
        rows = [lambda k, j=j: self.stages[j, :j] @ k[:j] for j in range(1, len(self.stages))]
        return lax.switch(i - 1, rows, k)

    def _error(self, k: Array, h: Array, tolerance: Array) -> Array:
        """The error of a step in units of its tolerance, as a root mean square over components."""
        weights = jnp.asarray(self.errors)
        estimates = (weights @ k) / tolerance
        squares = jnp.sum(estimates**2, axis=1)
        n = k.shape[1]
        if squares.shape[0] == 1:
            return h * jnp.sqrt(squares[0] / n)
        # DOP853 (Hairer, Norsett & Wanner, II.10): the fifth-order estimate, damped by the third-order one
        total = squares[0] + 0.01 * squares[1]
        return jnp.where(total > 0, h * squares[0] / jnp.sqrt(jnp.where(total > 0, total, 1.0) * n), 0.0)

    def _extra_stages(self, field: AbstractField, y: Array, mode: Array, k: Array, h: Array) -> Array:
        """The stages with those that dense output needs besides."""
        extra = jnp.asarray(self.extra)
        first = k.shape[0]
        k = jnp.concatenate([k, jnp.zeros((extra.shape[0], y.shape[0]))])
        if not extra.shape[0]:
            return k

        def point(i, k):
            return y + h * (lax.dynamic_index_in_dim(extra, i, keepdims=False) @ k)

        def stage(i, carry):
            k, at = carry
            _, velocity = field(at, mode)
            k = put(k, first + i, velocity)
            return k, point(i + 1, k)

        return lax.fori_loop(0, extra.shape[0], stage, (k, point(0, k)))[0]

    def _interpolant(self, y0: Array, y1: Array, k: Array, h: Array) -> Callable[[Array], Array]:
        """Fraction of a step from y0 to y1 -> the solution there; what does not depend on the fraction is computed here."""
        dense = jnp.asarray(self.dense)
        if self.dense_kind == "polynomial":
            terms = h * (dense.T @ k)
            return lambda x: y0 + x ** jnp.arange(1, dense.shape[1] + 1) @ terms
        # DOP853 (Hairer, Norsett & Wanner, II.6): nested in x and 1 - x
        change = y1 - y0
        first, last = k[0], k[len(self.stages) - 1]
        terms = jnp.stack([change, h * first - change, 2 * change - h * (first + last), *(h * (dense @ k))])

        def at(x: Array) -> Array:
            total = jnp.zeros_like(y0)
            for i in reversed(range(terms.shape[0])):
                total = (total + terms[i]) * (x if i % 2 == 0 else 1 - x)
            return y0 + total

        return at
