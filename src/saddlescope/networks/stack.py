r"""Deep networks whose layers are of different kinds: kernels, heads or neurons first, neurons after.

Layer $l$ computes $\phi_l(h_{l-1}; u)$ for each of its units; what its units put out, all their features in a row, is the input $h_l$ of the next, and the
last layer is read out:

$$h_0 = x, \qquad h_l = \big(\phi_l(h_{l-1}; u_{l,i})\big)_{i}, \qquad f(x) = \sum_i \phi_L(h_{L-1}; u_{L,i})\, v_i .$$

As in `deep`, the output weights of one layer are the input weights of the next: $v_{l,i}$ [features, width of $l + 1$] are the entries of $u_{l+1}$ that read unit $i$.
"""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..units import AbstractNeuron, AbstractUnit, features
from ._base import AbstractLens, AbstractNetwork, Arrays, Dims

Axes = tuple[tuple[str, int], ...]


class Stack(AbstractNetwork):
    r"""Layers of units, one after the other.

    **Arguments:**

    - `units`: $\phi_l$ and its facts, one a layer. From the second on they are neurons.
    - `u`: of each layer, [width, weights]; from the second on the weights are [width, features] of the layer before, in a row.
    - `v` [width, features, outputs]: of the last layer.
    - `schema`: names and dimensions of the arrays of one first-layer unit, as `unit.schema` gives them; the last one names its features.
    """

    units: tuple[AbstractUnit, ...]
    u: tuple[Float[Array, "width weights"], ...]
    v: Float[Array, "width features outputs"]
    schema: tuple[tuple[str, Axes], ...] = eqx.field(static=True)
    name: str = eqx.field(static=True, default="")

    @classmethod
    def zeros(
        cls,
        units: Sequence[AbstractUnit],
        widths: Sequence[int],
        x_shape: tuple[int, ...],
        outputs: int,
        name: str = "",
    ) -> "Stack":
        """Layers of the given widths, all weights zero. Raises `ValueError` if inputs or layers do not fit."""
        if len(units) < 2 or len(units) != len(widths):
            raise ValueError(
                f"A stack needs two layers of units or more, and a width for each: found {len(units)} and {len(widths)}."
            )
        wrong = [k for k, unit in enumerate(units) if k > 0 and not isinstance(unit, AbstractNeuron)]
        if wrong:
            raise ValueError(
                f"Layer {wrong[0]} of a stack reads the vector that the layer before puts out, so it needs neurons: found "
                f"{type(units[wrong[0]]).__name__}. Only the first layer can be of kernels or heads."
            )
        schema = units[0].schema(x_shape, outputs)
        frozen = tuple((key, tuple(dims.items())) for key, dims in schema.items())
        weights = [sum(math.prod(dims.values()) for dims in list(schema.values())[:-1])]
        each = math.prod(size for _, size in _features(frozen))
        weights += [width * (each if k == 0 else 1) for k, width in enumerate(widths[:-1])]
        u = tuple(np.zeros((width, size)) for width, size in zip(widths, weights, strict=True))
        return cls(tuple(units), u, np.zeros((widths[-1], 1, outputs)), frozen, name)

    def hidden(self, x: Float[Array, "..."], depth: int) -> Float[Array, "..."]:
        """What layer `depth` puts out, in a row; depth 0 is x itself."""
        for unit, u in zip(self.units[:depth], self.u[:depth], strict=True):
            x = features(unit, x, u).reshape(-1)
        return x

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " outputs"]:
        return self._readout(self.hidden(x, len(self.units)))

    def _readout(self, h: Float[Array, " hidden"]) -> Float[Array, " outputs"]:
        return h @ self.v.reshape(-1, self.v.shape[-1])

    @property
    def psi_name(self) -> str | None:
        return self.units[0].psi_name if all(unit.linear for unit in self.units[1:]) else None

    def psi(self, x: Float[Array, "..."]) -> Float[Array, " psi"]:
        return self.units[0].psi(x).reshape(-1)

    def from_psi(self, psi: Float[Array, " psi"]) -> Float[Array, " outputs"]:
        return self._readout(self.hidden_from_psi(psi, len(self.units)))

    def hidden_from_psi(self, psi: Float[Array, " psi"], depth: int) -> Float[Array, " hidden"]:
        """What layer `depth` (from 1) puts out, from psi(x) in place of x."""
        rows = psi.reshape(math.prod(size for _, size in _features(self.schema)), -1)
        h = (_lifted(self.units[0], self.u[0]) @ rows.T).reshape(-1)
        for unit, u in zip(self.units[1:depth], self.u[1:depth], strict=True):
            h = features(unit, h, u).reshape(-1)
        return h

    def arrays(self) -> Arrays:
        dims = self.dims()
        found, start = {}, 0
        for key, axes in self.schema[:-1]:
            size = math.prod(n for _, n in axes)
            name = f"layers.0.{key}"
            found[name] = self.u[0][:, start : start + size].reshape(tuple(dims[name].values()))
            start += size
        for k, u in enumerate(self.u[1:], start=1):
            found[f"layers.{k}.u"] = u.reshape(tuple(dims[f"layers.{k}.u"].values()))
        last = f"layers.{len(self.units) - 1}.v"
        return found | {last: self.v.reshape(tuple(dims[last].values()))}

    def with_arrays(self, arrays: Arrays) -> "Stack":
        parts = [arrays[f"layers.0.{key}"] for key, _ in self.schema[:-1]]
        parts = [part.reshape(part.shape[0], -1) for part in parts]
        first = parts[0]
        if len(parts) > 1:
            first = _like(*parts).concatenate(parts, axis=1)
        rest = [arrays[f"layers.{k}.u"] for k in range(1, len(self.units))]
        v = arrays[f"layers.{len(self.units) - 1}.v"]
        u = (first, *(a.reshape(a.shape[0], -1) for a in rest))
        return self._replaced(u, v.reshape(v.shape[0], 1, v.shape[-1]))

    def dims(self) -> dict[str, Dims]:
        widths = [{f"hidden_{k + 1}": u.shape[0]} for k, u in enumerate(self.u)]
        found = {f"layers.0.{key}": widths[0] | dict(axes) for key, axes in self.schema[:-1]}
        for k in range(1, len(self.u)):
            found[f"layers.{k}.u"] = widths[k] | widths[k - 1] | (dict(_features(self.schema)) if k == 1 else {})
        last = len(self.u) - 1
        return found | {f"layers.{last}.v": widths[last] | {"outputs": self.v.shape[-1]}}

    def lenses(self) -> "tuple[StackLens, ...]":
        return tuple(StackLens(self, layer) for layer in range(len(self.units)))

    @property
    def title(self) -> str:
        widths = "-".join(str(u.shape[0]) for u in self.u)
        return f"{self.name or ', '.join(type(unit).__name__ for unit in self.units)}, layers {widths}"

    @property
    def form(self) -> str:
        return self.units[0].form

    @property
    def homogeneity(self) -> int:
        degree = self.units[0].order
        for unit in self.units[1:]:
            degree = (degree + 1) * unit.order
        return degree + 1

    def _replaced(self, u: tuple[Array, ...], v: Array) -> "Stack":
        return Stack(self.units, u, v, self.schema, self.name)


class StackLens(AbstractLens):
    """The lens on layer `layer` (from 0): v is what the next layer's input weights say of this layer's units."""

    network: Stack
    layer: int = eqx.field(static=True)

    @property
    def unit(self) -> AbstractUnit:
        return self.network.units[self.layer]

    @property
    def _last(self) -> bool:
        return self.layer == len(self.network.units) - 1

    def get(self) -> tuple[Float[Array, "units weights"], Float[Array, "units features outputs"]]:
        u = self.network.u[self.layer]
        if self._last:
            return u, self.network.v
        after = self.network.u[self.layer + 1]
        return u, after.reshape(after.shape[0], u.shape[0], -1).transpose(1, 2, 0)

    def put(self, u: Float[Array, "units weights"], v: Float[Array, "units features outputs"]) -> Stack:
        layers = list(self.network.u)
        old_u, old_v = self.get()
        if u.shape[1] != old_u.shape[1] or v.shape[1:] != old_v.shape[1:]:
            raise ValueError(
                f"Layer {self.layer} of {self.network.title} takes u [units, {old_u.shape[1]}] and v [units, {old_v.shape[1]}, "
                f"{old_v.shape[2]}]: found {list(u.shape)} and {list(v.shape)}. Its neighbours fix these sizes."
            )
        layers[self.layer] = u
        if self._last:
            return self.network._replaced(tuple(layers), v)
        layers[self.layer + 1] = v.transpose(2, 0, 1).reshape(v.shape[2], -1)
        return self.network._replaced(tuple(layers), self.network.v)

    def of(self, network: AbstractNetwork) -> "StackLens":
        assert isinstance(network, Stack)
        return StackLens(network, self.layer)

    def supports(self, change: str) -> str | None:
        return None

    def features(self, x: Float[Array, "..."], lifted: bool) -> Float[Array, "units features"]:
        network, depth = self.network, self.layer + 1
        flat = network.hidden_from_psi(x, depth) if lifted else network.hidden(x, depth)
        return flat.reshape(network.u[self.layer].shape[0], -1)

    def rows(self, x: Float[Array, "..."], lifted: bool) -> Float[Array, "features psi"]:
        network = self.network
        if not lifted:
            return self.unit.psi(network.hidden(x, self.layer))
        if self.layer == 0:
            return x.reshape(self.get()[1].shape[1], -1)
        return self.unit.psi(network.hidden_from_psi(x, self.layer))


def _features(schema: tuple[tuple[str, Axes], ...]) -> Axes:
    """The axes of a first-layer unit's features: those of its output weights but for the outputs."""
    return tuple(axis for axis in schema[-1][1] if axis[0] != "outputs")


def _lifted(unit: AbstractUnit, u: Float[Array, "units weights"]) -> Float[Array, "units psi"]:
    return jax.vmap(unit.lift)(u)


def _like(*arrays: Array):
    # NumPy in, NumPy out: outside a 64-bit scope JAX would truncate
    return np if all(isinstance(a, np.ndarray) for a in arrays) else jnp
