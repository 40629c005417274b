r"""Rectified linear units, $\phi(x; u) = \max(u \cdot x, 0)$, with $\phi'(0) = 0$.

Homogeneous of degree 1, so proportional units act as one: weights gather on rays. Where $u \cdot x = 0$ for a sample the
gradient jumps; `kink_rows` says where, so that the flow can cross such kinks, or slide along them, exactly.
"""

from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractNeuron


class ReLU(AbstractNeuron):
    r"""$\phi(x; u) = \max(u \cdot x, 0)$."""

    degree: ClassVar[int | None] = 1
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 1
    parity: ClassVar[Literal["odd", "even", "none"]] = "none"

    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(z > 0, z, 0.0)  # not jnp.maximum, whose gradient at 0 is 1/2

    @property
    def kinks(self) -> bool:
        return True

    def kink_rows(self, x: Float[Array, " inputs"]) -> Float[Array, "1 inputs"]:
        return x[None]
