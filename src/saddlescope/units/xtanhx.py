r"""Units $\phi(x; u) = z \tanh z$ with $z = u \cdot x$.

Quadratic near the origin, so units separate in time by their own size; absolute value far from it, so no power of a large unit's
weights is special.
"""

from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractNeuron


class XTanhX(AbstractNeuron):
    r"""$\phi(x; u) = z \tanh z$, $z = u \cdot x$."""

    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 2
    parity: ClassVar[Literal["odd", "even", "none"]] = "even"

    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return z * jnp.tanh(z)
