r"""Data or initialisation: which of the two sets the times of a run's plateaus, found by changing one and keeping the other.

The theory (Zhang, Saxe & Latham 2026) says: where units are of order 1 timescales separate directions of the data, plateaus have low-rank weights and last about
$\ln(1/\epsilon)$; where units are of order 2 or more they separate units by their initial weights, plateaus have sparse weights and last about a power of $1/\epsilon$. Here
nothing of that is assumed: the same problem is run again with other weights, other data and other scales.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import xarray as xr

from ..fixed_points import certify
from ..flow import gradient_flow
from ..init import INITS
from ..networks import AbstractNetwork
from ..objective import Objective
from ..series import crossing_time, find_plateaus, slowest_point
from ..specs import ArraysSpec, Spec, read_spec
from .counterfactual import spectrum_of
from .prepare import Problem, options_of, prepare

Progress = Callable[[float | None, str], None]

RTOL = 1e-6
MAX_STEPS = 60_000
#: Scales tried, as parts of the spec's own.
SCALES = (1.0, 0.5, 0.25)
#: Standard deviation of the logarithm of each rate in data that are drawn anew.
REDRAWN = 0.3
#: Rates within this factor of one another are one timescale.
WHITE = 1.05


@dataclass(frozen=True)
class Intervention:
    """What happened when weights or data were changed.

    - `cause`: data | initialisation | both | none; how it follows is in `cause`.
    - `plateaus`, `plateaus_white`: how many after the first, with each initial seed: on the data, and on white ones (None where there is no white version,
        with the reason in `white_unknown`).
    - `rates`: of growth at the origin, largest first; `spread`: the largest over the smallest. Empty and None where unknown.
    - `duration`: of the first plateau after the one at t = 0, its median over initial seeds; None where there is none.
    - `same_data`: durations with new weights; `same_weights`: with new data.
    - `elasticity`, `elasticity_interval`: d ln(duration) / d ln(1/scale), the mean over initial seeds with its 95% interval (Student). About 1/ln(1/scale) where a plateau lasts
        as the logarithm, p where as the power p of 1/scale.
    - `shares`: parts of the variance of ln(duration) over (data seed x initial seed) due to "data", "initialisation" and their "interaction". They depend on how far the data were changed (a third).
    - `directions`, `units`: participation ratios of the weights on that plateau over directions and over units, medians; `structure`: "low-rank" if the units are more by a factor 2, else "sparse".
    - `runs`: how many were simulated; `unfinished`: how many of them did not come to rest in the steps they were given.
    """

    cause: str
    plateaus: tuple[int, ...]
    plateaus_white: tuple[int, ...] | None
    white_unknown: str | None
    rates: tuple[float, ...]
    spread: float | None
    duration: float | None
    same_data: tuple[float, ...]
    same_weights: tuple[float, ...]
    elasticity: float | None
    elasticity_interval: tuple[float, float] | None
    shares: dict[str, float] | None
    directions: float | None
    units: float | None
    structure: str | None
    runs: int
    unfinished: int

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Seen:
    """One run: the number of plateaus after the first, how long the first of them lasted, and the weights there."""

    plateaus: int
    duration: float | None
    directions: float | None
    units: float | None
    finished: bool


def cause(
    spec: "str | os.PathLike[str] | Mapping[str, Any] | Spec | Problem",
    *,
    seeds: int = 6,
    data_seeds: int = 3,
    progress: Progress | None = None,
) -> Intervention:
    """Runs one problem again with other weights, other data, other scales and white data, and says what sets its plateaus.

    The verdict: "none" where most initial seeds see no plateau after the first. Otherwise initialisation is a cause where most still see one on white data, on which all directions
    grow alike; the data are one where their rates differ and, should plateaus remain on white data as well, both are. Where no white version is known, the elasticity decides in its place:
    durations that grow as a power of 1/scale (above 1/2) are the weights' doing.

    **Arguments:**

    - `spec`: as `run` takes it. Its own initial seed is the first of `seeds`.
    - `seeds`: number of initial weights, 3 or more; `data_seeds`: of data sets, besides the problem's own.

    **Raises:** `ValueError` for fewer seeds; what `prepare` raises.
    """
    if seeds < 3 or data_seeds < 1:
        raise ValueError(
            f"cause needs seeds >= 3 and data_seeds >= 1 to compare anything: found {seeds}, {data_seeds}."
        )
    problem = spec if isinstance(spec, Problem) else prepare(read_spec(spec))
    objective = problem.objective
    networks = [_weights(problem, k) for k in range(seeds)]
    spectrum = spectrum_of(problem.network, objective)
    done: list[_Seen] = []
    expected = seeds * (2 + len(SCALES) - 1 + data_seeds)

    def look(network: AbstractNetwork, data: Objective, what: str) -> _Seen:
        if progress is not None:
            progress(min(len(done) / expected, 0.99), f"intervention: {what}")
        done.append(_look(network, data))
        return done[-1]

    base = [look(network, objective, "new weights") for network in networks]
    white: list[_Seen] | None = None
    redrawn: list[list[_Seen]] = []
    scaled: list[list[_Seen]] = [base]
    if any(s.plateaus for s in base):
        for factor in SCALES[1:]:
            scaled.append([look(_times(network, factor), objective, "another scale") for network in networks])
    if not isinstance(spectrum, str):
        white = [look(network, spectrum.white(), "white data") for network in networks]
        if any(s.plateaus for s in base):
            for seed in range(data_seeds):
                data = spectrum.redrawn(seed, REDRAWN)
                redrawn.append([look(network, data, "new data") for network in networks])
    rates = () if isinstance(spectrum, str) else tuple(float(r) for r in spectrum.rates)
    spread = None if isinstance(spectrum, str) else spectrum.spread
    elasticity, elasticity_interval = _elasticity(scaled)
    directions = [s.directions for s in base if s.directions is not None]
    units = [s.units for s in base if s.units is not None]
    durations = [s.duration for s in base if s.duration is not None]
    structure = None
    if directions and units:
        structure = "low-rank" if np.median(units) > 2 * np.median(directions) else "sparse"
    return Intervention(
        _verdict(base, white, spread, elasticity),
        tuple(s.plateaus for s in base),
        None if white is None else tuple(s.plateaus for s in white),
        spectrum if isinstance(spectrum, str) else None,
        rates,
        spread,
        float(np.median(durations)) if durations else None,
        tuple(durations),
        tuple(row[0].duration for row in redrawn if row[0].duration is not None),
        elasticity,
        elasticity_interval,
        _shares([base, *redrawn]),
        float(np.median(directions)) if directions else None,
        float(np.median(units)) if units else None,
        structure,
        len(done),
        sum(not s.finished for s in done),
    )


def with_cause(record: xr.Dataset, found: Intervention) -> xr.Dataset:
    """The record with a cause that was found by intervention in its summary: `cause_basis` is "intervention", and `intervention` has the numbers."""
    summary = json.loads(record.attrs["summary"])
    summary |= {"cause": found.cause, "cause_basis": "intervention", "intervention": found.as_json()}
    return record.assign_attrs(summary=json.dumps(summary, allow_nan=False))


def _verdict(
    base: Sequence[_Seen], white: Sequence[_Seen] | None, spread: float | None, elasticity: float | None
) -> str:
    if not _most(base):
        return "none"
    if white is None:
        return "data" if elasticity is None or elasticity < 0.5 else "initialisation"
    if not _most(white):
        return "data"
    return "initialisation" if spread is not None and spread <= WHITE else "both"


def _most(seen: Sequence[_Seen]) -> bool:
    """Whether more than half of the runs rested once more after the first plateau."""
    return 2 * sum(s.plateaus > 0 for s in seen) > len(seen)


def _weights(problem: Problem, number: int) -> AbstractNetwork:
    """The problem's own weights for number 0; otherwise drawn as they were, from other seeds."""
    if number == 0:
        return problem.network
    init = problem.spec.init
    if not isinstance(init, ArraysSpec):
        return INITS[init.kind](problem.network, **(options_of(init) | {"seed": init.seed + number}))
    # from a file: normal numbers, each array as large as the file's
    draw = np.random.default_rng([number, 11])
    drawn = {}
    for name, a in problem.network.arrays().items():
        a = np.asarray(a)
        drawn[name] = float(np.sqrt(np.mean(a**2))) * draw.standard_normal(a.shape)
    return problem.network.with_arrays(drawn)


def _times(network: AbstractNetwork, factor: float) -> AbstractNetwork:
    return jax.tree.map(lambda a: factor * np.asarray(a), network)


def _look(network: AbstractNetwork, objective: Objective) -> _Seen:
    """One run, its plateaus read off the curve: saddles are not polished, for a quarter of a per cent makes no difference here."""
    run = gradient_flow(
        network,
        objective,
        until="settled",
        rtol=RTOL,
        max_steps=MAX_STEPS,
        can_rest=lambda state: certify(state, objective).rests,
        throw=False,
    )
    if run.ended == "interrupted":
        raise KeyboardInterrupt
    plateaus = find_plateaus(run.t, run.loss, run.speed)
    # before the first drop the network is nothing yet: a plateau there is the one at the origin, wherever its slowest moment is
    after = [p for p in plateaus if p.loss < run.loss[0] - 1e-3 * (run.loss[0] - run.loss[-1])]
    duration = directions = units = None
    if after:
        heights = [slowest_point(run.t, run.loss, run.speed, p.index)[1] for p in after]
        levels = [0.5 * (a + b) for a, b in zip([run.loss[0], *heights], [*heights, run.loss[-1]], strict=True)]
        start, end = (crossing_time(run.t, run.loss, run.speed, float(level)) for level in levels[:2])
        duration = None if start is None or end is None or end <= start else end - start
        kept = int(np.argmin(np.abs(run.state_index - after[0].index)))
        directions, units = _participation(run.network(kept))
    finished = run.ended in ("settled", "converged")
    return _Seen(len(after), duration, directions, units, finished)


def _participation(network: AbstractNetwork) -> tuple[float, float]:
    r"""$(\sum p)^2 / \sum p^2$ of the squared singular values of [u, v] of the first layer, and of the squared norms of its units."""
    u, v = (np.asarray(a) for a in network.lenses()[0].get())
    stacked = np.hstack([u, v.reshape(len(v), -1)])
    found = []
    for p in (np.linalg.svd(stacked, compute_uv=False) ** 2, np.sum(stacked**2, axis=1)):
        found.append(float(np.sum(p) ** 2 / np.sum(p**2)))
    return found[0], found[1]


def _elasticity(scaled: Sequence[Sequence[_Seen]]) -> tuple[float | None, tuple[float, float] | None]:
    """The slope of ln(duration) over ln(1/scale) for each initial seed; their mean and its 95% interval."""
    if len(scaled) < 2:
        return None, None
    x = -np.log(SCALES)
    slopes = []
    for column in zip(*scaled, strict=True):
        known = [(at, np.log(s.duration)) for at, s in zip(x, column, strict=True) if s.duration is not None]
        if len(known) >= 2:
            slopes.append(float(np.polyfit(*np.transpose(known), 1)[0]))
    if not slopes:
        return None, None
    mean = float(np.mean(slopes))
    if len(slopes) < 2:
        return mean, None
    from scipy.stats import t  # slow to import

    half = float(t.ppf(0.975, len(slopes) - 1) * np.std(slopes, ddof=1) / np.sqrt(len(slopes)))
    return mean, (mean - half, mean + half)


def _shares(grid: Sequence[Sequence[_Seen]]) -> dict[str, float] | None:
    """Parts of the variance of ln(duration) over data (rows) and initial weights (columns); runs are deterministic, so what is left is interaction."""
    table = np.array([[np.nan if s.duration is None else np.log(s.duration) for s in row] for row in grid])
    # columns first: a set of weights that misses a plateau on some data would bias what is left
    table = table[np.mean(np.isfinite(table), axis=1) > 0.5]
    table = table[:, np.all(np.isfinite(table), axis=0)] if len(table) else table
    if min(table.shape) < 2:
        return None
    mean = table.mean()
    rows, columns = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    total = float(np.mean((table - mean) ** 2))
    if total == 0.0:
        return None
    data, weights = float(np.mean(rows**2)) / total, float(np.mean(columns**2)) / total
    return {"data": data, "initialisation": weights, "interaction": max(1.0 - data - weights, 0.0)}
