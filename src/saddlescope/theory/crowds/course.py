r"""The course of a network of units of order 2 or more, from its initial weights on, at the cost of the few units that carry its function.

Near a saddle most units are so small that the residual does not notice them: they **wait**, each on its own, in the residual that the few large
ones leave. A unit that has grown until it could be noticed joins the large ones, and they move **together**, exactly coupled, until they rest
on the next saddle; the others are led through that transition in the residual as it changes. What is neglected is the small units' part of
the residual, $O(scale^{p+1})$ for units of order p while they wait: its integral over time is an estimate of how late or early everything is.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .crowd import Crowd
from .landing import Rest, rest
from .motion import AbstractMotion, Units
from .together import Together

#: A unit is noticed when phi v is this part of the target (root mean squares): a drop is then still 1e-6 ** (-1/3) = 100 of its widths away.
NOTICED = 1e-6
#: Where units are larger than that to begin with, they are noticed at this many times their size at the start of the wait.
OUTGROWN = 3.0
#: Where no more units may move together, one that is held back must join above this.
PRESSING = 3e-3
#: Units that carry the function. The same part as in the definition of effective width.
CARRYING = 1e-2
#: Units together: more than these do not pay, and a whole network is not what this is for.
MOST_TOGETHER = 32
#: Units that may be held while others move: beyond so many a prediction is none (its expected error was 3 times the end, and it took minutes).
MOST_HELD = 8
#: Landing: the speed is below this part of the fastest since, f has at most this far to go, and no small unit is both larger and faster than these.
SLOWED, NEAR, SMALL, SLUGGISH = 1e-2, 1e-7, 1e-5, 1e-3
#: At the end nothing is left to see: correlations with the residual below this part of those at the origin.
BLIND = 1e-6
#: Or so near the best possible loss, relative to that at the origin, that no plateau can follow.
SETTLED = 1e-7
#: Steps of one wait, of one transition, and transitions.
MOST_WAITING, MOST_MOVING, MOST_STAGES = 600, 5_000, 200


@dataclass
class Samples:
    """The course as a series. `loss` is that of all units; `own` is the squared speed of the units together, `waiting` that of the others; `carried`: which units move together, and their weights."""

    t: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    shift: list[float] = field(default_factory=list)
    carried: list[tuple[np.ndarray, Units]] = field(default_factory=list)

    def cut(self, length: int) -> None:
        """Forgets what follows the first sample from `length` on."""
        for name in ("t", "loss", "own", "waiting", "shift", "carried"):
            del getattr(self, name)[length + 1 :]


class Wait(NamedTuple):
    """A wait that ended: when it began, in which residual, and the unit that grew first, with its weights at the beginning."""

    t: float
    residual: np.ndarray
    unit: int
    weights: np.ndarray


class Course:
    """Follows the units of one layer. After `run`: `samples`, `ended` and `cost`.

    - `ended`: "blind" (no unit sees a residual), "settled" (the loss is all but the best possible), "all carry" (no unit is left that waits), "stays" (a saddle that none of them leaves),
      "work" (limits of steps reached), "crowded" (more units count at once than may move together).
    - `held_since`: the time since when a unit was held because almost the whole network moves; infinite where none was.
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
        self.waits: list[Wait] = []
        self.rests: list[tuple[float, np.ndarray, Rest]] = []
        self.state_size = self.evaluations = 0
        self._sight = None
        self.held = np.zeros(0, dtype=np.int64)
        self.held_since = np.inf

    # ------------------------------------------------------------------------------------------------------- bookkeeping

    @property
    def waiting(self) -> np.ndarray:
        left = np.ones(self.count, dtype=bool)
        left[self.together] = left[self.held] = False
        return np.flatnonzero(left)

    def _record(self, residual: np.ndarray, own: float, waiting: float) -> None:
        s = self.samples
        s.t.append(self.t)
        s.loss.append(self.motion.loss(residual))
        s.own.append(own)
        s.waiting.append(waiting)
        s.shift.append(self.shift)
        carrying = np.concatenate([self.held, self.together])
        s.carried.append((carrying, self.state[carrying]))

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
        motion, residual = self.motion, self.motion.target
        for _ in range(MOST_STAGES):
            if self._sees(residual) < BLIND:
                self.ended = "blind"
                break
            if motion.loss(residual) - motion.bound < SETTLED * motion.loss(motion.target):
                self.ended = "settled"
                break
            if len(self.waiting) == 0:
                self.ended = "all carry"
                break
            joining = self._wait(residual)
            if joining is None:
                break
            if self.count == 1 and len(self.waits) == 1:
                self._from_the_start()
            landed = self._move(joining)
            if landed is None:
                break
            residual = landed
        return self

    def _from_the_start(self) -> None:
        """A network of one unit is its own reduction: once it is known to leave, its own effect is followed from t = 0 on."""
        self.state, self.t, self.shift = self.motion.start.copy(), 0.0, 0.0
        self.samples.cut(0)

    # -------------------------------------------------------------------------------------------------------------- wait

    def _wait(self, residual: np.ndarray) -> np.ndarray | None:
        """Until some units are noticed: which. None if none will be."""
        motion, index = self.motion, self.waiting
        crowd, velocity = Crowd(motion, self.state[index], residual), motion.in_residual(residual)
        size = float(np.linalg.norm(residual))
        without = motion.residual(self.state[self.together])  # what all that wait would have to explain
        level = np.maximum(NOTICED, OUTGROWN * crowd.sizes())
        began, length = self.t, len(self.samples.t)
        for _ in range(MOST_WAITING):
            seen = without - crowd.part()
            neglected = float(np.linalg.norm(seen - residual)) / size
            self._record(seen, 0.0, crowd.squared_speed(velocity))
            now = crowd.sizes()
            if np.any(now > level):
                first = int(index[np.argmax(now)])
                self.waits.append(Wait(began, residual, first, self.state[first].copy()))
                crowd.settle(residual)
                self.state[index], self.evaluations = crowd.state(), self.evaluations + crowd.evaluations
                return index[crowd.sizes() > NOTICED]
            before = self.t
            try:
                self.t += crowd.advance(residual, velocity)
            except FloatingPointError:
                break
            if not np.isfinite(self.t) or self.t > 1e15 * max(began, 1.0 / size):
                break
            self.shift += neglected * (self.t - before)
        self.t = began
        self.samples.cut(length)
        self.ended = "stays"
        return None

    # -------------------------------------------------------------------------------------------------------------- move

    def _most(self) -> int:
        """Units that may move together: fewer than there are, but for a network of one unit, which is its own reduction."""
        return max(min(MOST_TOGETHER, self.count - 1), 1)

    def _choose(self, joining: np.ndarray) -> bool:
        """Which units move together: those that did, and the largest of those that join; never all of them.

        Where there is no room, the unit that has most nearly come to rest is held where it is. False where too many would have to be.
        """
        motion, most = self.motion, self._most()
        size = motion.contributions(self.state)
        joining = np.array(
            sorted(set(joining.tolist()) - set(self.together.tolist()), key=lambda i: -size[i]), np.int64
        )
        room = most - len(self.together)
        if room <= 0 and len(joining):
            if len(self.held) + 1 - room > MOST_HELD:
                self.ended = "crowded"
                return False
            residual = motion.residual(self.state[self.together], self.still)
            moved = motion.in_residual(residual)(self.state[self.together])
            rate = np.linalg.norm(moved, axis=1) / np.maximum(np.linalg.norm(self.state[self.together], axis=1), 1e-300)
            order = self.together[np.argsort(np.where(size[self.together] > CARRYING, rate, np.inf), kind="stable")]
            self.held = np.concatenate([self.held, order[: 1 - room]])
            self.together = order[1 - room :]
            self.held_since = min(self.held_since, self.t)
            room = 1
        self.still = motion.parts(self.state[self.held]).sum(axis=0)
        self.together = np.concatenate([self.together, joining[: max(room, 0)]])
        assert len(self.together) <= self._most(), "the reduced motion is smaller than the whole"
        return True

    def _move(self, joining: np.ndarray) -> np.ndarray | None:
        """Until they rest: the residual there. None where they do not within the limits."""
        self.held, self.still = np.zeros(0, dtype=np.int64), 0.0
        if not self._choose(joining):
            return None
        peak, steps, asked, max_step = 0.0, 0, np.inf, np.inf
        while steps < MOST_MOVING:
            segment = Together(self, max_step)
            self.state_size = max(self.state_size, segment.y.size)
            peak = max(peak, segment.speed)
            while steps < MOST_MOVING:
                try:
                    segment.step()
                except FloatingPointError:
                    self.ended = "work"
                    return None
                steps += 1
                peak = max(peak, segment.speed)
                if not segment.due():
                    continue
                if not segment.bring_up_to_date():
                    max_step = segment.go_back()
                    if max_step < 1e-9 * max(self.t, 1e-300):
                        self.ended = "crowded"
                        return None
                    break
                max_step = np.inf
                grown = self._noticed(segment.crowd.sizes())
                if grown.size:
                    segment.close()
                    if not self._choose(grown):
                        return None
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

    def _noticed(self, sizes: np.ndarray) -> np.ndarray:
        """Waiting units that have grown until they count; where there is no room, only what can no longer be left out."""
        room = self._most() - len(self.together)
        return self.waiting[sizes > (NOTICED if room > 0 else PRESSING)]

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
        self.together, self.held = kept, np.zeros(0, dtype=np.int64)
        return point.residual
