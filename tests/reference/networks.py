"""What each network computes and how its loss changes with its weights, by formulas written out by hand.

Every network has two methods on a dict of weights (names and shapes as in an init file):

- `function(weights, x)` gives f [samples, outputs];
- `pullback(weights, x, c)` gives, for every weight, the gradient of sum_{n,o} c[n,o] f[n,o], where c [samples, outputs] is held fixed.

The gradient of the loss L = 1/2 sum_n weight_n |y_n - f_n|^2 is the pullback of c = -weight (y - f).
"""

from dataclasses import dataclass

import numpy as np

Weights = dict[str, np.ndarray]

# activation: (phi, phi'); ReLU with phi'(0) = 0
ACTIVATIONS = {
    "linear": (lambda z: z, lambda z: np.ones_like(z)),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(float)),
    "quadratic": (lambda z: z**2, lambda z: 2 * z),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}


@dataclass(frozen=True)
class FullyConnected:
    """f = sum_i phi(u_i . x) v_i with u [units, inputs], v [units, outputs], x [samples, inputs]."""

    activation: str
    names = ("u", "v")

    def function(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        phi, _ = ACTIVATIONS[self.activation]
        return phi(x @ weights["u"].T) @ weights["v"]

    def pullback(self, weights: Weights, x: np.ndarray, c: np.ndarray) -> Weights:
        phi, slope = ACTIVATIONS[self.activation]
        z = x @ weights["u"].T  # [samples, units]
        dz = (c @ weights["v"].T) * slope(z)
        return {"u": dz.T @ x, "v": phi(z).T @ c}


@dataclass(frozen=True)
class Deep:
    """f = WL phi(... phi(W1 x)) with W_l [hidden_l, hidden_(l-1)], x [samples, inputs]; no phi after the last layer."""

    activation: str
    layers: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"W{layer}" for layer in range(1, self.layers + 1))

    def _hidden(self, weights: Weights, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        phi, _ = ACTIVATIONS[self.activation]
        before, after = [], [x]
        for name in self.names[:-1]:
            before.append(after[-1] @ weights[name].T)
            after.append(phi(before[-1]))
        return before, after

    def function(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        _, after = self._hidden(weights, x)
        return after[-1] @ weights[self.names[-1]].T

    def pullback(self, weights: Weights, x: np.ndarray, c: np.ndarray) -> Weights:
        _, slope = ACTIVATIONS[self.activation]
        before, after = self._hidden(weights, x)
        gradient, dz = {}, c
        for layer in range(self.layers, 0, -1):
            gradient[f"W{layer}"] = dz.T @ after[layer - 1]
            if layer > 1:
                dz = (dz @ weights[f"W{layer}"]) * slope(before[layer - 2])
        return gradient


@dataclass(frozen=True)
class Convolution:
    """f = sum_i sum_p phi(u_i . patch_p) v_{i,p}: u [units, kernel], v [units, positions, outputs], x [samples, length]."""

    activation: str
    kernel_size: int
    stride: int
    names = ("u", "v")

    def patches(self, x: np.ndarray) -> np.ndarray:
        """[samples, positions, kernel]; positions are those where the whole kernel fits."""
        starts = range(0, x.shape[1] - self.kernel_size + 1, self.stride)
        return np.stack([x[:, start : start + self.kernel_size] for start in starts], axis=1)

    def function(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        phi, _ = ACTIVATIONS[self.activation]
        z = np.einsum("npk,ik->npi", self.patches(x), weights["u"])
        return np.einsum("npi,ipo->no", phi(z), weights["v"])

    def pullback(self, weights: Weights, x: np.ndarray, c: np.ndarray) -> Weights:
        phi, slope = ACTIVATIONS[self.activation]
        patches = self.patches(x)
        z = np.einsum("npk,ik->npi", patches, weights["u"])
        dz = np.einsum("no,ipo->npi", c, weights["v"]) * slope(z)
        return {"u": np.einsum("npi,npk->ik", dz, patches), "v": np.einsum("npi,no->ipo", phi(z), c)}


@dataclass(frozen=True)
class AttentionOnTokens:
    """Linear attention: score_j = sum_r (query_r . x_q)(key_r . x_j), f = sum_heads sum_j score_j x_j^T value / divisor.

    x [samples, tokens, embedding]; the last token is the query x_q, with its target entries (the last `outputs` of the
    embedding) set to zero; j runs over all tokens; the divisor is tokens - 1 if `normalise`, else 1. Separate heads have key,
    query [units, rank, embedding]; merged ones key_query [units, embedding, embedding] with score_j = x_q^T key_query x_j;
    value [units, embedding, outputs].
    """

    merged: bool
    normalise: bool

    @property
    def names(self) -> tuple[str, ...]:
        return ("key_query", "value") if self.merged else ("key", "query", "value")

    def tokens(self, x: np.ndarray, outputs: int) -> np.ndarray:
        x = x.copy()
        x[:, -1, x.shape[2] - outputs :] = 0.0
        return x

    def divisor(self, x: np.ndarray) -> float:
        return x.shape[1] - 1.0 if self.normalise else 1.0

    def function(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        x = self.tokens(x, weights["value"].shape[2])
        mixed = np.einsum("nhj,nje->nhe", self._score(weights, x), x)
        return np.einsum("nhe,heo->no", mixed, weights["value"]) / self.divisor(x)

    def _score(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        if self.merged:
            asked = np.einsum("na,hab->nhb", x[:, -1], weights["key_query"])
            return np.einsum("nhb,njb->nhj", asked, x)
        query = np.einsum("hre,ne->nhr", weights["query"], x[:, -1])
        key = np.einsum("hre,nje->nhrj", weights["key"], x)
        return np.einsum("nhr,nhrj->nhj", query, key)

    def pullback(self, weights: Weights, x: np.ndarray, c: np.ndarray) -> Weights:
        x = self.tokens(x, weights["value"].shape[2])
        c = c / self.divisor(x)
        mixed = np.einsum("nhj,nje->nhe", self._score(weights, x), x)
        gradient = {"value": np.einsum("nhe,no->heo", mixed, c)}
        dmixed = np.einsum("no,heo->nhe", c, weights["value"])
        dscore = np.einsum("nhe,nje->nhj", dmixed, x)
        if self.merged:
            gradient["key_query"] = np.einsum("na,nhb->hab", x[:, -1], np.einsum("nhj,njb->nhb", dscore, x))
            return gradient
        query = np.einsum("hre,ne->nhr", weights["query"], x[:, -1])
        key = np.einsum("hre,nje->nhrj", weights["key"], x)
        gradient["query"] = np.einsum("nhr,ne->hre", np.einsum("nhj,nhrj->nhr", dscore, key), x[:, -1])
        gradient["key"] = np.einsum("nhr,nhe->hre", query, np.einsum("nhj,nje->nhe", dscore, x))
        return gradient


@dataclass(frozen=True)
class AttentionOnCubicFeatures:
    """f = sum_heads sum_r (key_r . beta)(query_r . x_q) value with x [samples, 2, inputs] = (beta, x_q), value [units, 1, 1].

    Merged heads: beta^T key_query x_q value, key_query [units, inputs, inputs].
    """

    merged: bool

    @property
    def names(self) -> tuple[str, ...]:
        return ("key_query", "value") if self.merged else ("key", "query", "value")

    def function(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        return (self._heads(weights, x) @ weights["value"][:, 0, 0])[:, None]

    def _heads(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        beta, query_input = x[:, 0], x[:, 1]
        if self.merged:
            return np.einsum("nhb,nb->nh", np.einsum("na,hab->nhb", beta, weights["key_query"]), query_input)
        key = np.einsum("hra,na->nhr", weights["key"], beta)
        query = np.einsum("hra,na->nhr", weights["query"], query_input)
        return (key * query).sum(axis=2)

    def pullback(self, weights: Weights, x: np.ndarray, c: np.ndarray) -> Weights:
        beta, query_input = x[:, 0], x[:, 1]
        gradient = {"value": (self._heads(weights, x).T @ c[:, 0])[:, None, None]}
        dhead = c * weights["value"][:, 0, 0]  # [samples, heads]
        if self.merged:
            gradient["key_query"] = np.einsum("nha,nb->hab", dhead[:, :, None] * beta[:, None, :], query_input)
            return gradient
        key = np.einsum("hra,na->nhr", weights["key"], beta)
        query = np.einsum("hra,na->nhr", weights["query"], query_input)
        gradient["key"] = np.einsum("nhr,na->hra", dhead[:, :, None] * query, beta)
        gradient["query"] = np.einsum("nhr,na->hra", dhead[:, :, None] * key, query_input)
        return gradient


Network = FullyConnected | Deep | Convolution | AttentionOnTokens | AttentionOnCubicFeatures


def from_spec(spec: dict) -> Network:
    """The network that a [network] table asks for. Defaults as documented: stride 1, rank form, normalise, tokens."""
    if spec["architecture"] == "fully_connected":
        if isinstance(spec["units"], list):
            return Deep(spec["activation"], len(spec["units"]) + 1)
        return FullyConnected(spec["activation"])
    if spec["architecture"] == "convolutional":
        return Convolution(spec["activation"], spec["kernel_size"], spec.get("stride", 1))
    if spec.get("input", "tokens") == "cubic":
        return AttentionOnCubicFeatures(spec.get("merged", False))
    return AttentionOnTokens(spec.get("merged", False), spec.get("normalise", True))


@dataclass(frozen=True)
class Objective:
    """L = 1/2 sum_n weight_n |y_n - f(x_n)|^2 with weights that sum to 1, on flat vectors of weights."""

    network: Network
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray  # [samples], sums to 1
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def build(cls, network: Network, x, y, weight, init: Weights) -> "Objective":
        """`weight` None: all samples alike; otherwise any non-negative numbers, divided by their sum."""
        weight = np.ones(len(x)) if weight is None else np.asarray(weight, float)
        return cls(network, x, y, weight / weight.sum(), {name: init[name].shape for name in network.names})

    def pack(self, weights: Weights) -> np.ndarray:
        return np.concatenate([weights[name].ravel() for name in self.shapes])

    def unpack(self, state: np.ndarray) -> Weights:
        """State [parameters], or [times, parameters] for weights with a leading time."""
        weights, start = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            weights[name] = state[..., start : start + size].reshape(state.shape[:-1] + shape)
            start += size
        return weights

    def loss(self, state: np.ndarray) -> float:
        residual = self.y - self.network.function(self.unpack(state), self.x)
        return 0.5 * float(self.weight @ (residual**2).sum(axis=1))

    def gradient(self, state: np.ndarray) -> np.ndarray:
        weights = self.unpack(state)
        residual = self.y - self.network.function(weights, self.x)
        return self.pack(self.network.pullback(weights, self.x, -self.weight[:, None] * residual))
