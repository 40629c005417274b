"""Many units, each on its own in a residual that is given: vectorised over units, with the error of the worst of them held.

A unit that waits grows for most of its life by a power law, so steps are a part of the time that is left, and a handful of them spans decades.
"""

import numpy as np

from ...integrate import EXPLICIT
from .motion import Units, Velocity

#: Error of a step, relative to the unit's own size. A wait of 1/scale is then known to about 1e-10 of itself, far below the width of a drop.
RTOL = 1e-10
#: Below this part of the largest unit a unit is noise: its error counts relative to that.
SMALLEST = 1e-12
SAFETY, SHRINK, GROW = 0.7, 0.2, 5.0
MOST_TRIES = 60


class Waiting:
    """Units that are moved in given residuals. `units` is their state; `evaluations` counts velocities."""

    def __init__(self, units: Units, rtol: float = RTOL):
        self.units, self.rtol, self.evaluations, self.step = units.copy(), rtol, 0, None
        self.moved: tuple[Velocity, Units] | None = None

    def rate(self, moved: Units) -> float:
        """The fastest relative change of a unit."""
        size = _norm(self.units)
        floor = SMALLEST * float(np.max(size, initial=0.0))
        return float(np.max(_norm(moved) / np.maximum(size, max(floor, 1e-300)), initial=0.0))

    def velocity(self, velocity: Velocity) -> Units:
        """That of all units now, computed once."""
        if self.moved is None or self.moved[0] is not velocity:
            self.moved = velocity, velocity(self.units)
            self.evaluations += 1
        return self.moved[1]

    def advance(self, velocity: Velocity, most: float = np.inf) -> float:
        """One step of at most `most`, as long as the error allows; returns how long it was.

        Raises `FloatingPointError` where no step is short enough: a unit has run away.
        """
        method = EXPLICIT[8]()
        first = self.velocity(velocity)
        rate = self.rate(first)
        if rate == 0.0:
            return most
        h = min(self.step or 0.05 / rate, most)
        for _ in range(MOST_TRIES):
            stages = [first]
            with np.errstate(over="ignore", invalid="ignore"):
                for row in method.stages[1:]:
                    change = sum(c * k for c, k in zip(row, stages, strict=False) if c != 0.0)
                    after = self.units + h * change
                    stages.append(velocity(after))
                error = self._error(h, stages, after, method.errors) if np.all(np.isfinite(after)) else np.inf
            self.evaluations += len(stages) - 1
            if error <= 1.0:
                growth = GROW if error == 0.0 else min(GROW, SAFETY * error ** (-1 / 8))
                # a last short step before a stop does not tell how long the next may be
                self.step = max(h * growth, (self.step or 0.0) if h == most else 0.0)
                self.units, self.moved = after, (velocity, stages[-1])  # the last stage is the first of the next step
                return h
            h *= max(SHRINK, SAFETY * error ** (-1 / 8)) if np.isfinite(error) else SHRINK
            self.step = None
        raise FloatingPointError("A waiting unit has run away.")

    def until(self, velocity: Velocity, duration: float) -> None:
        """Moves all units for so long in a fixed residual."""
        left = duration
        while left > 0.0:
            left -= self.advance(velocity, left)
            if left <= 1e-14 * duration:
                break

    def _error(self, h: float, stages: list[Units], after: Units, rows: np.ndarray) -> float:
        fifth, third = (h * _norm(sum(c * k for c, k in zip(row, stages, strict=True) if c != 0.0)) for row in rows)
        size = np.maximum(_norm(self.units), _norm(after))
        size = np.maximum(size, max(SMALLEST * float(np.max(size)), 1e-300))
        fifth, third = fifth / size / self.rtol, third / size / self.rtol
        # the estimate of Hairer, Norsett & Wanner (1993), II.5, unit by unit
        bottom = np.sqrt(fifth**2 + 0.01 * third**2)
        found = float(np.max(np.divide(fifth**2, bottom, out=np.zeros_like(fifth), where=bottom != 0)))
        return found if np.isfinite(found) else np.inf


def _norm(units: Units) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", units, units))
