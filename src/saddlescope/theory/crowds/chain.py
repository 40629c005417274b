r"""The chain: from saddle to saddle by the units that escape, for one layer of units of any smooth formula of order 2 or more.

Units of order p grow as $\dot w \propto w^p$: one that starts ahead runs away while the others stay where they are, so at each saddle a few
units are enough. Units of order 1 all grow at one rate, and no few of them carry the motion.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ...networks import AbstractLens
from .._base import AbstractPredictor, Cause, Prediction, Problem, Status, outside
from .any_unit import AnyUnit
from .course import Course
from .escape_times import escape_times
from .motion import AbstractMotion, QuadraticForms, Units
from .reading import Reading

#: Strengths of the directions that a unit can learn count as equal within this part of the largest.
EQUAL = 1e-3
#: Weaker directions than this part of the strongest are rounding.
SEEN = 1e-6
#: Steps of descent are late by (learning rate / 2) ln(growth of the speed) in one dimension, and turn the units that wait as they pass a drop. Measured on 14 random problems: 0.45 to 0.66
#: times (learning rate) x ln(growth) for first ends, up to 2.3 times for later ones (one problem: 4.6), of either sign.
STEPS_FIRST, STEPS_LATER = 1.0, 5.0
#: Ascents to the strongest directions of units of order 3 or more.
STARTS, ASCENTS = 16, 60
#: Why a course says nothing of a run from its start.
UNKNOWN = {
    "work": "the limits of steps are reached before anything rests",
    "crowded": "more units count at once than a reduced motion may have",
}


class Chain(AbstractPredictor):
    """One layer of units of order 2 or more with a smooth formula."""

    name = "chain"
    status: Status = "heuristic"

    def refuses(self, problem: Problem) -> str | None:
        lenses = problem.network.lenses()
        if len(lenses) != 1 or not lenses[0].direct:
            return "needs a network that is the sum of one layer of units"
        return self.refuses_units(lenses[0])

    def refuses_units(self, lens: AbstractLens) -> str | None:
        facts = lens.facts
        if facts.kinks:
            return "units with kinks slide along them, which a motion of a few units does not follow"
        if not facts.silent or facts.order < 2:
            return f"units of order {facts.order} grow together, all at one rate: no few of them carry the motion"
        return None

    def motion(self, problem: Problem) -> AbstractMotion:
        return AnyUnit(problem.network.lenses()[0], problem.objective)

    def predict(self, problem: Problem) -> Prediction:
        motion = self.motion(problem)
        course = Course(motion).run()
        if not course.samples.t:
            reason = "needs something to learn: no small unit sees the targets, or f = 0 is all but the best function"
            return outside(problem, (f"{self.name}: {reason}",))
        notes = ()
        if problem.learning_rate is not None:
            notes = (
                "Times are those of gradient flow: discrete steps differ by about learning rate x ln(growth of the speed), which the expected errors include.",
            )
        reading = Reading(course, motion.lens.facts.order)
        prediction = reading.prediction(self.name, self.status, self.cause(motion), notes)
        if course.ended in UNKNOWN and not prediction.stages:
            return outside(problem, (f"{self.name}: needs smaller weights: {UNKNOWN[course.ended]}",))
        if problem.learning_rate is not None:
            prediction = _by_steps(prediction, reading, problem.learning_rate)
        return replace(prediction, extras=prediction.extras | self.extras(motion, course))

    def extras(self, motion: AbstractMotion, course: Course) -> dict[str, Any]:
        return {"first": [(wait.t, wait.unit) for wait in course.waits]}

    def cause(self, motion: AbstractMotion) -> Cause:
        """What separates the stages: the units' initial weights; the data too, where they favour some directions."""
        return "initialisation" if _equal(strengths(motion)) else "both"


def _by_steps(prediction: Prediction, reading: Reading, learning_rate: float) -> Prediction:
    """The flow's prediction for steps of descent: the same times, with what steps may change in their expected errors."""
    stages = []
    for k, stage in enumerate(prediction.stages):
        if stage.t_end is None or stage.t_end_error is None:
            stages.append(stage)
            continue
        speeds = reading.speed[: int(np.searchsorted(reading.t, stage.t_end)) + 1]
        growth = float(np.log(np.max(speeds) / max(np.min(speeds), 1e-300)))
        steps = (STEPS_LATER if k else STEPS_FIRST) * learning_rate * max(growth, 1.0)
        stages.append(replace(stage, t_end_error=stage.t_end_error + steps, status="heuristic"))
    return replace(prediction, stages=tuple(stages))


def strengths(motion: AbstractMotion) -> np.ndarray:
    r"""What the data offer to one small unit, largest first: how fast v grows along directions of u that it can grow along.

    Order 2: singular values of $Q$ with $\dot v = u^\top Q u$ at the origin. Higher orders: the maximum of $|\dot v|$ over |u| = 1, found by ascent from random
    directions, then those over directions orthogonal to the ones before, as far as they equal the first.
    """
    weights, readout = motion.weights, motion.size - motion.weights
    if motion.lens.facts.order == 2:
        units = np.concatenate([np.zeros((readout, weights)), np.eye(readout)], axis=1)
        _, own = motion.slopes(units, motion.target)
        values = np.linalg.svd(own[:, :weights, :weights].reshape(-1, weights) / 2, compute_uv=False)
        return values[values > SEEN * values[0]]
    found: list[float] = []
    left = np.eye(weights)
    while not found or (len(found) < weights and _equal(found)):
        value, direction = _strongest(motion, left)
        if found and value <= SEEN * found[0]:
            break
        found.append(value)
        left = left - np.outer(direction, direction)
    return np.array(found)


def _equal(values: np.ndarray | list[float]) -> bool:
    return bool(max(values) - min(values) <= EQUAL * max(values))


def _strongest(motion: AbstractMotion, within: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest |v'| of a small unit whose direction lies in the range of a projector, relative to size^order, and where."""
    weights = motion.weights
    size = float(np.sqrt(np.mean(motion.start[:, :weights] ** 2)))  # where the leading order rules
    velocity = motion.in_residual(motion.target)
    u = np.random.default_rng(0).standard_normal((STARTS, weights))
    v = np.zeros((STARTS, motion.size - weights))
    for _ in range(ASCENTS):
        u = u @ within
        u = u * (size / np.maximum(np.linalg.norm(u, axis=1), 1e-300)[:, None])
        v = velocity(np.concatenate([u, v], axis=1))[:, weights:]
        u = velocity(np.concatenate([u, v], axis=1))[:, :weights]
    values = np.linalg.norm(v, axis=1)
    best = int(np.argmax(values))
    u = u[best] @ within
    return float(values[best] / size**motion.lens.facts.order), u / max(float(np.linalg.norm(u)), 1e-300)


class UnitsByForm(Chain):
    """Units that are quadratic forms in their weights: quadratic neurons, their kernels, heads with separate keys and queries."""

    name = "units"
    status: Status = "asymptotic"

    def refuses(self, problem: Problem) -> str | None:
        reason = super().refuses(problem)
        return reason or QuadraticForms.refuses(problem.network.lenses()[0], problem.objective)

    def motion(self, problem: Problem) -> QuadraticForms:
        return QuadraticForms(problem.network.lenses()[0], problem.objective)

    def extras(self, motion: AbstractMotion, course: Course) -> dict[str, Any]:
        """With one output weight a unit: `blow_up`, when the first unit of each wait would run away if nothing stopped it."""
        found = super().extras(motion, course)
        if isinstance(motion, QuadraticForms) and motion.readout == (1, 1):
            found["blow_up"] = [
                wait.t + float(alone(motion, wait.residual, wait.weights[None])[0]) for wait in course.waits
            ]
        return found


def alone(motion: QuadraticForms, residual: np.ndarray, units: Units) -> np.ndarray:
    """Blow-up times of units with one output weight, each alone in a fixed residual. [units]."""
    u, v = motion.split(units)
    return escape_times(motion.matrices(residual)[0, 0], u, v[:, 0, 0]).times
