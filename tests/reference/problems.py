"""Named small problems over all architectures, small enough for the slow twins, odd enough to catch a wrong axis.

Each names a [network] table, data, initial weights and a time by which at least the first drop is over. Numbers in arrays come
from seeded generators; seeds of ReLU problems were chosen for whether units slide along kinks, which `test_reference.py` checks.
"""

from dataclasses import dataclass

import numpy as np

from . import data
from .flow import Solution, gradient_flow
from .networks import Network, Objective, Weights, from_spec
from .sliding import sliding_flow


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a run needs, and how to solve it slowly. `x` as the architecture takes it; `init` with the names of an init file."""

    name: str
    network: dict
    x: np.ndarray
    y: np.ndarray
    init: Weights
    t_end: float
    weight: np.ndarray | None = None
    slides: bool = False

    @property
    def relu(self) -> bool:
        return self.network.get("activation") == "relu"

    def reference_network(self) -> Network:
        return from_spec(self.network)

    def objective(self) -> Objective:
        return Objective.build(self.reference_network(), self.x, self.y, self.weight, self.init)

    def solve(self) -> Solution:
        if self.slides:
            return sliding_flow(self.objective(), self.init, self.t_end)
        # below 1e-12 of the initial scale the steps at ReLU's kinks shrink to the spacing of the numbers
        return gradient_flow(self.objective(), self.init, self.t_end, atol=1e-12 if self.relu else 1e-15)


def fully_connected(activation: str, units: int | list[int]) -> dict:
    return {"architecture": "fully_connected", "activation": activation, "units": units}


def convolutional(activation: str, units: int, kernel_size: int, stride: int) -> dict:
    return {
        "architecture": "convolutional",
        "activation": activation,
        "units": units,
        "kernel_size": kernel_size,
        "stride": stride,
    }


def _attention(units: int, **more) -> dict:
    return {"architecture": "attention", "units": units, **more}


def _problem(
    name: str, network: dict, samples: tuple[np.ndarray, np.ndarray], init: Weights, t_end: float, **more
) -> Problem:
    return Problem(name=name, network=network, x=samples[0], y=samples[1], init=init, t_end=t_end, **more)


def _linear() -> list[Problem]:
    def linear(name, samples, units, scale, t_end, seed=0, **more):
        init = data.neurons(seed, scale, units, samples[0].shape[1], samples[1].shape[1])
        return _problem(f"linear-{name}", fully_connected("linear", units), samples, init, t_end, **more)

    rng = np.random.default_rng(8)
    return [
        linear("two-modes", data.modes([1.0, 0.5], [1.0, 1.0], 2), 4, 1e-3, 60.0),
        linear(
            "four-modes-1e-8",
            data.modes([2.0, 1.2, 0.7, 0.3], [1.0, 0.5, 1.0, 2.0, 1.0], 4),
            10,
            1e-8,
            110.0,
        ),
        linear("correlated-weighted", data.regression(1, 12, 3, 2), 5, 1e-4, 150.0, weight=rng.uniform(0.2, 2.0, 12)),
        linear("scale-1e-2", data.regression(2, 9, 4, 3), 6, 1e-2, 150.0),
        linear("one-unit", data.regression(3, 10, 3, 2), 1, 1e-5, 30.0),
        linear("one-input-one-sample", (np.array([[1.5]]), np.array([[-0.8]])), 3, 1e-6, 30.0),
        linear("wide", data.regression(4, 7, 3, 2), 40, 1e-6, 120.0),
        linear("fewer-samples-than-inputs", data.regression(5, 2, 5, 2), 4, 1e-5, 40.0),
    ]


def _deep() -> list[Problem]:
    def deep(name, activation, samples, hidden, scale, t_end, seed=0, **more):
        init = data.layers(seed, scale, samples[0].shape[1], *hidden, samples[1].shape[1])
        return _problem(f"deep-{name}", fully_connected(activation, hidden), samples, init, t_end, **more)

    white = data.modes([2.0, 1.0], [1.0, 1.0, 1.0], 2)
    rng = np.random.default_rng(6)
    x = rng.normal(size=(8, 2))
    curved = (x, np.stack([1.5 * np.tanh(x[:, 0] - x[:, 1]), np.tanh(2 * x[:, 1])], axis=1))
    return [
        deep("linear-three-layers", "linear", white, [4, 3], 1e-1, 60.0),
        deep("linear-bottleneck", "linear", white, [1, 4], 1e-1, 60.0),
        deep("linear-four-layers", "linear", data.modes([2.0, 1.0], [1.0, 0.5], 3), [3, 5, 4], 2e-1, 60.0),
        deep("tanh-four-layers", "tanh", curved, [3, 4, 3], 3e-1, 60.0),
        deep("tanh-three-layers", "tanh", curved, [4, 3], 1e-1, 60.0),
    ]


def _curved() -> list[Problem]:
    def curved(activation, name, samples, units, scale, t_end, seed=0, **more):
        init = data.neurons(seed, scale, units, samples[0].shape[1], samples[1].shape[1])
        return _problem(f"{activation}-{name}", fully_connected(activation, units), samples, init, t_end, **more)

    two = data.quadratic_teacher(0, 30, [1.5, 0.5])
    rng = np.random.default_rng(5)
    x = rng.normal(size=(8, 2))
    return [
        curved("quadratic", "scale-1e-1", data.quadratic_teacher(1, 20, [1.0, 0.6, 0.3]), 4, 1e-1, 20.0),
        curved("quadratic", "scale-1e-2", two, 3, 1e-2, 60.0),
        curved("quadratic", "scale-1e-3", two, 3, 1e-3, 300.0),
        curved("quadratic", "one-unit", data.quadratic_teacher(2, 10, [-1.0, 0.2]), 1, 1e-1, 60.0, seed=7),
        curved("quadratic", "two-outputs", data.quadratic_teacher(3, 25, [1.0, 0.3], outputs=2), 4, 1e-1, 30.0),
        curved("tanh", "two-outputs", (x, np.stack([np.tanh(2 * x[:, 0]), x[:, 1]], axis=1)), 6, 1e-3, 40.0),
        curved("tanh", "one-unit", (x, 2 * np.tanh(x[:, :1])), 1, 1e-2, 150.0),
    ]


def _relu() -> list[Problem]:
    def relu(name, samples, units, scale, t_end, seed=0, **more):
        init = data.neurons(seed, scale, units, samples[0].shape[1], samples[1].shape[1])
        return _problem(f"relu-{name}", fully_connected("relu", units), samples, init, t_end, **more)

    axes = (np.diag([1.5, 1.0]), np.sqrt(2) * np.array([[1.0], [-1.0]]))
    four = (np.diag([2.0, 1.6, 1.0, 1.3]), np.array([[2.0], [1.5], [-1.4], [-1.0]]))

    def generic(seed, samples, inputs):
        rng = np.random.default_rng(seed)
        return rng.normal(size=(samples, inputs)), 1.5 * rng.normal(size=(samples, 1))

    return [
        relu("orthogonal-plane", axes, 10, 1e-3, 40.0),
        relu("orthogonal-four", four, 12, 1e-5, 80.0),
        relu("one-unit-one-sample", (np.array([[0.5, -1.0]]), np.array([[1.2]])), 1, 1e-4, 40.0, seed=0),
        relu("generic", generic(4, 4, 3), 3, 1e-3, 40.0, seed=4),
        relu("generic-plane", generic(10, 5, 2), 6, 1e-2, 60.0, seed=10),
        relu("sliding-plane", generic(11, 5, 2), 6, 1e-2, 40.0, seed=11, slides=True),
        relu("sliding-space", generic(7, 6, 3), 5, 1e-3, 60.0, seed=7, slides=True),
    ]


def _convolution() -> list[Problem]:
    def convolution(activation, name, samples, units, kernel_size, stride, scale, t_end, seed=0, **more):
        positions = (samples[0].shape[1] - kernel_size) // stride + 1
        init = data.gaussian(seed, scale, u=(units, kernel_size), v=(units, positions, samples[1].shape[1]))
        network = convolutional(activation, units, kernel_size, stride)
        return _problem(f"convolution-{activation}-{name}", network, samples, init, t_end, **more)

    # THEORY: s^2 / lam = 1.2, .8 with lam = 2, .5: the loss falls 1 -> .4 -> 0
    teacher = data.white_patches(np.sqrt([1.2 / 2.0, 0.8 / 0.5]), [2.0, 0.5])
    one_hot = (np.diag(2 * np.sqrt([1.0, 0.5, 1.5, 1.0])), np.array([[2.0], [0.3], [0.2], [1.0]]))
    return [
        convolution("linear", "apart", teacher, 5, 2, 2, 1e-4, 40.0),
        convolution("linear", "overlapping", data.regression(6, 12, 6, 2), 4, 3, 1, 1e-3, 40.0),
        convolution("relu", "one-hot", one_hot, 6, 2, 2, 1e-3, 40.0),
        convolution("relu", "sliding", data.regression(7, 8, 5), 2, 3, 2, 1e-3, 40.0, seed=3, slides=True),
    ]


def _attention_problems() -> list[Problem]:
    cubic = data.cubic_population([1.0, 0.5], context=8)
    one = data.in_context(1, 30, 5, 2)
    two = data.in_context(2, 25, 4, 1, outputs=2)
    return [
        _problem(
            "attention-cubic-separate",
            _attention(3, rank=1, input="cubic"),
            cubic,
            data.separate_heads(0, 1e-1, 3, 1, 2, (1, 1)),
            80.0,
        ),
        _problem(
            "attention-cubic-rank-two",
            _attention(2, rank=2, input="cubic"),
            data.cubic_population([1.0, 0.6, 0.4], context=20),
            data.separate_heads(1, 3e-2, 2, 2, 3, (1, 1)),
            200.0,
        ),
        _problem(
            "attention-cubic-merged",
            _attention(3, merged=True, input="cubic"),
            cubic,
            data.merged_heads(2, 1e-4, 3, 2, (1, 1)),
            60.0,
        ),
        _problem(
            "attention-tokens-separate",
            _attention(2, rank=2, normalise=True),
            one,
            data.separate_heads(3, 1e-1, 2, 2, 3, (3, 1)),
            60.0,
        ),
        _problem(
            "attention-tokens-separate-sum",
            _attention(2, rank=1, normalise=False),
            one,
            data.separate_heads(4, 5e-2, 2, 1, 3, (3, 1)),
            20.0,
        ),
        _problem(
            "attention-tokens-merged",
            _attention(2, merged=True, normalise=True),
            one,
            data.merged_heads(5, 1e-3, 2, 3, (3, 1)),
            60.0,
        ),
        _problem(
            "attention-tokens-merged-sum-two-outputs",
            _attention(2, merged=True, normalise=False),
            two,
            data.merged_heads(6, 1e-2, 2, 3, (3, 2)),
            20.0,
        ),
    ]


PROBLEMS = {
    problem.name: problem
    for problem in [*_linear(), *_deep(), *_curved(), *_relu(), *_convolution(), *_attention_problems()]
}

# one of each kind for the short selection of tests
SHORT = (
    "linear-correlated-weighted",
    "deep-linear-three-layers",
    "quadratic-scale-1e-1",
    "relu-sliding-plane",
    "convolution-relu-one-hot",
    "attention-cubic-separate",
)
