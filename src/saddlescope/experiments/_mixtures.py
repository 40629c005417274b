r"""Random small deep networks of unlike layers, each with the type of weights that the conjecture expects of either layer.

**What is expected** follows from one fact alone, before anything has run: units of order 1 in their own weights grow together, along directions ("directions": many units carry what has been
learned); units of order 2 or more run away from one another ("units": few do).

**What is measured:** participation ratios $(\sum_i p_i)^2 / \sum_i p_i^2$ of a layer's units, p the squared norms of their own weights u and v. They count how many units carry the layer's weights, and know
nothing of the units' formula.
"""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ..fixed_points import certify
from ..flow import gradient_flow
from ..networks import AbstractNetwork, Stack
from ..objective import Objective
from ..series import find_plateaus
from ..units import (
    AbstractUnit,
    Cubic,
    CubicHead,
    Kernel,
    Linear,
    Quadratic,
    Sine,
    Tanh,
    XTanhX,
)

Type = Literal["directions", "units"]

#: The grid, drawn by `drawn(DRAWS)` and written down before any of its networks was trained.
FILE = Path(__file__).with_name("conjecture_7.json")
DRAWS = 10
#: Units a layer: as many as are needed for "many" and "few" to be far apart. Normal numbers of one direction in 16 units have a ratio of about 16/3.
WIDTHS = (16, 16)
#: A layer whose weights are carried by fewer units than this, counted by participation, is of type "units": the geometric mean of 1 and 16/3, as a round number.
FEW = 2.3
INPUTS, SAMPLES, OUTPUTS = 4, 40, 1
MAX_STEPS = 6000
RTOL = 1e-6

FIRST: dict[str, tuple[AbstractUnit, tuple[int, ...]]] = {
    "linear": (Linear(), (INPUTS,)),
    "tanh": (Tanh(), (INPUTS,)),
    "sine": (Sine(), (INPUTS,)),
    "quadratic": (Quadratic(), (INPUTS,)),
    "x tanh x": (XTanhX(), (INPUTS,)),
    "cubic": (Cubic(), (INPUTS,)),
    "linear kernel": (Kernel(Linear(), 2, 2), (INPUTS,)),
    "quadratic kernel": (Kernel(Quadratic(), 2, 2), (INPUTS,)),
    "head": (CubicHead(rank=1), (2, INPUTS)),
    "merged head": (CubicHead(merged=True), (2, INPUTS)),
}
SECOND: dict[str, AbstractUnit] = {"linear": Linear(), "tanh": Tanh(), "quadratic": Quadratic(), "x tanh x": XTanhX()}
#: Pairs of layers: every first layer, and every second one.
PAIRS = (
    ("linear", "linear"),
    ("linear", "quadratic"),
    ("tanh", "linear"),
    ("tanh", "x tanh x"),
    ("sine", "quadratic"),
    ("quadratic", "linear"),
    ("quadratic", "tanh"),
    ("x tanh x", "linear"),
    ("cubic", "linear"),
    ("linear kernel", "tanh"),
    ("quadratic kernel", "linear"),
    ("head", "linear"),
    ("head", "quadratic"),
    ("merged head", "linear"),
)


class Mixture(NamedTuple):
    """One combination: two layers, a teacher of the same kinds with `teacher` units in the first layer, and normal initial weights."""

    first: str
    second: str
    scale: float
    teacher: int
    seed: int
    expected: tuple[Type, Type]


def drawn(draws: int) -> list[Mixture]:
    """`draws` combinations of every pair, with scale, teacher and seeds at random."""
    rng = np.random.Generator(np.random.PCG64(7))
    found = []
    for _ in range(draws):
        for first, second in PAIRS:
            scale = round(float(10 ** rng.uniform(-2.0, -1.2)), 5)
            expected = tuple(expected_type(unit) for unit in (FIRST[first][0], SECOND[second]))
            found.append(Mixture(first, second, scale, int(rng.integers(1, 4)), int(rng.integers(10**6)), expected))
    return found


def expected_type(unit: AbstractUnit) -> Type:
    return "directions" if unit.facts.order <= 1 else "units"


def grid() -> list[Mixture]:
    """The combinations as they were written down."""
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    return [Mixture(**(one | {"expected": tuple(one["expected"])})) for one in stored]


class Seen(NamedTuple):
    """What came of one: the type of either layer and its participation ratio; whether the run rested on a plateau after its first drop; how it ended."""

    types: tuple[Type, Type]
    ratios: tuple[float, float]
    plateau: bool
    ended: str
    learned: float


def train(mixture: Mixture) -> Seen:
    """Gradient flow until the loss is known to be at its optimum, at rest, or the steps are used up.

    Weights are read at the slowest moment after the first drop; where there is no plateau, half way down what was learned.
    """
    network, objective = problem(mixture)
    run = gradient_flow(
        network,
        objective,
        until="settled",
        rtol=RTOL,
        max_steps=MAX_STEPS,
        can_rest=lambda state: certify(state, objective).rests,
        throw=False,
    )
    drop = float(run.loss[0] - run.loss[-1])
    after = [p for p in find_plateaus(run.t, run.loss, run.speed) if p.loss < run.loss[0] - 1e-2 * drop]
    if after:
        at = after[0].index
    else:
        at = int(np.argmax(run.loss <= run.loss[0] - 0.5 * drop))
    state = run.network(int(np.argmin(np.abs(run.state_index - at))))
    ratios = tuple(participation(*(np.asarray(part) for part in lens.get())) for lens in state.lenses())
    types = tuple("units" if ratio < FEW else "directions" for ratio in ratios)
    return Seen(types, ratios, bool(after), run.ended, drop / float(run.loss[0]))  # type: ignore[arg-type]


def participation(u: np.ndarray, v: np.ndarray) -> float:
    """How many units carry a layer's weights."""
    p = np.sum(u**2, axis=1) + np.sum(v.reshape(len(v), -1) ** 2, axis=1)
    return float(np.sum(p) ** 2 / np.sum(p**2))


def problem(mixture: Mixture) -> tuple[AbstractNetwork, Objective]:
    """Normal inputs, and targets of root mean square 1 from a narrow network of the same kinds with normal weights."""
    rng = np.random.Generator(np.random.PCG64(mixture.seed))
    unit, x_shape = FIRST[mixture.first]
    units: list[Any] = [unit, SECOND[mixture.second]]
    x = rng.normal(size=(SAMPLES, *x_shape))
    teacher = _drawn(Stack.zeros(units, (mixture.teacher, 2), x_shape, OUTPUTS), rng, 1.0)
    with jax.enable_x64(True):
        y = np.asarray(jax.vmap(teacher)(x))
    y = y / np.sqrt(np.mean(y**2))
    network = _drawn(Stack.zeros(units, WIDTHS, x_shape, OUTPUTS), rng, mixture.scale)
    return network, Objective(x, y, np.full(SAMPLES, 1.0 / SAMPLES), np.float64(0.0))


def _drawn(network: Stack, rng: np.random.Generator, scale: float) -> Stack:
    return network.with_arrays({name: scale * rng.normal(size=a.shape) for name, a in network.arrays().items()})


def write() -> None:
    """Writes the grid down: once, before anything runs."""
    FILE.write_text("[\n" + ",\n".join(json.dumps(one._asdict()) for one in drawn(DRAWS)) + "\n]\n", encoding="utf-8")


__all__ = ["DRAWS", "FEW", "Mixture", "Seen", "drawn", "grid", "participation", "problem", "train"]
