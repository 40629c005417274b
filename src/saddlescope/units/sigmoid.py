r"""Sigmoid units, $\phi(x; u) = 1 / (1 + e^{-u \cdot x})$.

Never silent: a unit with $u = 0$ still puts out one half. So no unit can be added without effect, the origin is no fixed point unless the
targets have mean zero, and the network begins by learning a constant.
"""

from typing import ClassVar, Literal

import jax
from jaxtyping import Array, Float

from ._base import AbstractNeuron


class Sigmoid(AbstractNeuron):
    r"""$\phi(x; u) = 1 / (1 + e^{-z})$, $z = u \cdot x$."""

    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = False
    order: ClassVar[int] = 0
    parity: ClassVar[Literal["odd", "even", "none"]] = "none"

    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.sigmoid(z)
