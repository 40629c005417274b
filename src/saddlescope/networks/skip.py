r"""Fully connected networks in which the first hidden layer is also added to a later one.

$$h_1 = \sigma(W_1 x), \qquad h_l = \sigma(W_l h_{l-1}) + [l = 1 + s]\, h_1, \qquad f(x) = W_L\, h_{L-1} .$$

One connection that jumps over s layers takes s factors out of the shortest product of weights from inputs to outputs: four layers have four small factors, with s = 1
three, with s = 2 two. That is why skips shorten the first plateau.
"""

from collections.abc import Sequence
from itertools import pairwise

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..units import AbstractNeuron, AbstractUnit
from ._base import AbstractLens, AbstractNetwork, Arrays, Dims


class Skip(AbstractNetwork):
    r"""Layers of neurons with one skip connection, by the identity, that starts at the first hidden layer.

    **Arguments:**

    - `neuron`: $\sigma$ and its facts, the same in every hidden layer.
    - `weights`: $W_1$ [hidden_1, inputs], ..., $W_L$ [outputs, hidden_{L-1}].
    - `skip`: s, how many layers it jumps over: its end is the output of hidden layer 1 + s (counted from 1), as wide as the first.
    - `bypass`: None, and $h_1$ is read by the weights that read hidden layer $1 + s$; or weights of its own, shaped like those: what a change of one of the two layers
        leads to. Such a network is there to be looked at, not to be trained.
    """

    neuron: AbstractNeuron
    weights: tuple[Float[Array, "rows columns"], ...]
    skip: int = eqx.field(static=True)
    bypass: Float[Array, "rows columns"] | None = None
    name: str = eqx.field(static=True, default="")

    @classmethod
    def zeros(
        cls,
        neuron: AbstractNeuron,
        widths: Sequence[int],
        skip: int,
        x_shape: tuple[int, ...],
        outputs: int,
        name: str = "",
    ) -> "Skip":
        """Hidden layers of the given widths, all weights zero. Raises `ValueError` where the connection does not fit them."""
        neuron.schema(x_shape, outputs)  # raises where the input is not a vector
        if not 1 <= skip < len(widths) or widths[skip] != widths[0]:
            raise ValueError(
                f"skip = {skip} adds hidden layer 1 to hidden layer {1 + skip}, which needs both to be there and equally wide: found widths "
                f"{list(widths)}."
            )
        sizes = [x_shape[0], *widths, outputs]
        return cls(neuron, tuple(np.zeros((b, a)) for a, b in pairwise(sizes)), skip, None, name)

    def outputs_of_layers(self, x: Float[Array, " inputs"]) -> list[Float[Array, " width"]]:
        r"""$\sigma(\cdot)$ of every hidden layer, without what the skip connection adds."""
        found: list[Array] = []
        h = x
        for layer, w in enumerate(self.weights[:-1]):
            z = w @ h if layer != self.skip + 1 else self._joined(w, h, found)
            found.append(self.neuron.activation(z))
            h = found[-1]
        return found

    def _joined(self, w: Array, h: Array, found: list[Array]) -> Array:
        """What reads hidden layer 1 + s: its own output by w, that of the first hidden layer by w or by the bypass."""
        return w @ h + (w if self.bypass is None else self.bypass) @ found[0]

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        found = self.outputs_of_layers(x)
        last = len(self.weights) - 1
        w = self.weights[-1]
        return self._joined(w, found[-1], found) if last == self.skip + 1 else w @ found[-1]

    @property
    def psi_name(self) -> str | None:
        return "inputs" if self.neuron.linear else None

    def psi(self, x: Float[Array, " inputs"]) -> Float[Array, " inputs"]:
        return x

    def from_psi(self, psi: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return self(psi)

    def arrays(self) -> Arrays:
        found = {f"W{i + 1}": w for i, w in enumerate(self.weights)}
        return found if self.bypass is None else found | {"bypass": self.bypass}

    def with_arrays(self, arrays: Arrays) -> "Skip":
        weights = tuple(arrays[f"W{i + 1}"] for i in range(len(self.weights)))
        return Skip(self.neuron, weights, self.skip, arrays.get("bypass"), self.name)

    def dims(self) -> dict[str, Dims]:
        names = ["inputs", *(f"hidden_{i + 1}" for i in range(len(self.weights) - 1)), "outputs"]
        found = {f"W{i + 1}": {names[i + 1]: w.shape[0], names[i]: w.shape[1]} for i, w in enumerate(self.weights)}
        if self.bypass is None:
            return found
        return found | {"bypass": {names[self.skip + 2]: self.bypass.shape[0], names[1]: self.bypass.shape[1]}}

    def lenses(self) -> "tuple[SkipLens, ...]":
        return tuple(SkipLens(self, layer) for layer in range(len(self.weights) - 1))

    @property
    def title(self) -> str:
        widths = "-".join(str(w.shape[0]) for w in self.weights[:-1])
        return f"{self.name or type(self.neuron).__name__}, skip {self.skip}, hidden layers {widths}"

    @property
    def form(self) -> str:
        return self.neuron.form

    @property
    def homogeneity(self) -> int:
        degrees: list[int] = []
        reads = 0
        for layer in range(len(self.weights)):
            if layer == self.skip + 1:
                reads = min(reads, degrees[0])
            degrees.append((reads + 1) * (self.neuron.order if layer < len(self.weights) - 1 else 1))
            reads = degrees[-1]
        return degrees[-1]

    def with_weights(self, changed: dict[int, Array], bypass: Array | None) -> "Skip":
        weights = tuple(changed.get(i, w) for i, w in enumerate(self.weights))
        return Skip(self.neuron, weights, self.skip, bypass, self.name)


class SkipLens(AbstractLens):
    r"""The lens on hidden layer `layer` (from 0).

    The two layers that the connection joins are read by the same weights. A unit of the first has as output weights those that the next layer reads it with, then those behind the
    connection. A change of one of the two layers unties these (`Skip.bypass`); put back as they were, they are tied again.
    """

    network: Skip
    layer: int = eqx.field(static=True)

    @property
    def unit(self) -> AbstractUnit:
        return self.network.neuron

    @property
    def tied(self) -> str | None:
        if self.network.bypass is not None or self.layer not in (0, self.network.skip):
            return None
        other = self.network.skip + 1 if self.layer == 0 else 1
        return (
            f"hidden layer {self.layer + 1} of {self.network.title} is joined to hidden layer {other} by the skip connection: both have one "
            "width, and the same weights read them."
        )

    @property
    def _reads_both(self) -> bool:
        """Whether this layer reads the end of the connection by weights of its own: it then has those of both."""
        return self.network.bypass is not None and self.layer == self.network.skip + 1

    def get(self) -> tuple[Float[Array, "units weights"], Float[Array, "units 1 outputs"]]:
        network = self.network
        u, v = network.weights[self.layer], network.weights[self.layer + 1].T
        if self._reads_both:
            u = _like(u, network.bypass).concatenate([u, network.bypass], axis=1)
        if self.layer == 0:
            behind = network.weights[network.skip + 1] if network.bypass is None else network.bypass
            v = _like(v, behind).concatenate([v, behind.T], axis=1)
        return u, v[:, None, :]

    def put(self, u: Float[Array, "units weights"], v: Float[Array, "units 1 outputs"]) -> Skip:
        network, reader = self.network, self.network.skip + 1
        old_u, old_v = self.get()
        if u.shape[1] != old_u.shape[1] or v.shape[2] != old_v.shape[2]:
            raise ValueError(
                f"Layer {self.layer} of {network.title} takes u [units, {old_u.shape[1]}] and v [units, 1, {old_v.shape[2]}]: found "
                f"{list(u.shape)} and {list(v.shape)}. Its neighbours fix these two sizes."
            )
        out = v[:, 0].T
        bypass = network.bypass
        if self._reads_both:
            size = network.weights[self.layer].shape[1]
            u, bypass = u[:, :size], u[:, size:]
        if self.layer == 0:
            following = network.weights[1].shape[0]
            out, bypass = out[:following], out[following:]
        changed = {self.layer: u, self.layer + 1: out}
        if self.layer == network.skip and bypass is None:
            bypass = network.weights[reader]
        if (
            network.bypass is None
            and bypass is not None
            and _equal(bypass, changed.get(reader, network.weights[reader]))
        ):
            bypass = None
        return network.with_weights(changed, bypass)

    def of(self, network: AbstractNetwork) -> "SkipLens":
        assert isinstance(network, Skip)
        return SkipLens(network, self.layer)

    def supports(self, change: str) -> str | None:
        return self.tied if change in ("width", "v") else None

    def features(self, x: Float[Array, " inputs"], lifted: bool) -> Float[Array, "units 1"]:
        return self.network.outputs_of_layers(x)[self.layer][:, None]

    def rows(self, x: Float[Array, " inputs"], lifted: bool) -> Float[Array, "1 psi"]:
        return self.network.neuron.psi(self._seen(x))

    def _seen(self, x: Float[Array, " inputs"]) -> Float[Array, " width"]:
        if self.layer == 0:
            return x
        found = self.network.outputs_of_layers(x)
        before = found[self.layer - 1]
        if self.layer != self.network.skip + 1:
            return before
        return before + found[0] if self.network.bypass is None else jnp.concatenate([before, found[0]])


def _equal(a: Array, b: Array) -> bool:
    # inside a transformation nobody knows: untied
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)


def _like(*arrays: Array):
    # NumPy in, NumPy out: outside a 64-bit scope JAX would truncate
    return np if all(isinstance(a, np.ndarray) for a in arrays) else jnp
