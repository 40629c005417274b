"""Whether a run has come to a fixed point, or only moves towards it or away from it."""

import numpy as np

from ..fixed_points import FixedPoint

#: A run that still moves is at a fixed point only if its function differs by at most this part of max(rms f, rms y).
NEAR = 0.1
#: And a plateau that its curve does not show yet is one only if its weights differ by at most this part of their size.
WEIGHTS = 0.3
#: What rounding may add to a loss, as a part of the first one.
ROUNDING = 1e-12
#: The last steps in which a loss that goes up and down is looked for.
TAIL = 32


def at(point: FixedPoint, loss: float, first: float, part: float) -> bool:
    """Whether a run that still moves is at `point`.

    The loss is the point's own by the measure of plateaus (`part` of what the run has fallen), the function is near, and the run is not below: what
    descends has left a saddle that is higher.
    """
    above = loss - point.loss
    least = max(part * (first - loss), 1e-6 * first)
    return -ROUNDING * first <= above <= least and point.moved.function <= NEAR


def beside(point: FixedPoint) -> bool:
    """Whether the state that `point` was found from is in its neighbourhood, in function and in weights. At the origin any state is as far away as it is large."""
    near = point.complexity.kind == "origin" or point.moved.weights <= WEIGHTS
    return near and point.moved.function <= NEAR


def oscillation(loss: np.ndarray, part: float) -> tuple[float, float] | None:
    """Least and largest of the last losses where they go up and down, by more than `part` of what the run has fallen: steps too long to rest."""
    tail = loss[-TAIL:]
    steps = np.diff(tail)
    low, high = float(np.min(tail)), float(np.max(tail))
    turns = np.count_nonzero(np.sign(steps[1:]) * np.sign(steps[:-1]) < 0)
    if loss.size < TAIL or high - low <= part * abs(float(loss[0]) - low) or 2 * turns < TAIL:
        return None
    return low, high
