r"""Linear units whose features are correlated with each other: kernels on overlapping or correlated patches, merged heads on the tokens of a sample.

Their stages come from directions of the data as those of all linear units do, but f does not determine the rank of the weights, saddles have no formula, and the loss may be slow where
no saddle is. The reduced dynamics hold all the same, and speak for themselves: plateaus are read off their curve, saddles looked for beside it.
"""

from typing import NamedTuple

import numpy as np

from ...series import Plateau, find_plateaus
from .._base import AbstractPredictor, Cost, PredictedEnd, PredictedStage, Prediction, Problem, Status
from ..curve import Curve, follow
from ..lines.directions import LARGEST, ROUNDING
from ..lines.errors import INTEGRATION
from ..lines.moments import MOST, rows_of
from .motion import Combined, LinearUnits, combined
from .saddles import Visit, rank_of, state_of, visited

#: Numbers in the state of a reduced motion, and products of a weight and a feature of a unit: a few seconds.
MOST_NUMBERS, MOST_PAIRS = 625, 1_000
#: Numbers in a state, beyond which an implicit method spends more on matrices than it saves in steps.
MOST_STIFF = 150
#: Part of the whole drop above the best function at which nothing that is still to come is a plateau; and how many time constants of the fastest direction it may take to get there.
REST, LONGEST = 1e-4, 1e7
RTOL = 1e-9
#: What combinations of units that are left out change, over what leaving out one more changes: up to 7 where a few units stand on their own (docs/theory_units.md).
LEFT_OUT = 10.0
#: Heights found by Newton's method, and lowest losses, relative to the loss of f = 0.
NEWTON = 1e-9
#: A correlation with the targets below this part of the largest possible is rounding.
NOTHING = 1e-12


class _Read(NamedTuple):
    """A reduced motion with the plateaus on its curve. `ends`: of each, with what the heights' doubts make of it, and the width of its drop."""

    flow: Combined
    curve: Curve
    plateaus: list[Plateau]
    visits: list[Visit]
    ends: list[tuple[float | None, float, float | None]]


class CorrelatedFeatures(AbstractPredictor):
    """One layer of units that are linear in their weights, whatever their features; gradient flow."""

    name = "correlated features"

    def refuses(self, problem: Problem) -> str | None:
        lenses = problem.network.lenses()
        if len(lenses) != 1 or not lenses[0].direct:
            return "needs a network that is the sum of one layer of units"
        facts = lenses[0].facts
        if not facts.linear or facts.order != 1:
            return f"needs units that are linear in their weights: these are of order {facts.order}" + (
                "" if facts.linear else " and not linear"
            )
        if problem.learning_rate is not None:
            return "needs gradient flow: what steps change was not measured where features are correlated"
        u, v = lenses[0].get()
        weights, features, rows = u.shape[1], v.shape[1], len(problem.objective.y)
        if weights * features > MOST_PAIRS or rows * weights * features > MOST:
            return f"needs fewer weights and features: {weights} x {features} products of a unit are more than {MOST_PAIRS}, too many to follow"
        units = _units(problem)
        largest = max(float(np.max(np.abs(a), initial=0.0)) for a in (units.flat, units.target, units.start))
        if not largest < LARGEST**0.5:
            return f"needs numbers whose products stay within 64 bits: the largest of features, targets and weights is {largest:.3g}"
        pull = float(np.linalg.norm(units.flat.T @ units.target, 2))
        if pull <= NOTHING * np.linalg.norm(units.flat, 2) * np.linalg.norm(units.target, 2):
            return "needs something to learn: E[psi y] is zero, so no direction grows"
        least = min(weights, units.size - weights)
        rank = int(np.linalg.matrix_rank(units.start))
        if rank < min(least, len(units.start)):
            return f"needs initial weights of full rank: they have rank {rank}, and lie on an invariant manifold that only rounding leaves"
        if _columns(units) <= least and len(units.start) > least + 1:
            return (
                f"needs smaller units: {least + 1} combinations of units with {units.size} weights, one more than directions that can be learned, are more than "
                f"{MOST_NUMBERS} numbers to follow"
            )
        if _columns(units) <= least:
            return (
                f"needs more units: {least + 1} combinations of them, one more than directions that can be learned, have to be fewer than units, found "
                f"{len(units.start)}; following as many would be the simulation"
            )
        return None

    def predict(self, problem: Problem) -> Prediction:
        units = _units(problem)
        lowest = _lowest(units)
        columns = _columns(units)
        exact = columns == units.size
        fine = _read(units, None if exact else columns, lowest)
        rough = fine if exact else _read(units, columns - 1, lowest)
        return _prediction(units, fine, rough, lowest, exact)


def _units(problem: Problem) -> LinearUnits:
    lens = problem.network.lenses()[0]
    return LinearUnits(lens, problem.objective, rows_of(problem, np.shape(lens.get()[0])[1]))


def _columns(units: LinearUnits) -> int:
    """How many combinations of units are followed: as many as there are weights and readouts, which is exact; where units or numbers are too few for that, as many as they allow."""
    most = MOST_NUMBERS // units.size
    return (
        units.size
        if units.size < len(units.start) and units.size <= most
        else min(len(units.start) - 1, units.size - 1, most)
    )


def _lowest(units: LinearUnits) -> float:
    """The loss of the best function, which as many units as weights or readouts can have."""
    fit = np.linalg.lstsq(units.flat, units.target, rcond=None)[0]
    return units.loss(units.target - units.flat @ fit)


def _read(units: LinearUnits, columns: int | None, lowest: float) -> _Read:
    r = units.pull(units.target).reshape(units.weights, -1)
    left, s, right = np.linalg.svd(r, full_matrices=False)
    overlap = float(np.linalg.norm(units.start @ np.concatenate([left[:, 0], right[0]]))) / np.sqrt(2)
    strength = s[0] / max(float(np.sum((units.psi @ left[:, 0]) ** 2)) / units.readout[0], 1e-300)
    wait = float(np.log(max(2 * strength / max(overlap, 1e-300) ** 2, 1.0))) / (2 * float(s[0]))
    flow = combined(units, columns, wait)
    assert flow.state.size < units.start.size, "a reduced motion is smaller than the network"
    curve = _followed(flow, lowest, LONGEST / float(s[0]))
    plateaus = list(find_plateaus(curve.t, curve.loss, curve.speed))
    visits = visited(flow, plateaus, curve, lowest)
    heights, doubts = [*(v.height for v in visits), lowest], [*(v.doubt for v in visits), 0.0]
    ends = [_end(curve, heights[k], heights[k + 1], 0.5 * (doubts[k] + doubts[k + 1])) for k in range(len(visits))]
    return _Read(flow, curve, plateaus, visits, ends)


def _followed(flow: Combined, lowest: float, t_max: float) -> Curve:
    """The curve until the best function, with one more sample there."""
    units, shape = flow.units, flow.state.T.shape  # columns as units, whose Hessian is that of any units

    def state(y: np.ndarray) -> np.ndarray:
        return y.reshape(shape).T

    def jacobian(y: np.ndarray) -> np.ndarray:
        columns = y.reshape(shape)
        return units.jacobian(columns, units.residual(columns))

    first, stiff = float(flow.loss(flow.state)), flow.state.size <= MOST_STIFF
    curve = follow(
        lambda y: flow.velocity(state(y)).T.ravel(),
        jacobian if stiff else None,
        lambda y: float(flow.loss(state(y))),
        flow.state.T.ravel(),
        until_loss=lowest + REST * (first - lowest),
        t_max=t_max,
        rtol=RTOL,
        atol=0.01 * RTOL * float(np.sqrt(np.mean(flow.state**2))),
        method="LSODA" if stiff else "DOP853",
    )
    speed = curve.speed.copy()
    speed[0] = np.linalg.norm(units.in_residual(flow.residual(flow.state))(units.start))
    if curve.finished:
        later = float(curve.t[-1] + (curve.loss[-1] - lowest) / speed[-1] ** 2)
        curve = curve._replace(t=np.append(curve.t, later), loss=np.append(curve.loss, lowest))
        speed = np.append(speed, speed[-1])
    return curve._replace(speed=speed)


def _end(curve: Curve, high: float, low: float, doubt: float) -> tuple[float | None, float, float | None]:
    """When the loss falls through the middle, how much that moves with the level's doubt, and the time from 90% to 10% of the drop."""
    level = 0.5 * (high + low)
    end = curve.crossing(level)
    sooner, later = (curve.crossing(level + part) if doubt else end for part in (doubt, -doubt))
    slack = later - sooner if sooner is not None and later is not None else np.inf
    begun, done = (curve.crossing(low + part * (high - low)) for part in (0.9, 0.1))
    return end, float(slack), done - begun if begun is not None and done is not None else None


def _prediction(units: LinearUnits, fine: _Read, rough: _Read, lowest: float, exact: bool) -> Prediction:
    first = units.loss(units.target)
    cost = Cost(fine.flow.state.size, fine.curve.evaluations, units.start.size)
    same = len(fine.visits) == len(rough.visits)
    found = f"reduced dynamics of {fine.flow.state.shape[1]} combinations of units"
    stages, start, unsure = [], 0.0, False
    for k, (visit, plateau, (end, slack, width)) in enumerate(zip(fine.visits, fine.plateaus, fine.ends, strict=True)):
        error, reason = None, found
        after = fine.visits[k + 1] if k + 1 < len(fine.visits) else None
        if end is not None:
            other = rough.ends[k][0] if same else (end if exact else None)
            moved = np.inf if other is None else LEFT_OUT * abs(end - other)
            error = moved + slack + INTEGRATION * end
            if not error < end - start:
                end = error = width = None
                reason = f"{found}, which are too few to say when this ends: needs more units"
        elif not fine.curve.finished:
            reason = f"{found}, which do not come to the best function while they are followed"
        at_saddles = all(v.near and not v.doubt for v in (visit, after) if v is not None)
        status: Status = (
            "outside assumptions" if end is None else "heuristic" if not (at_saddles and exact) else "theorem"
        )
        if not visit.near:
            reason += "; the loss is slow here away from any saddle, and the height is that of its curve"
        stages.append(
            PredictedStage(
                visit.height,
                start,
                end,
                status,
                "rank" if visit.width else "origin",
                visit.width,
                height_error=(NEWTON if visit.width else ROUNDING) * first + visit.doubt,
                t_end_error=error,
                source="reduced ODE",
                cost=cost,
                index=visit.index,
                escape_rate=visit.rate,
                width_of_drop=width,
                persistence=plateau.persistence,
                reason=reason,
            )
        )
        unsure = unsure or end is None
        if end is None:
            break
        start = end
    notes = [
        "Features are correlated: the function does not determine the rank of the weights, and saddles are found by Newton's method beside the curve."
    ]
    if not fine.curve.finished:
        notes.append("The reduced motion was left before it came to the best function: later stages are not listed.")
    known = fine.curve.finished and not unsure
    rank = rank_of(fine.flow, state_of(fine.flow, fine.curve, -2 if fine.curve.finished else -1))
    end = (
        PredictedEnd(lowest, rank if exact else None, "rank", NEWTON * first)
        if known
        else PredictedEnd(None, None, "none")
    )
    rates = np.linalg.svd(units.pull(units.target).reshape(units.weights, -1), compute_uv=False)
    return Prediction(
        tuple(stages), end, "data", CorrelatedFeatures.name, notes=tuple(notes), extras={"rates": rates.tolist()}
    )
