r"""Theorem 4: when the weights along the first r directions are of order 1, the rest is still $O(\epsilon^{1 - s_{r+1}/s_1})$.

**Setting.** Networks whose units are linear at the origin, three modes; 20 units, normal initial weights of standard deviation $\epsilon$ from 1e-4 to 1e-8, the same weights times
the scale for each seed. A *direction* is a pair of singular vectors $r_k, l_k$ of $E[\psi\,y^\top]$; the weights along it are $(U r_k + V l_k)/\sqrt2$, one number a unit.

**Measured** along the gradient flow, at the first time when the norm of the weights along the first r directions reaches half of $(2 s_1/\lambda_1)^{1/2}$, the size of a learned first mode. The rest is

- *projection*: the norm of U and V outside the first r of the $r_k$, and of the $l_k$;
- *rank*: the largest singular value after the r-th of all weights [U, V].

The exponent is the slope of the rest's logarithm over $\ln\epsilon$, one a seed; the interval is Student's over seeds.

**Found.** Both exponents are the theorem's where the inputs' covariance has the $r_k$ as eigenvectors. Where it has not, growing weights turn away from $r_1$ by what they have learned, which is of
order 1 however small the scale: the projection on directions that were fixed at the start has a floor, while the rank is small as the theorem says. So what stays small is the distance to the
manifold of rank r. Where another direction follows closely, as 0.2 does 0.3, the whole rest is off by
what that adds at these scales: 0.009 of an exponent of 0.7. Units that are linear at the origin only (tanh) leave that manifold too, by the third power of the weights: for them the theorem holds as long as the rest is above it.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import plots, runs
from ..networks import AbstractNetwork
from ..specs import read_spec
from . import _rows
from ._base import Claim, Outcome, Progress, claim
from ._growth import Exponent, Sizes, exponent, rest_when_grown

NAME = "theorem-4"
TITLE = "Theorem 4: weights outside the first r directions stay small, by a power of the scale"

SEEDS, QUICK_SEEDS = 10, 3
SCALES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
QUICK_SCALES = (1e-4, 1e-6, 1e-8)
UNITS = 20
#: Part of its learned size at which the first mode counts as of order 1.
GROWN = 0.5
#: Every seed's exponent lies within this of the theorem's: at 1e-4 the fastest other direction is at most a tenth, and its square is what the theorem leaves out.
TOLERANCE = 0.01
#: Initial sizes along two directions are within this factor of each other: norms of 20 and more normal weights.
APART = 2.0
#: A floor: between the two smallest scales the slope is below this part of the theorem's, and at least about zero. (Over all scales it is a mixture of the floor and of what still falls.)
FLOOR, LEAST = 0.5, -0.05
#: The flow is followed until the first mode has taken off this part of the loss that it takes.
FALLEN = 0.9

PROJECTION, RANK = "projection", "rank"

S, LAMBDA = (1.0, 0.7, 0.4), (1.0, 2.0, 0.8)


class Case(NamedTuple):
    """A problem without its init; `r`: how many directions come first; `holds`: whether the theorem's exponent is found."""

    name: str
    network: dict[str, Any]
    task: dict[str, Any]
    r: int
    measure: str
    holds: bool = True


def _case(name: str, activation: str, task: dict[str, Any], r: int, measure: str, holds: bool = True) -> Case:
    network = {"architecture": "fully_connected", "activation": activation, "units": UNITS}
    return Case(name, network, task, r, measure, holds)


def _teacher(s: tuple[float, ...]) -> dict[str, Any]:
    return {"kind": "linear_teacher", "singular_values": list(s), "input_eigenvalues": list(LAMBDA), "rotate": True}


def _non_commuting() -> dict[str, Any]:
    # orthogonal inputs with any targets are every pair of covariance and correlation; this correlation turns its modes against the inputs' axes
    turn = np.array([[2.0, -2.0, 1.0], [1.0, 2.0, 2.0], [2.0, 1.0, -2.0]]) / 3
    norms = np.sqrt(3 * np.asarray(LAMBDA))
    targets = 3 * (turn * S) / norms[:, None]
    return {"kind": "orthogonal_relu", "norms": norms.tolist(), "targets": targets.tolist()}


KERNELS = {
    "architecture": "convolutional",
    "activation": "linear",
    "units": UNITS,
    "kernel_size": 3,
    "stride": 3,
}
CONVOLUTION = {
    "kind": "convolutional_teacher",
    "kernel_size": 3,
    "positions": 3,
    "singular_values": list(S),
    "input_eigenvalues": list(LAMBDA),
}
#: A sample, for tanh is not linear in psi; its singular values are near those of the teacher.
SAMPLE = _teacher((1.0, 0.6, 0.3)) | {"samples": 200, "input_eigenvalues": [0.3, 0.3, 0.3]}

CASES = (
    _case("linear, s2/s1 = 0.3", "linear", _teacher((1.0, 0.3, 0.2)), 1, PROJECTION),
    _case("linear, s2/s1 = 0.5", "linear", _teacher((1.0, 0.5, 0.2)), 1, PROJECTION),
    _case("linear, s2/s1 = 0.7", "linear", _teacher(S), 1, PROJECTION),
    _case("linear, s3/s1 = 0.4", "linear", _teacher(S), 2, PROJECTION),
    Case("convolution, r = 1", KERNELS, CONVOLUTION, 1, PROJECTION),
    Case("convolution, r = 2", KERNELS, CONVOLUTION, 2, PROJECTION),
    _case("linear, r = 1", "linear", _teacher(S), 1, RANK),
    _case("linear, r = 2", "linear", _teacher(S), 2, RANK),
    _case("non-commuting, r = 1", "linear", _non_commuting(), 1, RANK),
    _case("non-commuting, r = 2", "linear", _non_commuting(), 2, RANK),
    _case("non-commuting, r = 1", "linear", _non_commuting(), 1, PROJECTION, False),
    _case("non-commuting, r = 2", "linear", _non_commuting(), 2, PROJECTION, False),
    _case("tanh, r = 1", "tanh", SAMPLE, 1, PROJECTION, False),
    _case("tanh, r = 1", "tanh", SAMPLE, 1, RANK, False),
)


class Measured(NamedTuple):
    """`rests` [seeds, scales] and their exponent beside that of the theorem; `following`: by how much the direction that comes next may raise it."""

    rests: np.ndarray
    exponent: Exponent
    theory: float
    following: float


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Measures each exponent over scales and seeds."""
    seeds, scales = (QUICK_SEEDS, QUICK_SCALES) if quick else (SEEDS, SCALES)
    out.mkdir(parents=True, exist_ok=True)
    claims: list[Claim] = []
    laws: dict[str, plots.PowerLaw] = {}
    rows = [("network", "r", "theory", "measured", "95% interval", "smallest", "largest")]
    for number, case in enumerate(CASES):
        progress(0.95 * number / len(CASES), f"theorem 4: {case.name}")
        found = measure(case, scales, seeds)
        name = f"{case.name}, {case.measure}"
        laws[name] = plots.PowerLaw(
            scales, found.rests.tolist(), found.exponent.mean, found.exponent.interval, found.theory
        )
        what = "rank of the weights" if case.measure == RANK else "projection on the directions at the start"
        if case.holds:
            sentence = f"By the {what}, the rest grows as the scale to the power {found.theory:.4f}."
            bounds = (found.theory - TOLERANCE, found.theory + TOLERANCE + found.following)
            status = "theorem"
            values = found.exponent.values
        else:
            sentence = f"By the {what}, the rest comes to a floor: between the two smallest scales, an exponent of less than half the theorem's {found.theory:.4f}."
            bounds, status = (LEAST, FLOOR * found.theory), "heuristic"
            values = exponent(scales[-2:], found.rests[:, -2:]).values
        claims.append(claim(NAME, name, "exponent", sentence, values, bounds, status=status))
        rows.append(row(name, str(case.r), found.theory, found.exponent))
    figure = plots.power_laws(laws, "norm of the rest", columns=5)
    setting = f"{seeds} seeds, {len(scales)} scales{' (quick)' if quick else ''}.\n\n{__doc__}"
    return Outcome(claims, list(plots.save(figure, out / NAME)), _rows.aligned(rows), setting)


def row(name: str, what: str, theory: float, found: Exponent) -> tuple[str, ...]:
    """A line of the table."""
    low, high = found.interval
    ends = (f"{min(found.values):.4f}", f"{max(found.values):.4f}")
    return (name, what, f"{theory:.4f}", f"{found.mean:.4f}", f"[{low:.4f}, {high:.4f}]", *ends)


def measure(case: Case, scales: tuple[float, ...], seeds: int) -> Measured:
    rests = np.empty((seeds, len(scales)))
    theory = following = 0.0
    for seed in range(seeds):
        for k, scale in enumerate(scales):
            spec = {"network": case.network, "task": case.task, "init": {"scale": scale, "seed": seed}}
            problem = runs.prepare(read_spec(spec))
            first = directions(problem)
            theory = 1 - first.s[case.r] / first.s[0]
            following = raised(scales, first.s[case.r :] / first.s[0])
            threshold = GROWN * float(np.sqrt(2 * first.s[0] / first.variance))
            stop = first.loss - FALLEN * first.s[0] ** 2 / first.variance / 2
            rests[seed, k] = rest_when_grown(
                problem.network, problem.objective, sizes(first, case.r, case.measure), threshold, stop
            )
    return Measured(rests, exponent(scales, rests), theory, following)


def raised(scales: tuple[float, ...], parts: np.ndarray) -> float:
    r"""By how much the exponent of the whole rest may exceed that of its largest part, $\epsilon^{1 - p_1}$: the next is smaller by $\epsilon^{p_1 - p_2}$ only, and goes sooner. `parts` [directions]: p = s/s1, the largest first."""
    if len(parts) < 2:
        return 0.0
    more = [0.5 * np.log1p((APART * scale ** (parts[0] - parts[1])) ** 2) for scale in (max(scales), min(scales))]
    return float((more[0] - more[1]) / np.log(max(scales) / min(scales)))


class Directions(NamedTuple):
    """`s` [modes], `right` [weights, modes], `left` [readouts, modes] of E[psi y^T]; `variance` of psi along the first; `loss` of f = 0."""

    s: np.ndarray
    right: np.ndarray
    left: np.ndarray
    variance: float
    loss: float


def directions(problem: runs.Problem) -> Directions:
    """Singular directions of what the units see and the targets: rows of the data that one unit's weights multiply, against its readouts."""
    objective, lens = problem.objective, problem.network.lenses()[0]
    u, v = lens.get()
    weights, features, outputs = u.shape[1], *v.shape[1:]
    root = np.sqrt(np.asarray(objective.weight))
    x = np.asarray(objective.x, np.float64)
    if not objective.lifted and features > 1:
        x = np.stack([np.asarray(lens.unit.psi(one)) for one in x])
    rows = root[:, None, None] * x.reshape(len(x), features, weights)
    y = root[:, None] * np.asarray(objective.y, np.float64)
    matrix = np.einsum("nfw,no->wfo", rows, y).reshape(weights, features * outputs)
    right, s, left = np.linalg.svd(matrix, full_matrices=False)
    # of the first mode: its readout says at which positions it is seen
    seen = np.einsum("nfw,w,fo->no", rows, right[:, 0], left[0].reshape(features, outputs))
    loss = 0.5 * float(np.sum(y**2)) + float(objective.irreducible)
    return Directions(s, right, left.T, float(np.sum(seen**2)), loss)


def sizes(first: Directions, r: int, measure: str) -> Sizes:
    """The norm of the weights along the first r directions; and that of the weights along all others, or the largest singular value of all weights after r."""

    def of(network: AbstractNetwork) -> tuple[float, float]:
        u, v = (np.asarray(a) for a in network.lenses()[0].get())
        v = v.reshape(len(v), -1)
        right, left = first.right[:, :r], first.left[:, :r]
        grown = float(np.linalg.norm(u @ right + v @ left) / np.sqrt(2))
        if measure == RANK:
            return grown, float(np.linalg.svd(np.hstack([u, v]), compute_uv=False)[r])
        # the difference itself, for that of squares would cancel
        rest = np.hstack([u - u @ right @ right.T, v - v @ left @ left.T])
        return grown, float(np.linalg.norm(rest))

    return of
