r"""One-dimensional convolutional kernels, $\phi_p(x; u) = \sigma(u \cdot x_p)$ for the patches $x_p$ of a signal.

A kernel is a neuron that looks at every patch: one feature a position, each with its own readout weights. All its facts
are those of the neuron inside.
"""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractNeuron, AbstractUnit, Dims


class Kernel(AbstractUnit):
    r"""A kernel of `size` weights moved along a signal in steps of `stride`, without padding.

    **Arguments:**

    - `neuron`: what is computed on a patch.
    - `size`, `stride`: positive integers. Patches overlap where the stride is smaller than the size.
    """

    neuron: AbstractNeuron
    size: int = eqx.field(static=True)
    stride: int = eqx.field(static=True)

    form: ClassVar[str] = "signals"

    @property
    def degree(self) -> int | None:
        return self.neuron.degree

    @property
    def linear(self) -> bool:
        return self.neuron.linear

    @property
    def silent(self) -> bool:
        return self.neuron.silent

    @property
    def order(self) -> int:
        return self.neuron.order

    @property
    def parity(self) -> Literal["odd", "even", "none"]:
        return self.neuron.parity

    @property
    def kinks(self) -> bool:
        return self.neuron.kinks

    def patches(self, x: Float[Array, " length"]) -> Float[Array, "positions size"]:
        starts = jnp.arange(self.positions(x.shape[0])) * self.stride
        return x[starts[:, None] + jnp.arange(self.size)[None, :]]

    def positions(self, length: int) -> int:
        return (length - self.size) // self.stride + 1

    def __call__(self, x: Float[Array, " length"], u: Float[Array, " size"]) -> Float[Array, " positions"]:
        return jax.vmap(self.neuron, in_axes=(0, None))(self.patches(x), u)[:, 0]

    def schema(self, x_shape: tuple[int, ...], outputs: int) -> dict[str, Dims]:
        if len(x_shape) != 1 or x_shape[0] < self.size:
            raise ValueError(
                f"A kernel of size {self.size} takes signals of shape [length] with length >= {self.size}: the task "
                f"gives {list(x_shape)} for one sample. Use a smaller kernel_size, or x of shape [samples, length]."
            )
        return {"u": {"kernel": self.size}, "v": {"positions": self.positions(x_shape[0]), "outputs": outputs}}

    @property
    def psi_name(self) -> str | None:
        return {"inputs": "patches"}.get(
            self.neuron.psi_name or "", self.neuron.psi_name and f"patches {self.neuron.psi_name}"
        )

    def psi(self, x: Float[Array, " length"]) -> Float[Array, "positions psi"]:
        return jax.vmap(self.neuron.psi)(self.patches(x))[:, 0]

    def lift(self, u: Float[Array, " size"]) -> Float[Array, " psi"]:
        return self.neuron.lift(u)

    def kink_rows(self, x: Float[Array, " length"]) -> Float[Array, "positions size"]:
        return jax.vmap(self.neuron.kink_rows)(self.patches(x))[:, 0]

    @property
    def kink_slopes(self) -> tuple[float, float]:
        return self.neuron.kink_slopes
