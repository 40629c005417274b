r"""The course of a network of units of order 2 or more, from its initial weights on, at the cost of the few units that carry its function.

Near a saddle most units are so small that the residual does not notice them: they **wait**, each on its own, in the residual that the few large
ones leave. A unit that has grown until it could be noticed joins the large ones, and they move **together**, exactly coupled, until they rest
on the next saddle; the others are led through that transition in the residual as it changes. What is neglected is the small units' part of
the residual, $O(scale^{p+1})$ for units of order p while they wait: its integral over time is an estimate of how late or early everything is.
"""

from dataclasses import dataclass, field

import numpy as np

from .landing import Rest, rest
from .motion import AbstractMotion, Units
from .waiting import Waiting

#: A unit is noticed when phi v is this part of the target (root mean squares): a drop is then still 1e-6 ** (-1/3) = 100 of its widths away.
NOTICED = 1e-6
#: Where units are larger than that to begin with, they are noticed at this many times their size at the start of the wait.
OUTGROWN = 3.0
#: Units that carry the function. The same part as in the definition of effective width.
CARRYING = 1e-2
#: Units together: more than these do not pay, and a whole network is not what this is for.
MOST_TOGETHER = 32
#: Error control of units that move together; absolute: this times the root mean square of the initial weights.
RTOL = 1e-9
#: Units that wait are brought up to date when they may have changed by this part, or the residual by this part of itself.
LAG, TURN = 0.02, 0.1
#: Landing: the speed is below this part of the fastest since, f has at most this far to go, and no small unit is both larger and faster than these.
SLOWED, NEAR, SMALL, SLUGGISH = 1e-2, 1e-7, 1e-5, 1e-3
#: At the end nothing is left to see: correlations with the residual below this part of those at the origin.
BLIND = 1e-6
#: Steps of one wait, of one transition, and transitions.
MOST_WAITING, MOST_MOVING, MOST_STAGES = 600, 60_000, 200


@dataclass
class Samples:
    """The course as a series. `own` is the squared speed of the units together, `waiting` that of the others; `carried`: which units move together, and their weights."""

    t: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    shift: list[float] = field(default_factory=list)
    carried: list[tuple[np.ndarray, Units]] = field(default_factory=list)


class Course:
    """Follows the units of one layer. After `run`: `samples`, `ended` and `cost`.

    - `ended`: "blind" (no unit sees a residual), "all carry" (no unit is left that waits), "stays" (a saddle that none of them leaves),
      "work" (limits of steps reached).
    """

    def __init__(self, motion: AbstractMotion):
        self.motion = motion
        self.state: Units = motion.start.copy()  # of every unit; those that wait are kept in `self.crowd` meanwhile
        self.count = len(self.state)
        self.base = float(np.sqrt(np.mean(self.state**2)))
        self.together = np.zeros(0, dtype=np.int64)
        self.still: np.ndarray | float = 0.0  # what is held fixed of f while others move
        self.t, self.shift = 0.0, 0.0
        self.samples, self.ended = Samples(), "work"
        self.rests: list[tuple[float, np.ndarray, Rest]] = []
        self.state_size = self.evaluations = 0
        self._sight = None

    # ------------------------------------------------------------------------------------------------------- bookkeeping

    @property
    def waiting(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.count), self.together, assume_unique=True)

    def _record(self, residual: np.ndarray, own: float, waiting: float) -> None:
        s = self.samples
        s.t.append(self.t)
        s.loss.append(self.motion.loss(residual))
        s.own.append(own)
        s.waiting.append(waiting)
        s.shift.append(self.shift)
        s.carried.append((self.together, self.state[self.together].copy()))

    def _sees(self, residual: np.ndarray) -> float:
        """How much of a residual the units can see, relative to the target: the largest correlation with phi in their directions."""

        def most(residual):
            units = self.state.copy()
            u = units[:, : self.motion.weights]
            u *= self.base / np.maximum(np.linalg.norm(u, axis=1), 1e-300)[:, None]
            return float(np.max(np.abs(self.motion.in_residual(residual)(units)[:, self.motion.weights :])))

        if self._sight is None:
            self._sight = most(self.motion.target)
        return most(residual) / self._sight if self._sight > 0 else 0.0

    # --------------------------------------------------------------------------------------------------------------- run

    def run(self) -> "Course":
        residual = self.motion.target
        for _ in range(MOST_STAGES):
            if self._sees(residual) < BLIND:
                self.ended = "blind"
                break
            if len(self.waiting) == 0:
                self.ended = "all carry"
                break
            joining = self._wait(residual)
            if joining is None:
                break
            landed = self._move(joining)
            if landed is None:
                break
            residual = landed
        return self

    # -------------------------------------------------------------------------------------------------------------- wait

    def _wait(self, residual: np.ndarray) -> np.ndarray | None:
        """Until some units are noticed: which. None if none will be."""
        motion, index = self.motion, self.waiting
        crowd, velocity = Waiting(self.state[index]), self.motion.in_residual(residual)
        size = float(np.linalg.norm(residual))
        at_first = motion.contributions(crowd.units)
        level = np.maximum(NOTICED, OUTGROWN * at_first)
        began = self.t
        for _ in range(MOST_WAITING):
            neglected = float(np.linalg.norm(motion.parts(crowd.units).sum(axis=0))) / size
            self._record(residual, 0.0, float(np.sum(crowd.velocity(velocity) ** 2)))
            now = motion.contributions(crowd.units)
            if np.any(now > level):
                self.state[index], self.evaluations = crowd.units, self.evaluations + crowd.evaluations
                return index[now > NOTICED]
            before = self.t
            try:
                self.t += crowd.advance(velocity)
            except FloatingPointError:
                break
            if not np.isfinite(self.t) or self.t > 1e15 * max(began, 1.0 / size):
                break
            self.shift += neglected * (self.t - before)
        self.t = before if not np.isfinite(self.t) else self.t
        self.ended = "stays"
        return None

    # -------------------------------------------------------------------------------------------------------------- move

    def _choose(self, joining: np.ndarray) -> None:
        """Which units move together: those that carry the function, and the largest of those that join; never all of them."""
        size = self.motion.contributions(self.state)
        ordered = [*self.together, *sorted(set(joining) - set(self.together), key=lambda i: -size[i])]
        most = min(MOST_TOGETHER, self.count - 1)
        held = np.zeros(0, dtype=np.int64)
        if len(self.together) >= most:  # the settled ones stay where they are, and the newcomers move alone
            held = self.together[np.argsort(-size[self.together])]
            held = held[: len(self.together) - most + len(joining)]
            ordered = [i for i in ordered if i not in set(held)]
        self.held = held
        self.still = self.motion.parts(self.state[held]).sum(axis=0)
        self.together = np.array(ordered[:most], dtype=np.int64)
        assert len(self.together) < self.count, "the reduced motion is smaller than the whole"

    def _move(self, joining: np.ndarray) -> np.ndarray | None:
        """Until they rest: the residual there. None where they do not within the limits."""
        self._choose(joining)
        peak, steps, asked = 0.0, 0, np.inf
        while steps < MOST_MOVING:
            segment = _Together(self)
            self.state_size = max(self.state_size, segment.y.size)
            peak = max(peak, segment.speed)
            while steps < MOST_MOVING:
                segment.step()
                steps += 1
                peak = max(peak, segment.speed)
                if not segment.due():
                    continue
                segment.bring_up_to_date()
                grown = self._noticed()
                if grown.size:
                    segment.close()
                    self._choose(grown)
                    break
                if segment.speed < min(SLOWED * peak, asked) and segment.slowing:
                    landed = self._land()
                    if landed is not None:
                        segment.close()
                        return landed
                    asked = segment.speed / 3  # not again and again on one way down
                elif segment.speed > 10 * asked:
                    asked = np.inf
        self.ended = "work"
        return None

    def _noticed(self) -> np.ndarray:
        room = min(MOST_TOGETHER, self.count - 1) - len(self.together)
        index = self.waiting
        if room <= 0 or index.size == 0:
            return np.zeros(0, dtype=np.int64)
        index = np.setdiff1d(index, self.held)
        size = self.motion.contributions(self.state[index])
        return index[size > NOTICED]

    def _land(self) -> np.ndarray | None:
        """The residual at the fixed point beside the state, if the units that move together are all but there and nothing else is afoot."""
        motion, index = self.motion, self.together
        units = self.state[index]
        size = motion.contributions(units)
        carry = size > CARRYING
        others = motion.parts(units[~carry]).sum(axis=0) + self.still
        point = rest(motion, units[carry], others)
        if point is None or point.down or point.moved > NEAR:
            return None
        small = units[~carry]
        if len(small) and self._sees(point.residual) > BLIND:
            moved = motion.in_residual(point.residual)(small)
            rate = np.linalg.norm(moved, axis=1) / np.maximum(np.linalg.norm(small, axis=1), 1e-300)
            if np.any((size[~carry] > SMALL) & (rate > SLUGGISH * point.curvature)):
                return None
        kept = np.concatenate([self.held, index[carry]])
        self.state[index[carry]] = point.units
        self.rests.append((self.t, kept, point))
        self.together = kept
        return point.residual


class _Together:
    """Units that move exactly coupled, by LSODA with their Hessian; the waiting ones follow in the mean residual since they were last brought up to date."""

    def __init__(self, course: Course):
        from scipy.integrate import LSODA

        self.course, motion = course, course.motion
        self.index = course.together
        self.y = course.state[self.index].reshape(-1)
        self.shape = (len(self.index), motion.size)
        self.crowd_index = np.setdiff1d(course.waiting, course.held)
        self.crowd = Waiting(course.state[self.crowd_index])
        self.began = course.t
        self.residual = self._residual(self.y)
        self._measure(self.y)
        self.slowing = False
        self._sync_at, self._sync_residual, self._sum = 0.0, self.residual, np.zeros_like(self.residual)
        self._rate = self.crowd.rate(motion.in_residual(self.residual)(self.crowd.units)) if len(self.crowd_index) else 0.0
        self._crowd_speed = self._speed_of_crowd()
        self.since = 0
        self.solver = LSODA(
            lambda s, y: self._velocity(y).reshape(-1),
            0.0,
            self.y,
            1e300,
            rtol=RTOL,
            atol=RTOL * course.base,
            jac=lambda s, y: self._jacobian(y),
        )

    def _residual(self, y: np.ndarray) -> np.ndarray:
        return self.course.motion.residual(y.reshape(self.shape), self.course.still)

    def _velocity(self, y: np.ndarray) -> Units:
        self.course.evaluations += 1
        return self.course.motion.in_residual(self._residual(y))(y.reshape(self.shape))

    def _jacobian(self, y: np.ndarray) -> np.ndarray:
        return self.course.motion.jacobian(y.reshape(self.shape), self._residual(y))

    def _measure(self, y: np.ndarray) -> None:
        self.own = float(np.sum(self._velocity(y) ** 2))
        self.speed = float(np.sqrt(self.own))

    def _speed_of_crowd(self) -> float:
        if not len(self.crowd_index):
            return 0.0
        return float(np.sum(self.course.motion.in_residual(self.residual)(self.crowd.units) ** 2))

    def step(self) -> None:
        before, residual, speed = self.solver.t, self.residual, self.speed
        message = self.solver.step()
        if self.solver.status == "failed":
            raise FloatingPointError(message)
        self.y, after = self.solver.y, self.solver.t
        middle = self._residual(self.solver.dense_output()((before + after) / 2))
        self.residual = self._residual(self.y)
        self._sum = self._sum + (after - before) / 6 * (residual + 4 * middle + self.residual)
        self._measure(self.y)
        self.slowing = self.speed < speed
        self.since += 1
        course = self.course
        course.t = self.began + after
        course.state[self.index] = self.y.reshape(self.shape)
        course._record(self.residual, self.own, self._crowd_speed)

    def due(self) -> bool:
        lag = self._rate * (self.solver.t - self._sync_at)
        turned = np.linalg.norm(self.residual - self._sync_residual) > TURN * np.linalg.norm(self._sync_residual)
        return bool(lag > LAG or turned or self.since >= 20)

    def bring_up_to_date(self) -> None:
        course, motion = self.course, self.course.motion
        duration = self.solver.t - self._sync_at
        if len(self.crowd_index) and duration > 0:
            self.crowd.until(motion.in_residual(self._sum / duration), duration)
            course.state[self.crowd_index] = self.crowd.units
            neglected = np.linalg.norm(motion.parts(self.crowd.units).sum(axis=0))
            course.shift += duration * float(neglected / max(np.linalg.norm(self.residual), 1e-9 * motion.scale))
            self._rate = self.crowd.rate(motion.in_residual(self.residual)(self.crowd.units))
            self._crowd_speed = self._speed_of_crowd()
        self._sync_at, self._sync_residual, self._sum = self.solver.t, self.residual, np.zeros_like(self.residual)
        self.since = 0

    def close(self) -> None:
        self.course.evaluations += self.crowd.evaluations
