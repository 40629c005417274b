r"""Proposition 5: when one unit is of order 1, the others are still $O(\epsilon)$, if units are of order 2.

**Setting.** Quadratic neurons and attention heads with separate key and query, 10 units, on white and on other data; normal initial weights of standard deviation $\epsilon$ from 1e-4 to 1e-8, the
same weights times the scale for each seed.

**Measured** along the gradient flow, at the first time when the norm of some unit's weights reaches 1/5: the largest norm among the other units. Its exponent is the slope of its logarithm over
$\ln\epsilon$, one a seed; the interval is Student's over seeds. Near the origin all weights times a factor run through the same states, faster by that factor, so the others' size at the blow-up of the first is a
multiple of the scale: the exponent is 1, and what is left of it vanishes with the scale.

**The contrast.** With units of order 1 all units along a direction grow together: the exponent of the other units is 0, whatever the scale.

**What fails:** that it is so for every ReLU network of 10 units. In one of ten seeds a single unit lies along the faster ray, and the largest other is one of the slower ray: its exponent is 1/3, one less the ratio of the two rates.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import plots, runs
from ..networks import AbstractNetwork
from ..specs import read_spec
from . import _rows
from ._base import Claim, Outcome, Progress, claim, expecting
from ._growth import Exponent, exponent, rest_when_grown
from .theorem_4 import row

NAME = "proposition-5"
TITLE = "Proposition 5: when one unit has grown, the others are still as small as they were"

SEEDS, QUICK_SEEDS = 10, 3
SCALES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
QUICK_SCALES = (1e-4, 1e-6, 1e-8)
UNITS = 10
#: Norm of a unit's weights at which it counts as of order 1: learned quadratic units have about 1.5, and ten linear ones that share a mode a third of it each.
GROWN = 0.2
#: The flow is followed until this part of the first loss is left: the first unit takes off more in all of these problems.
LEFT = 0.7
#: Of one seed's exponent. A runner-up whose blow-up comes a part p later is about 1/p times the scale large, and off by a part scale/p of that: with the largest scale, 1e-4, over four decades, by
#: ln(1 + 1e-4/p)/9.2, a hundredth for a p of a thousandth. Of ten units the two fastest are nearer than p = 3e-4 in about one seed of several hundred.
TOLERANCE = 0.03
#: Of units of order 1, which all grow by the same factor, and then share what is left to learn.
TOGETHER = 0.02


#: (panel, claim) that are known to fail, over all seeds and over the quick ones.
FAILS: dict[bool, set[tuple[str, str]]] = {False: {("ReLU", "exponent")}, True: set()}


class Case(NamedTuple):
    """A problem without its init, and the exponent that the order of its units gives."""

    network: dict[str, Any]
    task: dict[str, Any]
    exponent: float


def _quadratic(*matrix: list[float]) -> Case:
    network = {"architecture": "fully_connected", "activation": "quadratic", "units": UNITS}
    return Case(network, {"kind": "quadratic_teacher", "matrix": list(matrix)}, 1.0)


def _heads(eigenvalues: list[float]) -> Case:
    network = {"architecture": "attention", "units": UNITS, "rank": 1, "input": "cubic"}
    return Case(network, {"kind": "in_context_regression", "eigenvalues": eigenvalues, "context": 31}, 1.0)


LINEAR = {"architecture": "fully_connected", "activation": "linear", "units": UNITS}
TEACHER = {"kind": "linear_teacher", "singular_values": [1.0, 0.5]}
RELU = {"architecture": "fully_connected", "activation": "relu", "units": UNITS}

CASES = {
    "quadratic, white": _quadratic([1.0, 0.0], [0.0, 1.0]),
    "quadratic": _quadratic([1.0, 0.0, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, -0.4]),
    "attention, white": _heads([1.0, 1.0]),
    "attention": _heads([1.2, 0.8, 0.5]),
    "linear": Case(LINEAR, TEACHER, 0.0),
    "ReLU": Case(RELU, {"kind": "orthogonal_relu"}, 0.0),
}


class Measured(NamedTuple):
    """`rests` [seeds, scales] and their exponent."""

    rests: np.ndarray
    exponent: Exponent


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Measures each exponent over scales and seeds."""
    seeds, scales = (QUICK_SEEDS, QUICK_SCALES) if quick else (SEEDS, SCALES)
    out.mkdir(parents=True, exist_ok=True)
    claims: list[Claim] = []
    laws: dict[str, plots.PowerLaw] = {}
    rows = [("network", "", "expected", "measured", "95% interval", "smallest", "largest")]
    for number, (name, case) in enumerate(CASES.items()):
        progress(0.95 * number / len(CASES), f"proposition 5: {name}")
        found = measure(case, scales, seeds)
        laws[name] = plots.PowerLaw(
            scales, found.rests.tolist(), found.exponent.mean, found.exponent.interval, case.exponent
        )
        if case.exponent == 1.0:
            sentence = "When one unit is of order 1, the largest other is as small as the scale: exponent 1."
            tolerance, status = TOLERANCE, "theorem"
        else:
            sentence = "Units of order 1 grow together: when one is of order 1, so is the largest other: exponent 0."
            tolerance, status = TOGETHER, "heuristic"
        bounds = (case.exponent - tolerance, case.exponent + tolerance)
        claims.append(claim(NAME, name, "exponent", sentence, found.exponent.values, bounds, status=status))
        rows.append(row(name, "", case.exponent, found.exponent))
    figure = plots.power_laws(laws, "largest other unit", columns=3)
    setting = f"{seeds} seeds, {len(scales)} scales{' (quick)' if quick else ''}.\n\n{__doc__}"
    claims = expecting(claims, FAILS[quick])
    return Outcome(claims, list(plots.save(figure, out / NAME)), _rows.aligned(rows), setting)


def measure(case: Case, scales: tuple[float, ...], seeds: int) -> Measured:
    rests = np.empty((seeds, len(scales)))
    for seed in range(seeds):
        for k, scale in enumerate(scales):
            spec = {"network": case.network, "task": case.task, "init": {"scale": scale, "seed": seed}}
            problem = runs.prepare(read_spec(spec))
            y, weight = np.asarray(problem.objective.y), np.asarray(problem.objective.weight)
            first = 0.5 * float(weight @ np.sum(y**2, axis=1)) + float(problem.objective.irreducible)
            rests[seed, k] = rest_when_grown(problem.network, problem.objective, sizes, GROWN, LEFT * first)
    return Measured(rests, exponent(scales, rests))


def sizes(network: AbstractNetwork) -> tuple[float, float]:
    """The largest norm of a unit's weights, and the second largest."""
    u, v = (np.asarray(a) for a in network.lenses()[0].get())
    norms = np.sort(np.linalg.norm(np.hstack([u, v.reshape(len(v), -1)]), axis=1))
    return float(norms[-1]), float(norms[-2])
