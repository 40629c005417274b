r"""Corollary 2: Theorem 1 holds in every hidden layer of a deep network, and in several at once.

**Setting.** Networks with two and three hidden layers of linear, ReLU, quadratic or tanh neurons, 5 inputs, 3 outputs, at a fixed point. One hidden layer has
2 units and the others 4, and is carried to 4 by each construction of Theorem 1; or all have 2 and are carried to 4 one after the other. Random weights are
made a fixed point as in `theorem-1`: targets differ from the function by noise orthogonal to all its derivatives.

**Measured** is |grad L| over all weights of the wide network, absolute. For each seed it is the largest over layers, and all at once, where it has to vanish,
and the smallest over layers where an assumption is dropped and it must not. In the layers around the widened one the units are as many as in the wide network:
were another layer as narrow, nothing that is added here could be of use, and even what is wrong would rest.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from .. import plots
from ..networks import AbstractLens, AbstractNetwork, Deep
from ..units import AbstractNeuron, Linear, Quadratic, ReLU, Tanh
from . import _constructions, _problems, _rows, theorem_1
from ._base import Claim, Outcome, Progress, claim
from ._constructions import CONSTRUCTIONS, FACTORISED, PROPORTIONAL, SILENT, SPLIT
from ._problems import NARROW, SAMPLES, WIDE, Problem
from ._rows import RESTS, Row

NAME = "corollary-2"
TITLE = "Corollary 2: the four embeddings in any layer of deep networks"
SUMMARY = "Theorem 1 in every hidden layer of deeper networks, alone and in all at once: " + theorem_1.SUMMARY

SEEDS, QUICK_SEEDS = 10, 3
NEURONS: dict[str, AbstractNeuron] = {"linear": Linear(), "ReLU": ReLU(), "quadratic": Quadratic(), "tanh": Tanh()}
#: Hidden layers that are tried; four squares in a row are the 16th power of the inputs.
HIDDEN = {"linear": (2, 3), "ReLU": (2, 3), "quadratic": (2,), "tanh": (2, 3)}
INPUTS, OUTPUTS = 5, 3
#: Root mean square of what a layer takes in: squares of squares stay moderate, and tanh saturates a little.
TAKEN_IN = {"quadratic": 0.7, "tanh": 1.3}
#: A ReLU network that is off on most samples, layer after layer, has little left to measure.
ACTIVE = 0.5

Make = Callable[[AbstractLens, np.random.Generator], AbstractNetwork]


class Dropped(NamedTuple):
    """A construction with an assumption dropped, for these neurons. `rests`: whether it holds all the same."""

    group: str
    neurons: tuple[str, ...]
    make: Make
    words: str
    sentence: str
    rests: bool = False


DROPPED = (
    Dropped(SILENT, ("linear", "tanh"), _constructions.with_outputs, "v not 0", "Units with u = 0 need v = 0"),
    Dropped(
        SILENT,
        ("quadratic",),
        _constructions.with_outputs,
        "v not 0",
        "Units with u = 0 rest with any v where phi is of order 2 in u",
        True,
    ),
    Dropped(
        SILENT,
        ("ReLU",),
        _constructions.with_outputs,
        "v not 0",
        "Units with u = 0 rest with any v by the convention phi'(0) = 0",
        True,
    ),
    Dropped(
        PROPORTIONAL,
        ("ReLU",),
        lambda lens, rng: _constructions.shared(lens, rng, sign=-1.0),
        "one g < 0",
        "Proportional units need g > 0",
    ),
    Dropped(
        PROPORTIONAL,
        ("quadratic", "tanh"),
        _constructions.shared,
        "degree not 1",
        "Proportional units with sum of g h = 1 need degree 1",
    ),
    Dropped(
        PROPORTIONAL,
        ("quadratic",),
        lambda lens, rng: _constructions.proportional(lens, rng, degree=2),
        "d = 2, sum g²h = 1",
        "Degree 2 will do with sum of g^2 h = 1",
        True,
    ),
    Dropped(
        FACTORISED,
        ("ReLU", "quadratic", "tanh"),
        _constructions.refactored,
        "not linear",
        "Another factorisation needs phi linear",
    ),
)


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Embeds fixed points of deep networks in each hidden layer and in all, over seeds."""
    seeds = QUICK_SEEDS if quick else SEEDS
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    combinations = [(name, hidden) for name in NEURONS for hidden in (HIDDEN[name][:1] if quick else HIDDEN[name])]
    for number, (name, hidden) in enumerate(combinations):
        progress(0.9 * number / len(combinations), f"corollary 2: {name}, {hidden + 1} layers")
        rows += _rows_of(name, hidden, seeds)
    progress(0.9, "corollary 2: drawing")
    rows.sort(key=lambda row: list(CONSTRUCTIONS).index(row.group))
    groups = _rows.grouped(rows)
    columns = [{g: groups[g] for g in (SPLIT, PROPORTIONAL)}, {g: groups[g] for g in (SILENT, FACTORISED)}]
    figure = plots.strips(columns, "|grad L| of the wide network, a dot a seed", RESTS[1])
    claims = [_rows.row_claim(NAME, row) for row in rows] + _function_claims(rows)
    table = _rows.tables(rows, "|grad L| of the wide network, worst of all layers")
    setting = f"{seeds} seeds{', two hidden layers only (quick)' if quick else ''}.\n\n{__doc__}"
    return Outcome(claims, list(plots.save(figure, out / NAME)), table, setting, SUMMARY)


def _rows_of(name: str, hidden: int, seeds: int) -> list[Row]:
    """All constructions for one neuron and depth."""
    kind, facts = f"{name}, {hidden + 1} layers", NEURONS[name].facts
    single = [[problem(name, hidden, layer, seed) for seed in range(seeds)] for layer in range(hidden)]
    every = [problem(name, hidden, None, seed) for seed in range(seeds)]
    rows = []
    for group, (make, allows, sentence) in CONSTRUCTIONS.items():
        if not allows(facts):
            continue
        tried = [
            [_widened(one, (layer,), make, seed) for seed, one in enumerate(ones)] for layer, ones in enumerate(single)
        ]
        tried.append([_widened(one, range(hidden), make, seed) for seed, one in enumerate(every)])
        values, changes = np.max(tried, axis=0).T
        words = f"{sentence}, in each hidden layer and in all at once: largest |grad L|, {kind}."
        rows.append(Row(group, kind, "", True, words, values.tolist(), changes.tolist()))
    for case in DROPPED:
        if name not in case.neurons:
            continue
        tried = [
            [_widened(one, (layer,), case.make, seed) for seed, one in enumerate(ones)]
            for layer, ones in enumerate(single)
        ]
        extreme, which = (np.max, "largest") if case.rests else (np.min, "smallest")
        values, changes = extreme(tried, axis=0).T
        words = f"{case.sentence}, in each hidden layer: {which} |grad L|, {kind}."
        rows.append(Row(case.group, kind, case.words, case.rests, words, values.tolist(), changes.tolist()))
    return rows


def _widened(one: Problem, layers, make: Make, seed: int) -> tuple[float, float]:
    """|grad L| with these layers widened one after the other, and the change of the function."""
    rng = np.random.default_rng([seed, *layers, 17])
    network = one.lens.network
    for layer in layers:
        network = make(network.lenses()[layer], rng)
    return theorem_1.measured(network, one)


def problem(name: str, hidden: int, layer: int | None, seed: int) -> Problem:
    """A deep network at a fixed point whose hidden `layer` (None: every one) is narrow."""
    widths = [NARROW if layer is None or place == layer else WIDE for place in range(hidden)]
    attempts = 0
    while True:
        rng = np.random.default_rng(
            [seed, list(NEURONS).index(name), hidden, hidden if layer is None else layer, attempts]
        )
        attempts += 1
        x = rng.uniform(-1.7, 1.7, (SAMPLES, INPUTS))  # bounded: the fourth power of a square has long tails
        network = _network(name, widths, x, rng)
        found = _problems.constructed(network, x, rng)
        if np.mean(np.any(found.outputs != 0.0, axis=1)) >= ACTIVE:
            return found._replace(attempts=attempts)


def _network(name: str, widths: list[int], x: np.ndarray, rng: np.random.Generator) -> Deep:
    """Random weights that leave what each layer takes in of order 1; mostly positive ones after the first, so that ReLUs stay on."""
    neuron, weights, h = NEURONS[name], [], x
    empty = Deep.zeros(neuron, widths, (INPUTS,), OUTPUTS)
    for depth, like in enumerate(empty.weights):
        w = rng.normal(size=like.shape)
        if depth > 0:
            w = np.abs(w) * np.where(rng.random(w.shape) < 0.25, -1.0, 1.0)
        z = h @ w.T
        size = TAKEN_IN.get(name, 1.0) / max(np.sqrt(np.mean(z**2)), 1e-3)
        w, z = size * w, size * z
        weights.append(w)
        with jax.enable_x64(True):
            h = np.asarray(neuron.activation(z))
    return Deep(neuron, tuple(weights))


def _function_claims(rows: list[Row]) -> list[Claim]:
    found = []
    for kind in dict.fromkeys(row.kind for row in rows):
        changes = np.max([row.changes for row in rows if row.kind == kind and not row.dropped], axis=0)
        sentence = f"The function does not change in any of these constructions: largest relative change, {kind}."
        found.append(claim(NAME, kind, "function", sentence, changes.tolist(), RESTS, status="theorem"))
    return found
