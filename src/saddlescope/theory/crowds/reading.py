"""From the course of the units to what is said of the run: plateaus, heights, ends, who is recruited, and how far off each number may be."""

from typing import NamedTuple

import numpy as np

from ...complexity import TAU, effective_width
from ...series import crossing_time, find_plateaus
from .._base import Cause, Cost, PredictedEnd, PredictedStage, Prediction, Source, Status
from .course import CARRYING, Course
from .landing import Rest, rest
from .motion import Units

#: A plateau at finite scale already shows the next unit: a fixed point is looked for from those that contribute more than each of these in turn.
TOLERANCES = (CARRYING, 3e-2, 1e-1, 2.5e-1)
#: Accepted is a fixed point whose loss is within this part of the smaller neighbouring drop.
REACH = 0.25
#: It counts at once where f moves by at most the first part of the target, and not at all beyond the second.
NEARBY, FARTHEST = 0.1, 0.3
#: Features closer to proportional than this may act as one unit, which is then looked at.
ALIKE = 0.9
#: Of the neglected part's integral over time, by so much at most is an end late or early: calibrated on random problems (docs/theory_units.md).
SHARE = 2.0
#: Local errors of the integrators, in parts of t and of the width of the drop: calibrated with them.
PART_OF_T, PART_OF_WIDTH = 3e-8, 6e-3
#: Expected errors of heights: of a fixed point relative to L(0), otherwise relative to the whole drop.
ROUNDING, WITHOUT_FIXED_POINT = 1e-9, 0.1
#: Where a unit had to be held while others moved, an end is off by up to this part of the width of its drop: of 81 ends of 2 to 8 heads, scale 0.001 to 0.3, 78
#: were within, the worst at 1.08 times it.
HELD = 2.0
#: Saddles passed between two plateaus have losses that differ from theirs by this part of the whole drop.
DISTINCT = 1e-3
#: Two drops show a plateau between them when they are about so many of their widths apart.
APART = 4.0


HELD_NOTE = "Nearly every unit moves at once: one was held while others moved, and stages after that, and the end, are only likely."
HELD_REASON = "a unit was held before this plateau: half of such plateaus were seen on random problems"
NOTES = {
    "work": "The limits of steps were reached: nothing is said of what follows.",
    "crowded": "More units count at once than a reduced motion may have: nothing is said of what follows.",
    "stays": "No unit leaves the last saddle: the run rests there.",
}


class _Saddle(NamedTuple):
    height: float
    source: str
    units: Units
    index: np.ndarray
    width: int
    kind: str
    negative: int


class Reading:
    """What a finished course says. `order` is that of the units, which tells how waits depend on the scale."""

    def __init__(self, course: Course, order: int):
        self.course, self.motion, self.order = course, course.motion, order
        s = course.samples
        self.t, self.loss, self.shift = (np.array(a) for a in (s.t, s.loss, s.shift))
        self.speed = np.sqrt(np.array(s.own) + np.array(s.waiting))
        self.drop = float(self.loss[0] - self.loss[-1])
        self.plateaus = find_plateaus(self.t, self.loss, self.speed)

    def _status(self, stands: bool, t_end: float | None, status: Status) -> Status:
        if stands:
            return "outside assumptions"
        return "heuristic" if (t_end or 0.0) >= self.course.held_since else status

    def prediction(self, name: str, status: Status, cause: Cause, notes: tuple[str, ...]) -> Prediction:
        course = self.course
        losses = [p.loss for p in self.plateaus]
        end = self._last()
        saddles = []
        for k, plateau in enumerate(self.plateaus):
            above = losses[k - 1] - losses[k] if k else np.inf
            below = losses[k] - (losses[k + 1] if k + 1 < len(losses) else end.height)
            saddles.append(
                self._saddle(*course.samples.carried[plateau.index], plateau.loss, REACH * min(above, below))
            )
        following = [*saddles[1:], end] if saddles else []
        source: Source = "reduced ODE"
        cost = Cost(course.state_size, course.evaluations, course.motion.start.size)
        unknown = course.ended in ("work", "crowded")
        stages, merged = [], []
        start: float | None = 0.0
        for plateau, here, after in zip(self.plateaus, saddles, following, strict=True):
            stands = after is end and unknown
            t_end = None if stands else self._crossing(here.height, after.height, 0.5)
            width = self._width(here.height, after.height) if t_end is not None else None
            recruits = self._recruits(here, after, t_end)
            stages.append(
                PredictedStage(
                    height=here.height,
                    height_error=self._off(here),
                    t_start=start,
                    t_end=t_end,
                    t_end_error=self._error(t_end, width),
                    status=self._status(stands, t_end, status),
                    reason=NOTES[course.ended] if stands else HELD_REASON if plateau.t >= course.held_since else "",
                    separable=None if plateau.t >= course.held_since else True,
                    kind=here.kind,
                    effective_width=here.width,
                    source=source,
                    cost=cost,
                    recruits=tuple(int(i) for i in recruits),
                    index=here.negative,
                    width_of_drop=width,
                    persistence=plateau.persistence,
                )
            )
            if t_end is not None:
                merged += self._between(here, after, recruits, t_end, width, status, cost)
            start = t_end
        if course.ended in NOTES:
            notes = (*notes, NOTES[course.ended])
        if np.isfinite(course.held_since):
            notes = (*notes, HELD_NOTE)
        return Prediction(
            stages=tuple(stages),
            end=PredictedEnd(None, None, "none")
            if unknown
            else PredictedEnd(end.height, end.width, end.kind, self._off(end, np.isfinite(course.held_since))),
            cause=cause,
            predictor=name,
            merged=tuple(merged),
            notes=notes,
            extras={"t": self.t, "loss": self.loss, "speed": self.speed, "ended": course.ended, "shift": self.shift},
        )

    # ------------------------------------------------------------------------------------------------------------ times

    def _crossing(self, high: float, low: float, part: float) -> float | None:
        return crossing_time(self.t, self.loss, self.speed, low + part * (high - low))

    def _width(self, high: float, low: float) -> float | None:
        first, middle, last = (self._crossing(high, low, part) for part in (0.9, 0.5, 0.1))
        if first is None or middle is None:
            return None
        # with a unit held, the loss need not come down all the way
        return 2 * (middle - first) if last is None else last - first

    def _error(self, t_end: float | None, width: float | None) -> float | None:
        if t_end is None:
            return None
        late = float(np.interp(t_end, self.t, self.shift))
        held = HELD * (width or 0.0) if t_end >= self.course.held_since else 0.0
        return SHARE * late + PART_OF_T * t_end + PART_OF_WIDTH * (width or 0.0) + held

    # ---------------------------------------------------------------------------------------------------------- saddles

    def _off(self, saddle: _Saddle, held: bool = False) -> float:
        """Expected error of a height: rounding, where there is a fixed point; otherwise a part of the whole drop."""
        return (
            ROUNDING * float(self.loss[0])
            if saddle.source == "fixed_point" and not held
            else WITHOUT_FIXED_POINT * self.drop
        )

    def _saddle(self, index: np.ndarray, units: Units, loss: float, reach: float) -> _Saddle:
        """The fixed point that units are near whose function has this loss; the state itself where there is none."""
        size = self.motion.contributions(units)
        best: tuple[np.ndarray, Rest] | None = None
        # a minimum of few units first; then a saddle of theirs, which a run may pass while one of them turns
        for downhill in (True, False):
            for least in TOLERANCES:
                chosen = size > least
                point = rest(self.motion, units[chosen], downhill=downhill)
                if point is None or abs(point.loss - loss) > reach or point.moved > FARTHEST:
                    continue
                if best is None or point.moved < best[1].moved:
                    best = index[chosen], point
                if point.moved <= NEARBY:
                    break
            if best is not None:
                break
        if best is not None:
            return self._described(*best, "fixed_point")
        chosen = size > CARRYING
        residual = self.motion.residual(units[chosen])
        return self._described(index[chosen], Rest(units[chosen], residual, loss, 0.0, 0.0, False), "curve")

    def _last(self) -> _Saddle:
        """Where the course ends, as the whole network would rest there: with every unit that has a part in the function."""
        index, units = self.course.samples.carried[-1]
        below = (self.plateaus[-1].loss if self.plateaus else self.loss[0]) - self.loss[-1]
        return self._saddle(index, units, float(self.loss[-1]), max(REACH * below, 1e-6 * float(self.loss[0])))

    def _described(self, index: np.ndarray, point: Rest, source: str) -> _Saddle:
        width, kind = self._complexity(point.units)
        negative = 0
        if len(point.units) and source == "fixed_point":
            values = np.linalg.eigvalsh(-self.motion.jacobian(point.units, point.residual))
            negative = int(np.sum(values < -1e-6 * np.max(np.abs(values))))
        return _Saddle(point.loss, source, point.units, index, width, kind, negative)

    def _complexity(self, units: Units) -> tuple[int, str]:
        """Effective width and kind of these units alone: as `complexity` finds them, which is only asked where some units are alike."""
        parts = self.motion.parts(units).reshape(len(units), self.motion.target.size)
        f = parts.sum(axis=0)
        scale = max(float(np.linalg.norm(f)), self.motion.scale)
        order = np.argsort(-np.linalg.norm(parts, axis=1), kind="stable")
        rest_of = [float(np.linalg.norm(f - parts[order[:n]].sum(axis=0))) for n in range(len(units) + 1)]
        width = next(n for n, left in enumerate(rest_of) if left <= TAU * scale)
        if width == 0:
            return 0, "origin"
        direction = parts[order[:width]] / np.linalg.norm(parts[order[:width]], axis=1)[:, None]
        cosines = np.abs(direction @ direction.T)[np.triu_indices(width, 1)]
        if np.any(cosines > ALIKE):
            found = effective_width(self.motion.lens.put(*self.motion.split(units)), self.motion.objective)
            if found.kind != "none":
                return found.widths[0], found.kind
        return width, "active" if width < self.course.count else "none"

    # --------------------------------------------------------------------------------------------------------- recruits

    def _times_of(self, units: list[int], t_end: float, level: np.ndarray) -> np.ndarray:
        """When each unit's contribution passes half of what it has after the drop around `t_end`."""
        found = np.full(len(units), t_end)
        samples = self.course.samples
        at = int(np.searchsorted(self.t, t_end))
        # back to the last sample where the unit was below its level
        for k, unit in enumerate(units):
            for i in range(min(at + 200, len(self.t) - 1), -1, -1):
                index, weights = samples.carried[i]
                here = np.flatnonzero(index == unit)
                if not here.size or self.motion.contributions(weights[here])[0] < level[k]:
                    found[k] = self.t[min(i + 1, len(self.t) - 1)]
                    break
        return found

    def _recruits(self, here: _Saddle, after: _Saddle, t_end: float | None) -> list[int]:
        """The units that carry the function after a drop and did not before, in the order in which they grew."""
        new = [int(i) for i in after.index if i not in set(here.index)]
        if t_end is None or len(new) < 2:
            return new
        size = dict(zip(after.index, self.motion.contributions(after.units), strict=True))
        times = self._times_of(new, t_end, np.array([size[i] / 2 for i in new]))
        return [new[i] for i in np.argsort(times, kind="stable")]

    def _between(self, here, after, recruits, t_end, width, status: Status, cost: Cost) -> list[PredictedStage]:
        """Saddles that the drop passes without a plateau: rests of the first recruits alone."""
        found = []
        size = dict(zip(after.index, self.motion.contributions(after.units), strict=True))
        for count in range(1, len(recruits)):
            chosen = np.isin(after.index, [*here.index, *recruits[:count]])
            point = rest(self.motion, after.units[chosen])
            if point is None or point.down:
                continue
            above = found[-1].height if found else here.height
            if min(above - point.loss, point.loss - after.height) < DISTINCT * self.drop:
                continue
            pair = recruits[count - 1 : count + 1]
            times = self._times_of(pair, t_end, np.array([size[i] / 2 for i in pair]))
            needed = APART * width if width else np.inf
            ratio = min(max(float(times[1] - times[0]), 1e-3 * needed) / needed, 1.0)
            visible = self.course.base * ratio ** (1 / (self.order - 1))
            saddle = self._described(after.index[chosen], point, "fixed_point")
            found.append(
                PredictedStage(
                    height=point.loss,
                    t_start=None,
                    t_end=None,
                    status=status,
                    kind=saddle.kind,
                    effective_width=saddle.width,
                    source="reduced ODE",
                    cost=cost,
                    recruits=(recruits[count],),
                    separable=False,
                    visible_scale=visible,
                    reason=f"not separable at this scale: the plateau shows where the initial weights are below about {visible:.1e}",
                )
            )
        return found
