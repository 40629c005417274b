r"""Narrow networks at fixed points, of every kind of unit: what embeddings are tried on."""

from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import numpy as np

from ..fixed_points import hessian, polish
from ..fixed_points.polish import linearise
from ..networks import AbstractLens, AbstractNetwork, Layer
from ..objective import Objective
from ..results import RESULTS
from ..units import (
    AbstractNeuron,
    AbstractUnit,
    CubicHead,
    Facts,
    Kernel,
    Linear,
    Quadratic,
    ReLU,
    Sigmoid,
    Tanh,
    TokenHead,
)

SAMPLES, NARROW, WIDE = 40, 2, 4


#: Polished weights beyond this are on their way to infinity, as those of bounded units may be.
LARGEST = 5.0


#: A narrow gradient to start from: embedding adds a decade of rounding at most.
POLISHED = 3e-15


class Softplus(AbstractNeuron):
    r"""$\ln(1 + e^{u \cdot x})$, not silent: ln 2 at u = 0."""

    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = False
    order: ClassVar[int] = 0
    parity: ClassVar[Literal["odd", "even", "none"]] = "none"

    def activation(self, z):
        return jax.nn.softplus(z)


class Kind(NamedTuple):
    """A unit with the shapes it is tried with, and whether its networks are polished on given data."""

    unit: AbstractUnit
    x_shape: tuple[int, ...]
    outputs: int
    polished: bool = False


# more inputs and outputs than narrow units: a linear network that fits everything would leave no residual to break anything
KINDS: dict[str, Kind] = {
    "linear": Kind(Linear(), (5,), 3, True),
    "ReLU": Kind(ReLU(), (5,), 3, True),
    "quadratic": Kind(Quadratic(), (5,), 3, True),
    "tanh": Kind(Tanh(), (5,), 3, True),
    "sigmoid": Kind(Sigmoid(), (5,), 3),
    "softplus": Kind(Softplus(), (5,), 3),
    "linear kernel": Kind(Kernel(Linear(), 4, 2), (8,), 3),  # patches overlap
    "merged head": Kind(TokenHead(merged=True, outputs=2), (4, 5), 2),
    "rank-1 head": Kind(TokenHead(rank=1, outputs=2), (4, 5), 2),
    "cubic head": Kind(CubicHead(rank=1), (2, 3), 1),
}


class Problem(NamedTuple):
    """A narrow network at a fixed point: its lens on the layer that is widened, its function on the samples and |grad L|."""

    lens: AbstractLens
    objective: Objective
    outputs: np.ndarray
    gradient: float
    attempts: int

    @property
    def facts(self) -> Facts:
        return self.lens.facts


@eqx.filter_jit
def _look(network: AbstractNetwork, objective: Objective) -> tuple[Any, AbstractNetwork]:
    def loss(network: AbstractNetwork):
        outputs = objective.outputs(network)
        return objective.loss_of(outputs), outputs

    gradient, outputs = jax.grad(loss, has_aux=True)(network)
    return outputs, gradient


def look(network: AbstractNetwork, objective: Objective) -> tuple[np.ndarray, np.ndarray]:
    """f on the samples, and the gradient as one vector."""
    with jax.enable_x64(True):
        outputs, gradient = _look(network, objective)
        return np.asarray(outputs), np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient)])


def random_inputs(kind: Kind, rng: np.random.Generator) -> np.ndarray:
    x = (0.7 if kind.unit.form == "tokens" else 1.0) * rng.normal(
        size=(SAMPLES, *kind.x_shape)
    )  # heads are cubic in them
    if isinstance(kind.unit, AbstractNeuron):
        x[:, 0] = np.abs(x[:, 0]) + 0.1  # of one sign, so that there are directions in which a ReLU is dead on all data
    return x


def random_weights(network: AbstractNetwork, rng: np.random.Generator, scale: float = 0.7) -> AbstractNetwork:
    return network.with_arrays({name: scale * rng.normal(size=a.shape) for name, a in network.arrays().items()})


def samples(x: np.ndarray, y: np.ndarray) -> Objective:
    return Objective(x, y, np.full(len(x), 1 / len(x)), np.float64(0.0))


def constructed(network: AbstractNetwork, x: np.ndarray, rng: np.random.Generator) -> Problem:
    """A problem of which any weights are a fixed point: targets are f, and noise orthogonal to every derivative of f."""
    with jax.enable_x64(True):
        weights = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network)])
        empty = samples(x, np.zeros((len(x), network.lenses()[-1].get()[1].shape[2])))
        root_f, jacobian = (np.asarray(part) for part in linearise(network, empty, weights))
    basis = _range(jacobian)
    noise = 0.5 * rng.normal(size=root_f.shape) / np.sqrt(len(x))
    for _ in range(2):  # once leaves the rounding of a large number
        noise = noise - basis @ (basis.T @ noise)
    f, missing = (np.sqrt(len(x)) * part.reshape(len(x), -1) for part in (root_f, noise))
    return Problem(network.lenses()[0], samples(x, f + missing), f, float(np.linalg.norm(jacobian.T @ noise)), 1)


def _range(matrix: np.ndarray) -> np.ndarray:
    left, values, _ = np.linalg.svd(matrix, full_matrices=False)
    return left[:, values > 1e-13 * np.max(values, initial=0.0)]


def _polished(kind: Kind, rng: np.random.Generator) -> Problem | None:
    """A random narrow network, at the fixed point of random data that descent and Newton's method reach from it; None if they reach none."""
    x = random_inputs(kind, rng)
    teacher = random_weights(Layer.zeros(kind.unit, WIDE, kind.x_shape, kind.outputs), rng)
    start = random_weights(Layer.zeros(kind.unit, NARROW, kind.x_shape, kind.outputs), rng)
    y = look(teacher, samples(x, np.zeros((SAMPLES, kind.outputs))))[0]
    y = y / np.sqrt(np.mean(np.sum(y**2, axis=1))) + 0.3 * rng.normal(size=y.shape)
    objective = samples(x, y)
    found = polish(start, objective, throw=False)
    if found.result is not RESULTS.successful:
        return None
    network = refined(found.network, objective)
    outputs, gradient = look(network, objective)
    size = max(float(np.max(np.abs(a))) for a in network.arrays().values())
    one = Problem(network.lenses()[0], objective, outputs, float(np.linalg.norm(gradient)), 1)
    return one if one.gradient <= POLISHED and size <= LARGEST else None


def refined(network: AbstractNetwork, objective: Objective, steps: int = 3) -> AbstractNetwork:
    """Newton's last steps, to rounding; flat directions are left alone."""
    leaves, structure = jax.tree.flatten(network)
    gradient = look(network, objective)[1]
    for _ in range(steps):
        step = np.linalg.pinv(hessian(network, objective), rcond=1e-9, hermitian=True) @ gradient
        parts = np.split(step, np.cumsum([leaf.size for leaf in leaves])[:-1])
        moved = [leaf - part.reshape(leaf.shape) for leaf, part in zip(leaves, parts, strict=True)]
        trial = jax.tree.unflatten(structure, moved)
        following = look(trial, objective)[1]
        if not np.linalg.norm(following) < np.linalg.norm(gradient):
            break
        network, leaves, gradient = trial, moved, following
    return network


def problem(name: str, seed: int) -> Problem:
    """A narrow network of this kind at a fixed point; starts that come to rest nowhere are drawn again."""
    kind, attempts = KINDS[name], 0
    while True:
        rng = np.random.default_rng([seed, list(KINDS).index(name), attempts])
        attempts += 1
        if kind.polished:
            found = _polished(kind, rng)
        else:
            network = random_weights(Layer.zeros(kind.unit, NARROW, kind.x_shape, kind.outputs), rng, 0.5)
            found = constructed(network, random_inputs(kind, rng), rng)
        if found is not None:
            return found._replace(attempts=attempts)
