"""The units that wait. In a large crowd those that grow fastest are followed step by step, the others brought up to date in a few long steps."""

import numpy as np

from .motion import AbstractMotion, Units, Velocity
from .waiting import RTOL, Waiting

#: Crowds above this are told apart, and so many of the fastest are followed closely.
LARGE, FRONT = 1024, 128
#: The others are brought up to date when the fastest of them may have changed by this part, with this error a step: a late one of them that joins the
#: front carries it along, 1e-6 of a wait.
REAR_LAG, REAR_RTOL = 0.3, 1e-6


class Crowd:
    """Units each on its own in a residual that others make. What the rear does is known as of when it was last brought up to date.

    **Arguments:** `units` [units, size] now; `residual`: the one they are in now.
    """

    def __init__(self, motion: AbstractMotion, units: Units, residual: np.ndarray):
        self.motion, self.units, self.evaluations = motion, units.copy(), 0
        self._sort(residual)

    def _sort(self, residual: np.ndarray) -> None:
        motion, count = self.motion, len(self.units)
        self.ahead, self.behind = np.arange(count), np.zeros(0, dtype=np.int64)
        self._rear_rate = self._rear_speed = 0.0
        if count > LARGE:
            moved = motion.in_residual(residual)(self.units)
            self.evaluations += 1
            square = np.einsum("ij,ij->i", self.units, self.units)
            growth = np.einsum("ij,ij->i", moved, self.units) / square
            ahead = np.zeros(count, dtype=bool)
            for size in (
                growth,
                square,
            ):  # who runs now, and who could: one grown along what is learned by now may turn
                ahead[np.argpartition(-size, FRONT)[:FRONT]] = True
            self.ahead, self.behind = np.flatnonzero(ahead), np.flatnonzero(~ahead)
            # units of order p change at most as strength x size^(p - 1), in whichever direction
            power = (motion.lens.facts.order - 1) / 2
            rate = np.sqrt(np.einsum("ij,ij->i", moved, moved) / square)
            self._rear_rate = float(np.max(rate / square**power) * np.max(square[self.behind]) ** power)
            self._rear_speed = float(np.sum(moved[self.behind] ** 2))
        self.front, self.rear = Waiting(self.units[self.ahead], RTOL), Waiting(self.units[self.behind], REAR_RTOL)
        self._rear_part = motion.parts(self.rear.units).sum(axis=0)
        self._sizes = motion.contributions(self.units)
        self._owed, self._sum = 0.0, np.zeros_like(residual)

    def state(self) -> Units:
        self.units[self.ahead] = self.front.units
        return self.units

    def part(self) -> np.ndarray:
        """Of f, by all of them. [rows, outputs]."""
        return self.motion.parts(self.front.units).sum(axis=0) + self._rear_part

    def sizes(self) -> np.ndarray:
        """Contributions [units]."""
        self._sizes[self.ahead] = self.motion.contributions(self.front.units)
        return self._sizes

    def squared_speed(self, velocity: Velocity) -> float:
        return float(np.sum(self.front.velocity(velocity) ** 2)) + self._rear_speed

    def rate(self, velocity: Velocity) -> float:
        """The fastest relative change of a unit."""
        return max(self.front.rate(self.front.velocity(velocity)), self._rear_rate)

    def advance(self, residual: np.ndarray, velocity: Velocity) -> float:
        """One step in a residual that stays; returns how long it was."""
        step = self.front.advance(velocity)
        self._owe(step, residual, residual)
        return step

    def follow(self, mean: np.ndarray, duration: float, residual: np.ndarray) -> None:
        """As long as `duration` in a residual with this mean; `residual` is what it is at the end."""
        self.front.until(self.motion.in_residual(mean), duration)
        self._owe(duration, mean, residual)

    def _owe(self, duration: float, mean: np.ndarray, residual: np.ndarray) -> None:
        if len(self.behind):
            self._owed += duration
            self._sum = self._sum + duration * mean
            if self._owed * self._rear_rate > REAR_LAG:
                self.settle(residual)

    def settle(self, residual: np.ndarray) -> None:
        """Brings the rear up to date."""
        self.evaluations += self.front.evaluations
        if len(self.behind) and self._owed > 0.0:
            self.rear.until(self.motion.in_residual(self._sum / self._owed), self._owed)
            self.evaluations += self.rear.evaluations
            self.units[self.behind] = self.rear.units
            self.state()
            self._sort(residual)
