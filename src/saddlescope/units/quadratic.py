r"""Quadratic units, $\phi(x; u) = (u \cdot x)^2$.

The smallest unit that learns in stages even where the data favour no direction: near the origin each unit grows at a
rate set by its own size, so a unit that starts ahead runs away while the others are still close to zero.
"""

from typing import ClassVar, Literal

from jaxtyping import Array, Float

from ._base import AbstractNeuron, outer_features, outer_weights


class Quadratic(AbstractNeuron):
    r"""$\phi(x; u) = (u \cdot x)^2$ (no factor 1/2)."""

    degree: ClassVar[int | None] = 2
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 2
    parity: ClassVar[Literal["odd", "even", "none"]] = "even"

    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return z**2

    @property
    def psi_name(self) -> str:
        return "outer"

    def psi(self, x: Float[Array, " inputs"]) -> Float[Array, "1 pairs"]:
        return outer_features(x)[None]

    def lift(self, u: Float[Array, " inputs"]) -> Float[Array, " pairs"]:
        return outer_weights(u)
