r"""Hyperbolic tangent units, $\phi(x; u) = \tanh(u \cdot x)$.

Linear near the origin and saturating away from it: the first plateau is that of a linear network, but there is no
rank-one invariant manifold to carry a second one.
"""

from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractNeuron


class Tanh(AbstractNeuron):
    r"""$\phi(x; u) = \tanh(u \cdot x)$."""

    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 1
    parity: ClassVar[Literal["odd", "even", "none"]] = "odd"

    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.tanh(z)
