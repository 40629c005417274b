r"""Linear units, $\phi(x; u) = u \cdot x$.

The network stays linear in x, but not in its weights: directions of the data, not units, separate in time, because a
direction grows at a rate set by its singular value in $E[y x^\top]$, whoever carries it.
"""

from typing import ClassVar, Literal

from jaxtyping import Array, Float

from ._base import AbstractNeuron


class Linear(AbstractNeuron):
    r"""$\phi(x; u) = u \cdot x$."""

    degree: ClassVar[int | None] = 1
    linear: ClassVar[bool] = True
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 1
    parity: ClassVar[Literal["odd", "even", "none"]] = "odd"

    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return z

    @property
    def psi_name(self) -> str:
        return "inputs"

    def psi(self, x: Float[Array, " inputs"]) -> Float[Array, "1 inputs"]:
        return x[None]

    def lift(self, u: Float[Array, " inputs"]) -> Float[Array, " inputs"]:
        return u
