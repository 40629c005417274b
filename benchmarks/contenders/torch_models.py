"""The same networks in PyTorch, as their users write them: modules on samples, in double precision.

The starting weights are copied, and before anything is measured loss and gradient are compared with those of the package (`checked`).
"""

import jax
import numpy as np
import torch
from torch import nn

from saddlescope.networks import Deep

ACTIVATIONS = {
    "Linear": lambda z: z,
    "Quadratic": torch.square,
    "ReLU": torch.relu,
}


class Neurons(nn.Module):
    """f(x) = act(x U^T) V."""

    def __init__(self, weights, activation):
        super().__init__()
        self.u, self.v = (nn.Parameter(torch.tensor(weights[name])) for name in ("u", "v"))
        self.activation = activation

    def forward(self, x):
        return self.activation(x @ self.u.T) @ self.v


class Layers(nn.Module):
    """f(x) = W_L ... W_1 x."""

    def __init__(self, weights, activation):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(w)) for w in weights.values()])
        self.activation = activation

    def forward(self, x):
        for w in self.weights[:-1]:
            x = self.activation(x @ w.T)
        return x @ self.weights[-1].T


class AttentionLayer(nn.Module):
    """Linear attention, separate key and query of rank r, every position computed as in a transformer's layer; the answer is read at the last."""

    last_only = False

    def __init__(self, weights, outputs):
        super().__init__()
        self.key, self.query, self.value = (nn.Parameter(torch.tensor(weights[n])) for n in ("key", "query", "value"))
        self.outputs = outputs

    def forward(self, x):
        x = x.clone()
        x[:, -1, -self.outputs :] = 0.0
        asked = x[:, -1:] if self.last_only else x
        q = torch.einsum("bte,hre->bhtr", asked, self.query)
        k = torch.einsum("bse,hre->bhsr", x, self.key)
        v = torch.einsum("bse,heo->bhso", x, self.value)
        scores = q @ k.transpose(-1, -2) / (x.shape[1] - 1)
        return (scores @ v).sum(1)[:, -1]


class LastQuery(AttentionLayer):
    """The same, computed for the last position alone: what somebody writes who has looked at the cost."""

    last_only = True


class CubicAttention(nn.Module):
    """sum_h (key_h . beta) (query_h . x_q) value_h."""

    def __init__(self, weights):
        super().__init__()
        self.key, self.query, self.value = (nn.Parameter(torch.tensor(weights[n])) for n in ("key", "query", "value"))

    def forward(self, x):
        score = torch.einsum("bd,hrd,hre,be->bh", x[:, 0], self.key, self.query, x[:, 1])
        return torch.einsum("bh,hfo->bo", score, self.value)


#: Loss and gradient of two libraries in double precision agree to rounding of sums over samples.
ROUNDING = 1e-10


def loss_of(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Half the mean squared error."""
    return 0.5 * ((network(x) - y) ** 2).sum(dim=1).mean()


def checked(problem, *, last_query: bool = False) -> None:
    """**Raises:** `RuntimeError` where PyTorch's network is not the package's: another loss, or another gradient."""
    network = model(problem, last_query=last_query)
    loss = loss_of(network, torch.tensor(problem.data.x), torch.tensor(problem.data.y))
    loss.backward()
    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(problem.loss("samples"))(problem.start())
    ours = problem.named(np.asarray(gradient))
    theirs = dict(network.named_parameters())
    pairs = zip(ours.values(), (p.grad.numpy() for p in theirs.values()), strict=True)
    off = max(float(np.max(np.abs(a.reshape(-1) - b.reshape(-1))) / np.max(np.abs(a))) for a, b in pairs)
    off = max(off, abs(float(value) - loss.item()) / float(value))
    if not off < ROUNDING:
        raise RuntimeError(f"{problem.title}: loss or gradient of the PyTorch network differ by {off:.1e} from ours.")


def model(problem, *, last_query: bool = False) -> nn.Module:
    """The module of a problem's network, with its first weights, and parameters in the order of `network.arrays()`."""
    network, weights = problem.network, problem.network.arrays()
    if network.form == "tokens":
        return (LastQuery if last_query else AttentionLayer)(weights, problem.data.y.shape[1])
    if network.form == "cubic":
        return CubicAttention(weights)
    if isinstance(network, Deep):
        return Layers(weights, ACTIVATIONS[type(network.neuron).__name__])
    return Neurons(weights, ACTIVATIONS[type(network.unit).__name__])
