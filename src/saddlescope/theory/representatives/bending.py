r"""Units of order 1 that bend (tanh, sine): the stages of the linear network with the same weights, later by what the units bend.

Near zero weights they are linear, and every direction of the data grows at its rate; a unit that has grown to $\sqrt{s/(\lambda H)}$ bends by the square of that, so that all is late by
about $1/H$ of a time constant. A few units with multiplicities (`choose`) have that too. Two choices, with the least and with the largest moments that are not kept, say how far off it is.
"""

import numpy as np

from ...series import Plateau, find_plateaus
from .._base import AbstractPredictor, Cost, PredictedEnd, PredictedStage, Prediction, Problem, outside
from ..crowds.any_unit import AnyUnit
from ..curve import REACH, Curve
from .reduced import Growth, course, enough, growth, representatives

#: The two choices differ by this many times the error of the second, at least: measured (docs/theory_units.md).
COVERED = 1.0
#: Targets times weights of a unit, beyond which following some dozens of units would take minutes.
MOST_NUMBERS = 3e5
#: What the solver adds, relative to t.
SOLVER = 1e-6
#: Heights of the two choices that differ by more than this part of the whole drop are not of one plateau.
SAME = 0.02
#: Values at zero weights that differ by this part are not one constant.
SAME_VALUE = 1e-9
#: Of the loss of f = 0: known to rounding.
ROUNDING = 1e-12


class Bending(AbstractPredictor):
    """One layer of smooth units that vanish and are linear at zero weights, and bend beyond; gradient flow."""

    name = "representatives"

    def refuses(self, problem: Problem) -> str | None:
        lenses = problem.network.lenses()
        if len(lenses) != 1 or not lenses[0].direct:
            return "needs a network that is the sum of one layer of units"
        facts = lenses[0].facts
        if facts.kinks or facts.linear or facts.order > 1:
            return "needs smooth units that start linearly in their weights, beside a constant, and bend beyond"
        if problem.learning_rate is not None:
            return "needs gradient flow: what steps change was not measured for these units"
        motion = AnyUnit(lenses[0], problem.objective)
        phi, psi = motion.at_zero()
        if (
            not facts.silent
            and np.ptp(phi / motion.root[:, None], axis=0).max() > SAME_VALUE * np.abs(phi / motion.root[:, None]).max()
        ):
            return (
                "needs units that put out a constant at zero weights: what these put out there depends on the data, and its regression, learned first, leaves units apart "
                "from each other by more than their initial weights"
            )
        if not facts.silent and not np.any(psi):
            return "needs units that start linearly in their weights: beside what they put out at zero weights these start with a higher power"
        growing = growth(motion)
        if growing is None:
            return "needs something to learn: no direction of the data grows from these weights"
        if not enough(motion, growing):
            return f"needs more units: no fewer than {len(motion.start)} stand for these"
        if motion.target.size * motion.size > MOST_NUMBERS:
            return f"needs less data: {len(motion.root)} rows are too many to follow even a few units on"
        return None

    def predict(self, problem: Problem) -> Prediction:
        motion = AnyUnit(problem.network.lenses()[0], problem.objective)
        growing = growth(motion)
        assert growing is not None
        fine, rough = (_Read.of(motion, growing, sign) for sign in (-1.0, 1.0))
        if fine is None or rough is None:
            return outside(problem, (f"{self.name}: no few units with multiplicities were found",))
        return _stages(motion, growing, fine, rough)


class _Read:
    """A reduced curve with its plateaus."""

    def __init__(self, curve: Curve, plateaus: list[Plateau], cost: Cost):
        self.curve, self.plateaus, self.cost = curve, plateaus, cost

    @classmethod
    def of(cls, motion: AnyUnit, growing: Growth, sign: float) -> "_Read | None":
        few = representatives(motion, growing, sign)
        if few is None:
            return None
        curve = course(motion, few, growing)
        speed = curve.speed.copy()
        speed[0] = np.linalg.norm(motion.coupled(motion.start)[1])
        cost = Cost(curve.state_size, curve.evaluations, motion.start.size)
        return cls(curve, list(find_plateaus(curve.t, curve.loss, speed)), cost)

    def height(self, k: int) -> float:
        """Of plateau k; after the last, the loss at which the curve was left."""
        return float(self.plateaus[k].loss if k < len(self.plateaus) else self.curve.loss[-1])


def _stages(motion: AnyUnit, growing: Growth, fine: _Read, rough: _Read) -> Prediction:
    curve, first = fine.curve, float(fine.curve.loss[0])
    drop = first - float(curve.loss[-1])
    origin = motion.loss(motion.target)
    count = min(len(fine.plateaus), len(rough.plateaus))
    agreed = next((k for k in range(count) if abs(fine.height(k) - rough.height(k)) > SAME * drop), count)
    last = agreed == len(fine.plateaus) == len(rough.plateaus)
    saddle = growing.fitted >= (1.0 - ROUNDING) * origin  # with a constant to learn f = 0 is none
    heights = [
        origin if k == 0 and saddle and fine.plateaus[0].t == 0.0 else fine.height(k) for k in range(len(fine.plateaus))
    ]
    heights.append(float(curve.loss[-1]))
    stages, start = [], 0.0
    for k in range(agreed):
        known = k + 1 < agreed or (k + 1 == agreed and last)
        begins = heights[k] == origin
        high, low = heights[k], heights[k + 1]
        beside = min(high - low, heights[k - 1] - high if k else np.inf)
        end, error, width = (
            _end(fine, rough, high, low, _slack(motion, heights, k, begins), start) if known else (None, None, None)
        )
        if end is not None and error is not None and error > end - start:
            end = error = width = None
        stages.append(
            PredictedStage(
                high,
                start,
                end,
                "heuristic" if end is not None else "outside assumptions",
                "origin" if begins else "none",
                0 if begins else None,
                height_error=ROUNDING * origin if begins else REACH * beside,
                t_end_error=error,
                source="reduced ODE",
                cost=fine.cost,
                recruits=(),
                escape_rate=float(growing.rates[0]) if begins else None,
                width_of_drop=width,
                persistence=fine.plateaus[k].persistence,
                reason=_reason(fine)
                if end is not None
                else "needs wider networks: the units' higher moments decide when this plateau ends",
            )
        )
        if end is None:
            break
        start = end
    notes = []
    if growing.fitting:
        notes.append(
            f"f = 0 is no saddle of units that are not silent: the constant is learned first, to loss {growing.fitted:.6g}, within about {1.0 / growing.fitting:.3g}; it leaves every "
            "unit the same output weights, and what all units share grows from there at once, whatever the scale."
        )
    notes += [
        "These units bend on after what is linear has been learned: of the end, and of plateaus there, nothing is said."
    ]
    return Prediction(
        tuple(stages),
        PredictedEnd(None, None, "none"),
        "data",
        Bending.name,
        notes=tuple(notes),
        extras={"rates": growing.rates.tolist()},
    )


def _reason(read: _Read) -> str:
    return f"{read.cost.state_size} numbers of units with multiplicities that have the moments of all; heights after the first are those of their curve"


def _slack(motion: AnyUnit, heights: list[float], k: int, begins: bool) -> float:
    """By how much the middle of a drop may lie elsewhere for a run, which reads fixed points where it finds them."""
    high, low = heights[k], heights[k + 1]
    if k + 2 == len(heights):  # the end may be anywhere down to the best
        return 0.5 * (low - motion.bound) + (0.0 if begins else 0.5 * REACH * (high - low))
    return 0.5 * REACH * min(high - low, low - heights[k + 2]) + (0.0 if begins else 0.5 * REACH * (high - low))


def _end(
    fine: _Read, rough: _Read, high: float, low: float, slack: float, start: float
) -> tuple[float | None, float | None, float | None]:
    """When the curve falls through the middle, its expected error, and the time from 90% to 10% of the drop."""
    level = 0.5 * (high + low)
    end, other = (read.curve.crossing(level, start if read is fine else 0.0) for read in (fine, rough))
    if end is None or other is None:
        return None, None, None
    sooner, later = (fine.curve.crossing(level + part, start) for part in (slack, -slack))
    moved = max(
        end - (sooner if sooner is not None else start), (later if later is not None else float(fine.curve.t[-1])) - end
    )
    first, done = (fine.curve.crossing(high - part * (high - low), start) for part in (0.1, 0.9))
    width = done - first if first is not None and done is not None else None
    return end, COVERED * abs(end - other) + moved + SOLVER * end, width
