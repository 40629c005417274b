r"""Sine units, $\phi(x; u) = \sin(u \cdot x)$.

Linear near the origin like tanh, and bounded, but not monotone: a unit whose weights grow oscillates in place of saturating.
"""

from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractNeuron


class Sine(AbstractNeuron):
    r"""$\phi(x; u) = \sin(u \cdot x)$."""

    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 1
    parity: ClassVar[Literal["odd", "even", "none"]] = "odd"

    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.sin(z)
