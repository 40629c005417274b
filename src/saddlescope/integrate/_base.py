r"""What an integrator needs to know of a motion, and what a method is.

The motions here are gradient systems, $\dot y = -\nabla L(y)$, so that $\dot L = -|\dot y|^2$: one evaluation gives the loss, its slope and
the speed together. A motion may have **modes**, discrete states between which its formula changes (the pattern of active units of
a piecewise linear network); guards tell when a mode ends.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class AbstractField(eqx.Module):
    r"""A gradient system, perhaps with modes.

    **What a newcomer must write:** `__call__(y, mode) -> (loss, velocity)`. With modes also `guards`, which are non-negative
    as long as the mode holds, and `transition`, the mode after some guards have been crossed; and `has_modes` = True.
    """

    @abc.abstractmethod
    def __call__(
        self, y: Float[Array, " n"], mode: Int[Array, " m"]
    ) -> tuple[Float[Array, ""], Float[Array, " n"]]: ...

    @property
    def has_modes(self) -> bool:
        return False

    def initial_mode(self, y: Float[Array, " n"]) -> Int[Array, " m"]:
        return jnp.zeros((0,), jnp.int32)

    def guards(self, y: Float[Array, " n"], mode: Int[Array, " m"]) -> Float[Array, " g"]:
        raise NotImplementedError(f"{type(self).__name__} has no modes.")

    def transition(self, y: Float[Array, " n"], mode: Int[Array, " m"], crossed: Int[Array, " g"]) -> Int[Array, " m"]:
        raise NotImplementedError(f"{type(self).__name__} has no modes.")


class Method(NamedTuple):
    """An explicit Runge-Kutta pair with dense output.

    **Arguments:**

    - `order`: of the solution that is carried on.
    - `stages` [s + 1, s + 1]: row i has the weights of the stages before it; the last row is the step itself, so that
        the last stage is the first of the next step.
    - `errors`: rows of weights [k, s + 1] of the error estimates; one, or (fifth order, third order) for DOP853.
    - `extra` [e, s + 1 + e]: further stages for dense output.
    - `dense`: see `driver._interpolate`; (kind, weights).
    - `autonomous`: always; gradient flow does not depend on t, so no nodes are stored.
    """

    order: int
    stages: np.ndarray
    errors: np.ndarray
    extra: np.ndarray
    dense: np.ndarray
    dense_kind: str
