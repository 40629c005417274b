r"""What an integrator needs to know of a motion, and what a method is.

The motions here are gradient systems, $\dot y = -\nabla L(y)$, so that $\dot L = -|\dot y|^2$: one evaluation gives the loss, its slope and
the speed together. A motion may have **modes**, discrete states between which its formula changes (the pattern of active units of
a piecewise linear network); guards tell when a mode ends.
"""

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
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

    def jacobian(self, y: Float[Array, " n"], mode: Int[Array, " m"]) -> Float[Array, "n n"]:
        """Of the velocity: minus the Hessian of L, symmetric."""
        return jax.jacfwd(lambda y: self(y, mode)[1])(y)

    def initial_mode(self, y: Float[Array, " n"]) -> Int[Array, " m"]:
        return jnp.zeros((0,), jnp.int32)

    def guards(self, y: Float[Array, " n"], mode: Int[Array, " m"]) -> Float[Array, " g"]:
        raise NotImplementedError(f"{type(self).__name__} has no modes.")

    def transition(self, y: Float[Array, " n"], mode: Int[Array, " m"], crossed: Int[Array, " g"]) -> Int[Array, " m"]:
        raise NotImplementedError(f"{type(self).__name__} has no modes.")


class Attempt(NamedTuple):
    """One step tried from a state; whether it counts is the driver's question.

    - `y`, `loss`, `velocity`: at its end.
    - `error`: in units of the tolerance, as a root mean square over components.
    - `stretch`: step size times the fastest rate of the motion, as far as the method can see it.
    - `inside`: makes the dense output when somebody looks: returns the solution at a fraction of the step, and the gradients that it took.
    - `evaluations`, `hessians`: what the attempt cost.
    """

    y: Float[Array, " n"]
    loss: Float[Array, ""]
    velocity: Float[Array, " n"]
    error: Float[Array, ""]
    stretch: Float[Array, ""]
    inside: Callable[[], tuple[Callable[[Array], Array], int]]
    evaluations: int
    hessians: int


class AbstractMethod(abc.ABC):
    """A one-step method with an error estimate and dense output.

    **What a newcomer must write:** `order`, of the solution that is carried on; `reach`, the largest |step x rate| at which the method is stable (infinite
    where it always is); `attempt`. Then its name in `METHODS` and an order test.
    """

    order: int
    reach: float

    @abc.abstractmethod
    def attempt(
        self,
        field: AbstractField,
        y: Float[Array, " n"],
        mode: Int[Array, " m"],
        loss: Float[Array, ""],
        velocity: Float[Array, " n"],
        h: Float[Array, ""],
        tolerance: Callable[[Array], Array],
    ) -> Attempt:
        """Tries a step of size h; `tolerance` gives the allowed error of each component from the solution at the end."""


def rms(values: Float[Array, " n"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(values**2))
