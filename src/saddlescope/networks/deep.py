r"""Fully connected networks of any depth, $f(x) = W_L\, \sigma(W_{L-1} \cdots \sigma(W_1 x))$.

Every hidden layer is a layer of units: unit $i$ of layer $l$ has as input weights row $i$ of $W_l$ and as output weights
column $i$ of $W_{l+1}$. The output weights of one layer are thus the input weights of the next, which is all that its lens has to know.
"""

from itertools import pairwise

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ..units import AbstractNeuron, AbstractUnit
from ._base import AbstractLens, AbstractNetwork, Arrays, Dims


class Deep(AbstractNetwork):
    r"""$f(x) = W_L\, \sigma(W_{L-1} \cdots \sigma(W_1 x))$, without biases.

    **Arguments:**

    - `neuron`: $\sigma$ and its facts, the same in every hidden layer.
    - `weights`: $W_1$ [hidden_1, inputs], ..., $W_L$ [outputs, hidden_{L-1}].
    """

    neuron: AbstractNeuron
    weights: tuple[Float[Array, "rows columns"], ...]
    name: str = eqx.field(static=True, default="")

    @classmethod
    def zeros(
        cls, neuron: AbstractNeuron, widths: list[int], x_shape: tuple[int, ...], outputs: int, name: str = ""
    ) -> "Deep":
        """Hidden layers of the given widths, all weights zero."""
        neuron.schema(x_shape, outputs)  # raises where the input is not a vector
        sizes = [x_shape[0], *widths, outputs]
        return cls(neuron, tuple(np.zeros((b, a)) for a, b in pairwise(sizes)), name)

    def hidden(self, x: Float[Array, " inputs"], depth: int) -> Float[Array, " width"]:
        """What hidden layer `depth` puts out; depth 0 is x itself."""
        for w in self.weights[:depth]:
            x = self.neuron.activation(w @ x)
        return x

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return self.weights[-1] @ self.hidden(x, len(self.weights) - 1)

    @property
    def psi_name(self) -> str | None:
        return "inputs" if self.neuron.linear else None

    def psi(self, x: Float[Array, " inputs"]) -> Float[Array, " inputs"]:
        return x

    def from_psi(self, psi: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return self(psi)

    def arrays(self) -> Arrays:
        return {f"W{i + 1}": w for i, w in enumerate(self.weights)}

    def with_arrays(self, arrays: Arrays) -> "Deep":
        return Deep(self.neuron, tuple(arrays[f"W{i + 1}"] for i in range(len(self.weights))), self.name)

    def dims(self) -> dict[str, Dims]:
        names = ["inputs", *(f"hidden_{i + 1}" for i in range(len(self.weights) - 1)), "outputs"]
        return {f"W{i + 1}": {names[i + 1]: w.shape[0], names[i]: w.shape[1]} for i, w in enumerate(self.weights)}

    def lenses(self) -> tuple[AbstractLens, ...]:
        return tuple(DeepLens(self, layer) for layer in range(len(self.weights) - 1))

    @property
    def title(self) -> str:
        widths = "-".join(str(w.shape[0]) for w in self.weights[:-1])
        return f"{self.name or type(self.neuron).__name__}, hidden layers {widths}"

    @property
    def form(self) -> str:
        return self.neuron.form

    @property
    def homogeneity(self) -> int:
        degree = 1
        for _ in self.weights[1:]:
            degree = degree * self.neuron.order + 1
        return degree


class DeepLens(AbstractLens):
    """The lens on hidden layer `layer` (from 0): u is $W_{layer+1}$, v the transpose of $W_{layer+2}$."""

    network: Deep
    layer: int = eqx.field(static=True)

    @property
    def unit(self) -> AbstractUnit:
        return self.network.neuron

    def get(self) -> tuple[Float[Array, "units weights"], Float[Array, "units 1 outputs"]]:
        w = self.network.weights
        return w[self.layer], w[self.layer + 1].T[:, None, :]

    def put(self, u: Float[Array, "units weights"], v: Float[Array, "units 1 outputs"]) -> Deep:
        w = list(self.network.weights)
        if u.shape[1] != w[self.layer].shape[1] or v.shape[2] != w[self.layer + 1].shape[0]:
            raise ValueError(
                f"Layer {self.layer} of {self.network.title} takes u [units, {w[self.layer].shape[1]}] and v [units, 1, "
                f"{w[self.layer + 1].shape[0]}]: found {list(u.shape)} and {list(v.shape)}. Its neighbours fix these two sizes."
            )
        w[self.layer], w[self.layer + 1] = u, v[:, 0].T
        return Deep(self.network.neuron, tuple(w), self.network.name)

    def of(self, network: AbstractNetwork) -> "DeepLens":
        assert isinstance(network, Deep)
        return DeepLens(network, self.layer)

    def supports(self, change: str) -> str | None:
        return None

    def features(self, x: Float[Array, " inputs"], lifted: bool) -> Float[Array, "units 1"]:
        return self.network.hidden(x, self.layer + 1)[:, None]

    def rows(self, x: Float[Array, " inputs"], lifted: bool) -> Float[Array, "1 psi"]:
        return self.network.neuron.psi(self.network.hidden(x, self.layer))
