"""Where a few units come to rest: Newton's method on them alone, from a state that is nearly there."""

from typing import NamedTuple

import numpy as np

from .motion import AbstractMotion, Units

#: Curvatures below this part of the largest are those of symmetries, along which the units stay where they are.
FLAT = 1e-8
#: A curvature more negative than this part of the largest is a way down that the units have themselves.
DOWN = 1e-6
STEPS = 30
#: |gradient| relative to |residual| x (largest column of the Jacobian); rounding leaves some more.
STATIONARY, ROUNDING, SMALLEST = 1e-13, 1e-9, 1e-3


class Rest(NamedTuple):
    """A fixed point of some units: their weights, the residual and loss there, the largest curvature, and how far f moved to get there.

    `moved`: root mean square change of f on the way, relative to the target's.
    """

    units: Units
    residual: np.ndarray
    loss: float
    curvature: float
    moved: float
    down: bool


def rest(
    motion: AbstractMotion, units: Units, others: np.ndarray | float = 0.0, *, downhill: bool = True
) -> Rest | None:
    """The fixed point near `units`, with the rest of the function held; None where Newton's steps do not lead to one.

    Steps go downhill: absolute curvatures, halved until the loss does not rise by more than rounding. Without `downhill` also to a saddle of the units
    themselves: true curvatures, halved until the gradient does not grow.
    """
    if len(units) == 0:
        residual = motion.residual(units, others)
        return Rest(units, residual, motion.loss(residual), 0.0, 0.0, False)
    first = motion.parts(units).sum(axis=0)
    residual = motion.residual(units, others)
    curvature, down = 0.0, False
    for _ in range(STEPS):
        outputs, _ = motion.slopes(units, residual)
        hessian = -motion.jacobian(units, residual)
        gradient = -outputs.T @ residual.reshape(-1)
        values, vectors = np.linalg.eigh(hessian)
        curvature = float(np.max(np.abs(values)))
        down = bool(values[0] < -DOWN * curvature)
        column = np.sqrt(np.max(np.sum(outputs**2, axis=0)))
        # a residual that all but vanishes leaves a gradient of the rounding of the target
        size = max(np.linalg.norm(residual), SMALLEST * motion.scale)
        relative = np.linalg.norm(gradient) / max(size * column, 1e-300)
        if relative <= STATIONARY or np.linalg.norm(residual) <= 1e-14 * motion.scale:
            break
        kept = np.abs(values) > FLAT * curvature
        divisors = np.where(kept, np.abs(values) if downhill else values, 1.0)
        step = vectors @ np.where(kept, (vectors.T @ gradient) / divisors, 0.0)
        length, before = 1.0, np.sum((residual if downhill else gradient) ** 2)
        for _ in range(30):
            trial = units - length * step.reshape(units.shape)
            after = motion.residual(trial, others)
            merit = after if downhill else motion.slopes(trial, after)[0].T @ after.reshape(-1)
            if np.sum(merit**2) <= before * (1 + 1e-14):
                break
            length /= 2
        else:
            if relative > ROUNDING:
                return None
            break
        units, residual = trial, after
    else:
        if relative > ROUNDING:
            return None
    moved = float(np.linalg.norm(motion.parts(units).sum(axis=0) - first)) / motion.scale
    return Rest(units, residual, motion.loss(residual), curvature, moved, down)
