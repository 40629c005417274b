"""Every variant once: units with the shapes they take, and networks of all architectures with random weights.

A test over all of them is parametrised with these lists, so that a new variant is tested by being added here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from reference import units as slow
from saddlescope.networks import AbstractNetwork, Deep, Layer, Skip, Stack
from saddlescope.units import (
    NEURONS,
    AbstractNeuron,
    AbstractUnit,
    Cubic,
    CubicHead,
    Kernel,
    Linear,
    Quadratic,
    ReLU,
    Sine,
    SoftmaxHead,
    Tanh,
    TokenHead,
)

# -------------------------------------------------------------------------------------------------- a user's own neurons


class Cubed(AbstractNeuron):
    degree: ClassVar[int | None] = 3
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 3
    parity: ClassVar[str] = "odd"

    def activation(self, z):
        return z**3


class Swish(AbstractNeuron):
    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 1
    parity: ClassVar[str] = "none"

    def activation(self, z):
        return z * jax.nn.sigmoid(z)


class Softplus(AbstractNeuron):
    """Not silent: of order 0."""

    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = False
    order: ClassVar[int] = 0
    parity: ClassVar[str] = "none"

    def activation(self, z):
        return jax.nn.softplus(z)


class Magnitude(AbstractNeuron):
    """Degree 1 like ReLU, but even: units on opposite rays are copies."""

    degree: ClassVar[int | None] = 1
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 1
    parity: ClassVar[str] = "even"

    @property
    def kinks(self):
        return True

    def kink_rows(self, x):
        return x[None]

    @property
    def kink_slopes(self):
        return (-1.0, 1.0)

    def activation(self, z):
        return jnp.abs(z)


OWN: dict[str, AbstractNeuron] = {
    "cubed": Cubed(),
    "swish": Swish(),
    "softplus": Softplus(),
    "magnitude": Magnitude(),
}

# ----------------------------------------------------------------------------------------------------------------- units


@dataclass(frozen=True)
class UnitCase:
    """A unit, the shape of one x and the outputs it is tried with, and its formula as a loop over named arrays."""

    name: str
    unit: AbstractUnit
    x_shape: tuple[int, ...]
    outputs: int
    slow: Callable[..., np.ndarray]

    def schema(self) -> dict[str, dict[str, int]]:
        return self.unit.schema(self.x_shape, self.outputs)

    def num_weights(self) -> int:
        """Length of u."""
        return sum(int(np.prod(list(dims.values()))) for dims in list(self.schema().values())[:-1])

    def named(self, u: np.ndarray) -> dict[str, np.ndarray]:
        """u [weights] as the named arrays of one unit: one after the other, each in C order."""
        found, start = {}, 0
        for name, dims in list(self.schema().items())[:-1]:
            shape = tuple(dims.values())
            found[name] = u[start : start + int(np.prod(shape))].reshape(shape)
            start += int(np.prod(shape))
        return found


def _neuron(name: str, unit: AbstractNeuron) -> UnitCase:
    return UnitCase(name, unit, (4,), 2, partial(slow.neuron, name))


def _kernel(name: str, neuron: AbstractNeuron, size: int, stride: int) -> UnitCase:
    return UnitCase(
        f"{name}-kernel-{size}-{stride}", Kernel(neuron, size, stride), (6,), 2, partial(slow.kernel, name, stride)
    )


def _tokens(name: str, outputs: int = 1, normalise: bool = True, **options) -> UnitCase:
    unit = TokenHead(normalise=normalise, outputs=outputs, **options)
    return UnitCase(name, unit, (4, 3), outputs, partial(slow.token_head, outputs, normalise))


def _softmax(name: str, outputs: int = 1, **options) -> UnitCase:
    return UnitCase(name, SoftmaxHead(outputs=outputs, **options), (4, 3), outputs, partial(slow.softmax_head, outputs))


UNITS: list[UnitCase] = [
    *(_neuron(name, neuron()) for name, neuron in NEURONS.items()),
    *(_neuron(name, neuron) for name, neuron in OWN.items()),
    _kernel("linear", Linear(), 2, 2),  # side by side
    _kernel("linear", Linear(), 3, 1),  # overlapping
    _kernel("relu", ReLU(), 3, 1),
    _kernel("quadratic", Quadratic(), 2, 2),
    _kernel("cubic", Cubic(), 2, 2),
    _kernel("tanh", Tanh(), 2, 3),  # with gaps, and an entry at the end that no patch sees
    _tokens("head-rank-1", rank=1),
    _tokens("head-rank-2", rank=2, outputs=2),
    _tokens("head-merged", merged=True),
    _tokens("head-sum", rank=1, normalise=False),
    _softmax("softmax-rank-1", rank=1),
    _softmax("softmax-rank-2", rank=2, outputs=2),
    _softmax("softmax-merged", merged=True),
    UnitCase("cubic-rank-1", CubicHead(rank=1), (2, 3), 1, slow.cubic_head),
    UnitCase("cubic-rank-2", CubicHead(rank=2), (2, 3), 1, slow.cubic_head),
    UnitCase("cubic-merged", CubicHead(merged=True), (2, 3), 1, slow.cubic_head),
]

WITH_PSI = [case for case in UNITS if case.unit.psi_name is not None]
WITH_KINKS = [case for case in UNITS if case.unit.kinks]

# -------------------------------------------------------------------------------------------------------------- networks


@dataclass(frozen=True)
class NetworkCase:
    """A factory of networks: the same shapes, any weights."""

    name: str
    zeros: Callable[[], AbstractNetwork]
    x_shape: tuple[int, ...]
    outputs: int
    unit: UnitCase | None = None

    def random(self, seed: int = 0, scale: float = 1.0) -> AbstractNetwork:
        """Independent normal weights."""
        return with_random_weights(self.zeros(), np.random.default_rng(seed), scale)


def _layer(case: UnitCase) -> NetworkCase:
    # one unit more than most inputs have entries, so that no two axes are the same by chance
    zeros = partial(Layer.zeros, case.unit, 5, case.x_shape, case.outputs)
    return NetworkCase(case.name, zeros, case.x_shape, case.outputs, case)


def _deep(name: str, neuron: AbstractNeuron, *widths: int) -> NetworkCase:
    zeros = partial(Deep.zeros, neuron, list(widths), (4,), 2)
    return NetworkCase(f"{name}-{len(widths) + 1}-layers", zeros, (4,), 2)


def _stack(name: str, x_shape: tuple[int, ...], *layers: tuple[int, AbstractUnit], outputs: int = 2) -> NetworkCase:
    """Layers as pairs of a width and a unit."""
    widths, units = zip(*layers, strict=True)
    return NetworkCase(name, partial(Stack.zeros, units, widths, x_shape, outputs), x_shape, outputs)


def _skip(name: str, neuron: AbstractNeuron, skip: int, *widths: int) -> NetworkCase:
    return NetworkCase(name, partial(Skip.zeros, neuron, list(widths), skip, (5,), 2), (5,), 2)


LAYERS: list[NetworkCase] = [_layer(case) for case in UNITS]
DEEP: list[NetworkCase] = [
    _deep("linear", Linear(), 5, 3),
    _deep("relu", ReLU(), 5, 3),
    _deep("quadratic", Quadratic(), 5, 3),
    _deep("cubed", Cubed(), 3, 2),
    _deep("linear", Linear(), 3, 5, 6),
    _deep("tanh", Tanh(), 3, 5, 6),
]
STACKS: list[NetworkCase] = [
    _stack("linear-kernel-then-linear", (6,), (4, Kernel(Linear(), 2, 2)), (3, Linear())),
    _stack("relu-kernel-then-relu", (6,), (4, Kernel(ReLU(), 3, 1)), (3, ReLU())),
    _stack("head-then-linear", (4, 3), (4, TokenHead(rank=1)), (3, Linear()), outputs=1),
    _stack("cubic-then-linear", (2, 3), (4, CubicHead(rank=1)), (3, Linear()), outputs=1),
    _stack("softmax-then-relu", (4, 3), (4, SoftmaxHead(rank=1)), (3, ReLU()), outputs=1),
    _stack("quadratic-then-linear", (4,), (5, Quadratic()), (3, Linear())),
    _stack("linear-then-quadratic-then-sine", (4,), (3, Linear()), (5, Quadratic()), (4, Sine())),
]
SKIPS: list[NetworkCase] = [
    _skip("linear-skip-1", Linear(), 1, 4, 4, 3),
    _skip("linear-skip-2", Linear(), 2, 4, 3, 4),
    _skip("relu-skip-1", ReLU(), 1, 4, 4, 3),
    _skip("tanh-skip-2", Tanh(), 2, 4, 3, 4),
    _skip("quadratic-skip-1", Quadratic(), 1, 3, 3),
]
NETWORKS = LAYERS + DEEP + STACKS + SKIPS

# -------------------------------------------------------------------------------------------------------------- evaluation


def ids(case) -> str:
    """For `pytest.mark.parametrize(..., ids=ids)`."""
    return case.name


def with_random_weights(network: AbstractNetwork, rng: np.random.Generator, scale: float = 1.0) -> AbstractNetwork:
    return network.with_arrays({name: scale * rng.normal(size=a.shape) for name, a in network.arrays().items()})


@eqx.filter_jit
def _phi(unit, x, u):
    return jax.vmap(jax.vmap(unit, in_axes=(None, 0)), in_axes=(0, None))(x, u)


def phi(unit: AbstractUnit, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """phi of every sample and unit in 64 bits: x [samples, ...], u [units, weights] to [samples, units, features]."""
    with jax.enable_x64(True):
        return np.asarray(_phi(unit, x, u))


@eqx.filter_jit
def _outputs(network, x):
    return jax.vmap(network)(x)


def outputs(network: AbstractNetwork, x: np.ndarray) -> np.ndarray:
    """f of every sample in 64 bits, [samples, outputs]."""
    with jax.enable_x64(True):
        return np.asarray(_outputs(network, x))


@cache
def inputs(x_shape: tuple[int, ...], samples: int = 7, seed: int = 0) -> np.ndarray:
    """Normal inputs [samples, *x_shape]."""
    return np.random.default_rng(seed).normal(size=(samples, *x_shape))
