"""Units that move exactly coupled, and the crowd that follows them through a transition."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from .crowd import Crowd
from .motion import Units

if TYPE_CHECKING:
    from .course import Course

#: Error control of units that move together; absolute: this times the root mean square of the initial weights.
RTOL = 1e-7
#: Units that wait are brought up to date when they may have changed by this part, or the residual by this part of itself.
LAG, TURN = 0.02, 0.2
#: Or after so many steps.
MOST_STEPS = 20
#: A unit of the crowd that outgrows the largest by this factor between two looks, and this part of the target, was noticed too late: back, with steps so many
#: times shorter.
SURPRISE, SEEN, SHORTER = 30.0, 1e-6, 8.0


class Together:
    """Units that move exactly coupled, by LSODA with their Hessian; the waiting ones follow in the mean residual since they were last brought up to date."""

    def __init__(self, course: "Course", max_step: float = np.inf):
        from scipy.integrate import LSODA

        self.course, motion = course, course.motion
        self.index = course.together
        self.y = course.state[self.index].reshape(-1)
        self.shape = (len(self.index), motion.size)
        self.crowd_index = course.waiting
        self.began = course.t
        self._measure(self.y)
        self.slowing = False
        self._sync_at, self._sync_residual = 0.0, self.residual
        self._sum, self._moment = np.zeros((2, *self.residual.shape))
        self.crowd = Crowd(motion, course.state[self.crowd_index], self.residual)
        self._look()
        self._part = self.crowd.part()  # of f, by the crowd, and how it changes: seen, not felt
        self._drift = np.zeros_like(self._part)
        self.since = 0
        self.solver = LSODA(
            lambda s, y: self._velocity(y).reshape(-1),
            0.0,
            self.y,
            1e300,
            rtol=RTOL,
            atol=RTOL * course.base,
            jac=lambda s, y: self._jacobian(y),
            max_step=max_step,
        )
        self._keep()

    def _residual(self, y: np.ndarray) -> np.ndarray:
        return self.course.motion.residual(y.reshape(self.shape), self.course.still)

    def _velocity(self, y: np.ndarray) -> Units:
        self.course.evaluations += 1
        return self.course.motion.coupled(y.reshape(self.shape), self.course.still)[1]

    def _jacobian(self, y: np.ndarray) -> np.ndarray:
        return self.course.motion.jacobian(y.reshape(self.shape), self._residual(y))

    def _measure(self, y: np.ndarray) -> None:
        self.residual, velocity = self.course.motion.coupled(y.reshape(self.shape), self.course.still)
        self.own = float(np.sum(velocity**2))
        self.speed = float(np.sqrt(self.own))

    def _look(self) -> None:
        velocity = self.course.motion.in_residual(self.residual)
        self._rate, self._crowd_speed = self.crowd.rate(velocity), self.crowd.squared_speed(velocity)

    def step(self) -> None:
        before, residual, speed = self.solver.t, self.residual, self.speed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # LSODA's: that it failed is in its status
            message = self.solver.step()
        if self.solver.status == "failed":
            raise FloatingPointError(message)
        self.y, after = self.solver.y, self.solver.t
        middle = self._residual(self.solver.dense_output()((before + after) / 2))
        self._measure(self.y)
        third = (after - before) / 6
        self._sum = self._sum + third * (residual + 4 * middle + self.residual)
        first, last = before - self._sync_at, after - self._sync_at
        self._moment = self._moment + third * (first * residual + 2 * (first + last) * middle + last * self.residual)
        self.slowing = self.speed < speed
        self.since += 1
        course = self.course
        course.t = self.began + after
        course.state[self.index] = self.y.reshape(self.shape)
        seen = self.residual - self._part - self._drift * (after - self._sync_at)
        course._record(seen, self.own, self._crowd_speed)

    def _keep(self) -> None:
        """What to go back to where a step turns out too long for the crowd."""
        course = self.course
        self._kept = course.t, self.y.copy(), self.crowd.state().copy(), course.shift, len(course.samples.t)

    def go_back(self) -> float:
        """To when the crowd was last brought up to date; returns the longest step to try from there."""
        course, duration = self.course, self.solver.t - self._sync_at
        course.t, y, crowd, course.shift, length = self._kept
        course.state[self.index], course.state[self.crowd_index] = y.reshape(self.shape), crowd
        course.samples.cut(length - 1)
        return duration / SHORTER

    def due(self) -> bool:
        lag = self._rate * (self.solver.t - self._sync_at)
        turned = np.linalg.norm(self.residual - self._sync_residual) > TURN * np.linalg.norm(self._sync_residual)
        return bool(lag > LAG or turned or self.since >= MOST_STEPS)

    def bring_up_to_date(self) -> bool:
        """Whether the crowd could be followed; if not, a unit of it has run away within this time: `go_back`."""
        course, motion = self.course, self.course.motion
        duration = self.solver.t - self._sync_at
        if len(self.crowd_index) and duration > 0:
            before = float(np.max(self.crowd.sizes()))
            try:
                # two halves in tilted means, as good as the residual's line in time (Blanes & Moan 2006): of order 4
                mean = self._sum / duration
                tilt = 4 / duration**2 * (self._moment - duration / 2 * self._sum)
                for half in (mean - tilt, mean + tilt):
                    self.crowd.follow(half, duration / 2, self.residual)
            except FloatingPointError:
                return False
            if float(np.max(self.crowd.sizes())) > SURPRISE * max(before, SEEN):
                return False
            part = self.crowd.part()
            self._drift, self._part = (part - self._part) / duration, part
            size = max(float(np.linalg.norm(self.residual)), 1e-9 * motion.scale)
            course.shift += duration * float(np.linalg.norm(part)) / size
            self._look()
        self._sync_at, self._sync_residual = self.solver.t, self.residual
        self._sum, self._moment = np.zeros((2, *self.residual.shape))
        self.since = 0
        self._keep()
        return True

    def close(self) -> None:
        """The crowd's state, for what comes next."""
        self.crowd.settle(self.residual)
        self.course.state[self.crowd_index] = self.crowd.state()
        self.course.evaluations += self.crowd.evaluations
