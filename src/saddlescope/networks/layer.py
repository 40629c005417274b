r"""One layer of units, $f(x) = \sum_i \phi(x; u_i)\, v_i$: neurons, kernels or heads alike."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..units import AbstractUnit, features
from ._base import AbstractLens, AbstractNetwork, Arrays, Dims

#: Up to so many products a sum is faster than a call of a matrix product: it fuses with what is before and after it (measured 1.2 to 3 times).
SMALL = 5000


class Layer(AbstractNetwork):
    r"""$f(x) = \sum_i \phi(x; u_i)\, v_i$.

    **Arguments:**

    - `unit`: $\phi$ and its facts.
    - `u` [units, weights], `v` [units, features, outputs].
    - `schema`: the dimensions of one unit's named arrays, from `unit.schema`.
    - `name`: for titles.
    """

    unit: AbstractUnit
    u: Float[Array, "units weights"]
    v: Float[Array, "units features outputs"]
    schema: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = eqx.field(static=True)
    name: str = eqx.field(static=True, default="")

    @classmethod
    def zeros(cls, unit: AbstractUnit, units: int, x_shape: tuple[int, ...], outputs: int, name: str = "") -> "Layer":
        """A network of `units` units, all weights zero, for inputs of shape `x_shape`. Raises `ValueError` if they do not fit."""
        schema = unit.schema(x_shape, outputs)
        frozen = tuple((key, tuple(dims.items())) for key, dims in schema.items())
        sizes = [_size(dims) for dims in schema.values()]
        u = np.zeros((units, sum(sizes[:-1])))
        v = np.zeros((units, sizes[-1] // outputs, outputs))
        return cls(unit, u, v, frozen, name)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " outputs"]:
        return jnp.einsum("hf,hfo->o", features(self.unit, x, self.u), self.v)

    @property
    def psi_name(self) -> str | None:
        return self.unit.psi_name

    def psi(self, x: Float[Array, "..."]) -> Float[Array, " psi"]:
        return self.unit.psi(x).reshape(-1)

    def from_psi(self, psi: Float[Array, " psi"]) -> Float[Array, " outputs"]:
        # sum over units first: this product does not depend on the sample, so a batch computes it once
        m = jax.vmap(self.unit.lift)(self.u)
        outputs = self.v.shape[-1]
        if m.size * self.v[0].size > SMALL:
            strength = jnp.einsum("hp,hfo->fpo", m, self.v).reshape(-1, outputs)
            return psi @ strength
        strength = jnp.sum(m[:, None, :, None] * self.v[:, :, None, :], axis=0).reshape(-1, outputs)
        return jnp.sum(psi[:, None] * strength, axis=0)

    def arrays(self) -> Arrays:
        units = self.u.shape[0]
        sizes = [_size(dict(dims)) for _, dims in self.schema[:-1]]
        offsets = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        arrays = {
            key: self.u[:, offsets[i] : offsets[i + 1]].reshape(units, *dict(dims).values())
            for i, (key, dims) in enumerate(self.schema[:-1])
        }
        key, dims = self.schema[-1]
        return arrays | {key: self.v.reshape(units, *dict(dims).values())}

    def with_arrays(self, arrays: Arrays) -> "Layer":
        units = arrays[self.schema[-1][0]].shape[0]
        parts = [arrays[key].reshape(units, -1) for key, _ in self.schema[:-1]]
        # NumPy in, NumPy out: outside a 64-bit scope JAX would truncate
        u = (np if all(isinstance(p, np.ndarray) for p in parts) else jnp).concatenate(parts, axis=1)
        v = arrays[self.schema[-1][0]].reshape(units, *self.v.shape[1:])
        return Layer(self.unit, u, v, self.schema, self.name)

    def dims(self) -> dict[str, Dims]:
        return {key: {"units": self.u.shape[0]} | dict(dims) for key, dims in self.schema}

    def lenses(self) -> tuple[AbstractLens, ...]:
        return (LayerLens(self),)

    @property
    def title(self) -> str:
        return f"{self.name or type(self.unit).__name__}, {self.u.shape[0]} unit{'s' * (self.u.shape[0] != 1)}"

    @property
    def form(self) -> str:
        return self.unit.form

    @property
    def homogeneity(self) -> int:
        return self.unit.order + 1


class LayerLens(AbstractLens):
    """The lens on a single layer of units: nothing to translate, any width goes."""

    network: Layer

    @property
    def direct(self) -> bool:
        return True

    @property
    def unit(self) -> AbstractUnit:
        return self.network.unit

    def get(self) -> tuple[Float[Array, "units weights"], Float[Array, "units features outputs"]]:
        return self.network.u, self.network.v

    def put(self, u: Float[Array, "units weights"], v: Float[Array, "units features outputs"]) -> Layer:
        return Layer(self.network.unit, u, v, self.network.schema, self.network.name)

    def of(self, network: AbstractNetwork) -> "LayerLens":
        assert isinstance(network, Layer)
        return LayerLens(network)

    def supports(self, change: str) -> str | None:
        return None

    def features(self, x: Float[Array, "..."], lifted: bool) -> Float[Array, "units features"]:
        if not lifted:
            return features(self.unit, x, self.network.u)
        psi = x.reshape(self.network.v.shape[1], -1)
        return jax.vmap(self.unit.lift)(self.network.u) @ psi.T

    def rows(self, x: Float[Array, "..."], lifted: bool) -> Float[Array, "features psi"]:
        return x.reshape(self.network.v.shape[1], -1) if lifted else self.unit.psi(x)


def _size(dims: Dims) -> int:
    size = 1
    for n in dims.values():
        size *= n
    return size
