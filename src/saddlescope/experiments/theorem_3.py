r"""Theorem 3: four manifolds that gradient flow does not leave, on which a layer acts as one with a unit less.

**Setting.** Layers of 4 units of ten kinds, random data and random weights on the set:

- *equal*: two units are equal, for any phi;
- *silent*: a unit has u = 0 and v = 0, for phi(x; 0) = 0;
- *proportional*: (u, v) of one unit is g > 0 times that of another, for phi of degree 1;
- *dependent*: all units depend linearly on each other, rank [U V] = 3, for phi linear in u.

**Measured** is how much of grad L is normal to the set, as a part of |grad L|: 0 where the set is invariant, zero to rounding at 1e-13. And a second way, which knows no
tangent spaces: the distance from the set after an Euler step of length h, over h; from two lengths, 1e-5 and half of it, extrapolated to 0.

**Runs.** Gradient flow from weights on each manifold until t = 5, at rtol 1e-8: the largest distance from it on the way, relative to the weights. And from the same sets
with an assumption dropped, which it leaves.

**What breaks it** is tried with the same sets where an assumption is dropped; the library refuses these. Where a set is invariant all the same the assumption was not necessary:
u = 0 alone where phi is of order 2 or more (ReLU too, but only by the convention that its slope at 0 is 0), factors of any sign for linear units, mirror images for odd and
even phi.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import plots
from ..flow import gradient_flow
from ..manifolds import AbstractManifold
from ..networks import AbstractLens, Layer
from ..objective import Objective
from ..units import Facts
from . import _problems, _rows
from ._base import Claim, Outcome, Progress, claim
from ._manifold_sets import DEPENDENT, EQUAL, PROPORTIONAL, SILENT, Case, cases
from ._problems import KINDS, SAMPLES, WIDE, samples
from ._rows import RESTS, Row

NAME = "theorem-3"
TITLE = "Theorem 3: four invariant manifolds with a unit less"
SUMMARY = (
    "Networks are put on each set, and the part of the gradient measured that leads off it, relative to the whole: rounding where the flow "
    "stays, at least 1e-3 where leaving out one assumption lets it leave. Hollow marks: an assumption is left out, and it still stays."
)

SEEDS, QUICK_SEEDS = 10, 3
RUNS, QUICK_RUNS = 3, 1

#: A normal part of |grad L| is at most all of it.
LEAVES = (1e-3, 1.0)
#: What is left of a distance over a step, extrapolated from steps of 1e-5: h^2, and rounding over h.
STEP, STEPPED = 1e-5, (0.0, 1e-6)
#: Two ways to the same number: the part of it by which they may differ.
AGREE = (0.0, 1e-4)
#: Runs: the time, the distance that counts as none, and one that does not.
TIME, STAYS, LEFT = 5.0, (0.0, 1e-9), (1e-3, 1.0)

# ----------------------------------------------------------------------------------------------------------------- measuring


def rows_of(lens: AbstractLens) -> np.ndarray:
    """(u, v) of every unit in one row."""
    u, v = (np.asarray(part, np.float64) for part in lens.get())
    return np.hstack([u, v.reshape(len(u), -1)])


def _facts(case: Case, lens: AbstractLens) -> Facts:
    return lens.facts if case.facts is None else case.facts(lens.facts)


def normal_part(
    case: Case, manifold: AbstractManifold, lens: AbstractLens, objective: Objective, gradient: np.ndarray
) -> float:
    """The normal part of grad L, over |grad L|: the library's own where it takes the set, its formulas otherwise."""
    if case.facts is None and manifold.refuses(lens.facts) is None:
        return manifold.normal(lens, objective)
    facts, inputs = _facts(case, lens), lens.get()[0].shape[1]
    point = manifold.project(rows_of(lens), inputs, facts)
    return float(np.linalg.norm(manifold.normal_part(point, -gradient, inputs, facts)) / np.linalg.norm(gradient))


def distance(case: Case, manifold: AbstractManifold, lens: AbstractLens, theta: np.ndarray) -> float:
    facts, inputs = _facts(case, lens), lens.get()[0].shape[1]
    return float(np.linalg.norm(theta - manifold.project(theta, inputs, facts)))


def stepped(case: Case, manifold: AbstractManifold, lens: AbstractLens, gradient: np.ndarray) -> float:
    """The distance after an Euler step over its length, extrapolated to length 0 from two."""
    theta, direction = rows_of(lens), gradient / np.linalg.norm(gradient)
    whole, half = (distance(case, manifold, lens, theta - h * direction) for h in (STEP, STEP / 2))
    return abs(4 * half - whole) / STEP


def _start(name: str, seed: int, scale: float = 0.7) -> tuple[AbstractLens, Objective, np.random.Generator]:
    """A random network of this kind and random data."""
    kind = KINDS[name]
    rng = np.random.default_rng([seed, list(KINDS).index(name), 3])
    x = _problems.random_inputs(kind, rng)
    objective = samples(x, rng.normal(size=(SAMPLES, kind.outputs)))
    network = _problems.random_weights(Layer.zeros(kind.unit, WIDE, kind.x_shape, kind.outputs), rng, scale)
    return network.lenses()[0], objective, rng


def _row(case: Case, name: str, seeds: int) -> Row:
    values, second = [], []
    for seed in range(seeds):
        lens, objective, rng = _start(name, seed)
        lens = lens.of(case.start(lens, rng))
        manifold = case.manifold(lens)
        gradient = _gradient(lens, objective)
        values.append(normal_part(case, manifold, lens, objective, gradient))
        second.append(stepped(case, manifold, lens, gradient))
    sentence = f"{case.sentence}: normal part of grad L, {name}."
    return Row(case.group, name, case.dropped, case.rests, sentence, values, second)


def _gradient(lens: AbstractLens, objective: Objective) -> np.ndarray:
    """grad L of the layer, a row a unit."""
    gradient = _problems.look(lens.network, objective)[1]
    u, v = lens.get()
    return np.hstack([gradient[: u.size].reshape(len(u), -1), gradient[u.size :].reshape(len(v), -1)])


def _run(case: Case, name: str, seed: int) -> float | None:
    """The largest distance from the set along a run, relative to the weights."""
    lens, objective, rng = _start(name, seed, 0.4)
    lens = lens.of(case.start(lens, rng))
    manifold = case.manifold(lens)
    # all units: a flow of one unit in place of copies could not leave them
    run = gradient_flow(lens.network, objective, until=TIME, compress=False, throw=False)
    if run.ended != "time":
        return None
    found = [rows_of(lens.of(run.network(k))) for k in range(len(run.states))]
    return max(distance(case, manifold, lens, theta) / float(np.linalg.norm(theta)) for theta in found)


# --------------------------------------------------------------------------------------------------------------- the experiment

#: Runs: (group, kind, what is dropped). One for each manifold, and one for each that leaves.
FLOWS = (
    (EQUAL, "tanh", ""),
    (SILENT, "tanh", ""),
    (PROPORTIONAL, "ReLU", ""),
    (DEPENDENT, "linear", ""),
    (SILENT, "tanh", "v not 0"),
    (PROPORTIONAL, "ReLU", "g < 0"),
    (PROPORTIONAL, "tanh", "degree not 1"),
    (DEPENDENT, "tanh", "not linear"),
)
#: Quick: linear units, for which all four are invariant, so that one flow is compiled.
QUICK_FLOWS = (
    *((group, "linear", "") for group in (EQUAL, SILENT, PROPORTIONAL, DEPENDENT)),
    (SILENT, "linear", "v not 0"),
)


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Measures the normal part of the gradient on each set over seeds, with and without each assumption, and runs along them."""
    seeds, runs = (QUICK_SEEDS, QUICK_RUNS) if quick else (SEEDS, RUNS)
    out.mkdir(parents=True, exist_ok=True)
    tried, rows = cases(), []
    for number, case in enumerate(tried):
        progress(0.5 * number / len(tried), f"theorem 3: {case.group} {case.dropped}")
        rows += [_row(case, name, seeds) for name in case.kinds]
    flows: list[tuple[Row, list[float | None]]] = []
    wanted = QUICK_FLOWS if quick else FLOWS
    for number, (group, name, dropped) in enumerate(wanted):
        progress(0.5 + 0.4 * number / len(wanted), f"theorem 3: a run, {group}, {name} {dropped}")
        case = next(c for c in tried if c.group == group and c.dropped == dropped and name in c.kinds)
        values = [_run(case, name, seed) for seed in range(runs)]
        flows.append((Row("runs", f"{group}, {name}", dropped, case.rests, "", [], []), values))
    progress(0.9, "theorem 3: drawing")
    claims = [_rows.row_claim(NAME, row, moves=LEAVES) for row in rows] + _second_claims(rows)
    claims += [_run_claim(row, values) for row, values in flows]
    groups = _rows.grouped(rows)
    strips = [
        plots.Strip(f"{row.kind}: {row.dropped}" if row.dropped else row.kind, values, not row.dropped, row.rests)
        for row, values in flows
    ]
    columns = [
        {EQUAL: groups[EQUAL], DEPENDENT: groups[DEPENDENT], "runs: distance / |weights|": strips},
        {SILENT: groups[SILENT], PROPORTIONAL: groups[PROPORTIONAL]},
    ]
    figure = plots.strips(columns, "part of grad L normal to the set, a dot a seed", RESTS[1])
    table = "\n\n".join(
        [
            _rows.tables(rows, "part of grad L normal to the set", "set", "by Euler steps"),
            f"runs to t = {TIME:g}: largest distance / |weights|\n{_run_table(flows)}",
        ]
    )
    setting = f"{seeds} seeds, {runs} for runs{', of linear units only (quick)' if quick else ''}.\n\n{__doc__}"
    return Outcome(claims, list(plots.save(figure, out / NAME)), table, setting, SUMMARY)


def _second_claims(rows: Sequence[Row]) -> list[Claim]:
    """That Euler steps, which know no tangent spaces, give the same numbers."""
    found = []
    for name in KINDS:
        stays = np.max([row.changes for row in rows if row.kind == name and row.rests], axis=0).tolist()
        sentence = f"After an Euler step the distance from each invariant set is of second order: what is left of first order, {name}."
        found.append(claim(NAME, name, "Euler steps stay", sentence, stays, STEPPED, status="theorem"))
        apart = [np.abs(np.divide(row.changes, row.values) - 1) for row in rows if row.kind == name and not row.rests]
        if apart:
            sentence = f"From the others it leaves at the rate of the normal part: relative difference, {name}."
            values = np.max(apart, axis=0).tolist()
            found.append(claim(NAME, name, "Euler steps leave", sentence, values, AGREE, status="heuristic"))
    return found


def _run_claim(row: Row, values: list[float | None]) -> Claim:
    what = "stays on" if row.rests else "leaves"
    sentence = f"Gradient flow {what} the set ({row.kind}{', ' + row.dropped if row.dropped else ''}): largest distance over |weights|."
    name = f"run: {row.dropped or 'stays'}"
    bounds, status = (STAYS, "theorem") if row.rests else (LEFT, "heuristic")
    return claim(NAME, row.kind, name, sentence, values, bounds, status=status)


def _run_table(flows: list[tuple[Row, list[float | None]]]) -> str:
    rows = [("set, unit", "dropped", "runs", "smallest", "largest", "")]
    for row, values in flows:
        known = [v for v in values if v is not None]
        spread = (f"{min(known):.1e}", f"{max(known):.1e}") if known else ("-", "-")
        rows.append(
            (row.kind, row.dropped, f"{len(known)} of {len(values)}", *spread, "stays" if row.rests else "leaves")
        )
    return _rows.aligned(rows)
