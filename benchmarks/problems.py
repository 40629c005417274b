r"""The problems that everybody solves: a task as samples, a network with its first weights, and stage ends to be found.

Each is data and a network; what makes it hard is said beside it. All have samples, because that is what a user starts from; contenders
get them as they are ("samples"), or as the few rows with the same second moments ("compressed", where f is linear in a fixed psi).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from saddlescope import networks, objective
from saddlescope.flow import error_scale, weights_of, with_weights
from saddlescope.init import gaussian
from saddlescope.networks import AbstractNetwork
from saddlescope.objective import Objective
from saddlescope.tasks import Digits, InContextRegression, LinearTeacher, OrthogonalReLU, QuadraticTeacher, Samples

#: Beyond this many weights a dense Hessian is not formed: its matrix alone would take half a gigabyte.
LARGEST_HESSIAN = 8_000


@dataclass(frozen=True, eq=False)
class Problem:
    """Samples, a network with its first weights, and when to stop.

    - `until`: the time at which every contender stops, after the last stage end; in (learning rate) x (steps).
    - `scale`: root mean square of a weight at t = 0; absolute tolerances are relative tolerances times this.
    - `patience`: how many times longer than usual a solve may take here before it is given up.
    - `forms`: the objectives that there are, "samples" first.
    """

    name: str
    title: str
    hard: str
    network: AbstractNetwork
    data: Samples
    until: float
    patience: float = 1.0

    @functools.cached_property
    def scale(self) -> float:
        return float(np.sqrt(np.mean(error_scale(self.network) ** 2)))

    @property
    def forms(self) -> tuple[str, ...]:
        return ("samples",) if self.network.psi_name is None else ("samples", "compressed")

    @functools.cache  # noqa: B019  # problems live as long as the process
    def objective(self, form: str) -> Objective:
        return objective.build(self.data, self.network, compress=form == "compressed")

    def start(self) -> np.ndarray:
        """All weights as one vector [weights]."""
        return weights_of(self.network)

    def named(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """One vector of weights as the arrays of an init file."""
        return with_weights(self.network, weights).arrays()

    def num_weights(self) -> int:
        return self.start().size

    def has_hessian(self) -> bool:
        return self.num_weights() <= LARGEST_HESSIAN

    def loss(self, form: str) -> Callable[[jax.Array], jax.Array]:
        """The loss of one vector of weights, for JAX."""
        with jax.enable_x64(True):
            goal = jax.tree.map(jnp.asarray, self.objective(form))
            _, unravel = ravel_pytree(jax.tree.map(jnp.asarray, self.network))
        return lambda y: goal.loss(unravel(y))


def _made(name: str, title: str, hard: str, data: Samples, until: float, init: dict, architecture: str, **options):
    empty = networks.build(architecture, data.x.shape[1:], data.y.shape[1], options)
    return Problem(name, title, hard, gaussian(empty, **init), data, until)


def linear(samples: int = 1000, units: int = 50, scale: float = 1e-3, until: float = 40.0, seed: int = 0) -> Problem:
    """Two-layer linear 10-50-5, three modes."""
    teacher = LinearTeacher(singular_values=(3.0, 1.5, 0.5), inputs=10, outputs=5, samples=samples, rotate=True, seed=1)
    return _made(
        "linear",
        f"linear 10-{units}-5",
        "short plateaus, many weights that share a few directions",
        teacher.data("vectors"),
        until,
        {"scale": scale, "seed": seed},
        "fully_connected",
        activation="linear",
        units=units,
    )


def small_linear(seed: int = 0, until: float = 40.0) -> Problem:
    """Two-layer linear 2-50-2, two modes: the smallest problem that sweeps run by the thousand."""
    teacher = LinearTeacher(singular_values=(1.5, 0.5), samples=1000, rotate=True, seed=1)
    return _made(
        "small linear",
        "linear 2-50-2",
        "overheads, and nothing else",
        teacher.data("vectors"),
        until,
        {"scale": 1e-3, "seed": seed},
        "fully_connected",
        activation="linear",
        units=50,
    )


def quadratic(scale: float = 1e-2, until: float = 130.0, seed: int = 0) -> Problem:
    """Quadratic units, H = 10, D = 5: stages of a length proportional to 1 / scale."""
    teacher = QuadraticTeacher(matrix=np.diag([1.0, 0.8, 0.6, 0.4, 0.3]).tolist(), samples=1000, seed=1)
    return _made(
        f"quadratic {scale:.0e}".replace("e-0", "e-"),
        f"quadratic 5-10-1, scale {scale:g}",
        "plateaus that last 1 / scale, at saddles with fast stable directions: stiff",
        teacher.data("vectors"),
        until,
        {"scale": scale, "seed": seed},
        "fully_connected",
        activation="quadratic",
        units=10,
    )


def attention_cubic(until: float = 1000.0) -> Problem:
    """Linear attention with separate rank-1 key and query, on the cubic features of in-context regression."""
    task = InContextRegression(eigenvalues=(1.0, 0.75, 0.5, 0.25), context=31, samples=5000, seed=1)
    return _made(
        "attention cubic",
        "attention on cubic features, H = 8, D = 4",
        "long plateaus, one head a stage",
        task.data("cubic"),
        until,
        {"scale": 1e-2, "seed": 0},
        "attention",
        units=8,
        rank=1,
        input="cubic",
    )


def attention_tokens(until: float = 1000.0) -> Problem:
    """The same heads on 5000 sequences of 32 tokens."""
    task = InContextRegression(eigenvalues=(1.0, 0.75, 0.5, 0.25), context=31, samples=5000, seed=1)
    return _made(
        "attention tokens",
        "attention on 5000 sequences of 32 tokens, H = 8, D = 4",
        "160 000 tokens a gradient, long plateaus",
        task.data("tokens"),
        until,
        {"scale": 1e-2, "seed": 0},
        "attention",
        units=8,
        rank=1,
        input="tokens",
    )


def relu(until: float = 60.0) -> Problem:
    """ReLU units on orthogonal inputs, where every solver gets through."""
    task = OrthogonalReLU(norms=(2.0, 1.5, 1.0, 1.25), targets=(2.0, -0.8, 1.5, -0.6), rotate=True, seed=1)
    return _made(
        "relu",
        "ReLU 4-50-1, orthogonal inputs",
        "a velocity with kinks; most units die early",
        task.data("vectors"),
        until,
        {"scale": 1e-3, "seed": 0},
        "fully_connected",
        activation="relu",
        units=50,
    )


def deep(until: float = 300.0) -> Problem:
    """Four linear layers of width 20."""
    teacher = LinearTeacher(singular_values=(3.0, 2.0, 1.0), inputs=20, outputs=20, samples=1000, rotate=True, seed=1)
    return _made(
        "deep",
        "deep linear, 4 layers of width 20",
        "1600 weights, and escapes that are algebraic",
        teacher.data("vectors"),
        until,
        {"scale": 3e-2, "seed": 0},
        "fully_connected",
        activation="linear",
        units=[20, 20, 20],
    )


def digits(until: float = 12.0) -> Problem:
    """Two classes of MNIST, linear 784-1000-2."""
    made = _made(
        "digits",
        "linear 784-1000-2 on two digits of MNIST",
        "786 000 weights",
        Digits(source="mnist", classes=(3, 5)).data("vectors"),
        until,
        {"scale": 1e-3, "convention": "layer", "seed": 0},
        "fully_connected",
        activation="linear",
        units=1000,
    )
    return replace(made, patience=2.0)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "linear": linear,
    "quadratic 1e-2": quadratic,
    "quadratic 1e-3": functools.partial(quadratic, 1e-3, 1300.0),
    "attention cubic": attention_cubic,
    "attention tokens": attention_tokens,
    "relu": relu,
    "deep": deep,
    "digits": digits,
}
