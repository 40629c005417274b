r"""Piecewise linear units on orthogonal inputs, and kernels on inputs with one positive entry: which signs are fitted when.

Each unit settles alone on rays of one sign (`_early`), then the units that share their rays move as one small linear network (`_late`), up to the half-drop of every
stage. Heights are exact: a plateau is a set of rays fitted exactly, the others not at all.

Source: Boursier, Pillaud-Vivien & Flammarion (2022) for orthogonal inputs; the reduction and the kinks on later plateaus are ours.
"""

from dataclasses import replace

import numpy as np

from ...complexity import effective_width
from .._base import AbstractPredictor, Cost, PredictedEnd, PredictedStage, Prediction, Problem, Width
from ..curve import REACH, Curve, Seen, heights_of, seen
from ..visible import root_mean_square, visible_factor
from .groups import Rays, rays_of
from .late import Late
from .reduced import NEGLIGIBLE, Reduced

#: What the solver and kinks taken together add, relative to t.
SOLVER = 1e-6
#: In wider networks effective width is not counted but that of the saddle: one ray a sign of a line.
MOST_UNITS = 500
#: Smallest factor of the weights at which a plateau that does not show is looked for.
SMALLEST = 1e-20


class OrthogonalRays(AbstractPredictor):
    """One layer of units of degree 1, dead on one side of their kink, on data where any two rows are orthogonal or parallel."""

    name = "orthogonal rays"

    def refuses(self, problem: Problem) -> str | None:
        lenses = problem.network.lenses()
        if len(lenses) != 1 or not lenses[0].direct:
            return "needs one layer of units that is read out directly"
        facts = lenses[0].facts
        if not (facts.kinks and facts.degree == 1):
            return "needs piecewise linear units of degree 1 that declare their kinks"
        rays = rays_of(lenses[0], problem.objective)
        if isinstance(rays, str):
            return rays
        return None if rays.lines else "nothing correlates with any single row: no unit grows at a rate of its own"

    def predict(self, problem: Problem) -> Prediction:
        return _account(problem).prediction()

    def rests_at_origin(self, problem: Problem) -> tuple[bool, float]:
        """From the reduced run alone, without the stages that do not show."""
        account = _account(problem)
        late = account.late()
        found = seen(late.curve, account.initial_speed(), late.end)
        return any(s.position == 0 for s in found), float(late.curve.evaluations)


def _account(problem: Problem) -> "_Account":
    lens = problem.network.lenses()[0]
    rays = rays_of(lens, problem.objective)
    assert isinstance(rays, Rays)
    return _Account(problem, lens, rays)


def _said(stage: PredictedStage, before: list[PredictedStage]) -> PredictedStage:
    """The stage without numbers of time that say nothing: an expected error as large as the wait."""
    if before and before[-1].t_end is None:
        stage = replace(stage, t_start=None)
    if stage.t_end is None or stage.t_end_error is None:
        return stage
    wait = stage.t_end - (stage.t_start or 0.0)
    if stage.t_end_error <= wait:
        return stage
    reason = f"needs smaller initial weights: the end would have an error of {stage.t_end_error:.3g}, more than the wait, {wait:.3g}"
    return replace(stage, t_end=None, t_end_error=None, width_of_drop=None, status="outside assumptions", reason=reason)


class _Account(Reduced):
    """One problem, reduced once, and what is said of it."""

    def prediction(self) -> Prediction:
        if not any(np.any(end.growing != 0) or np.any(end.pending) for end in self.settled):
            reason = "every unit is dead on what it would have to learn: nothing grows"
            return Prediction((), PredictedEnd(self.origin, 0, "origin"), "none", OrthogonalRays.name, notes=(reason,))
        late = self.late()
        self.end = late.end
        found = seen(late.curve, self.initial_speed(), self.end)
        sets = [np.zeros(len(self.rays.moment), bool) if s.position == 0 else self.fitted(late, s) for s in found]
        # what is slow at the end's own function is the end
        kept = [i for i, f in enumerate(sets) if self.height(f) > late.end + 1e-9 * self.origin]
        found, sets = [found[i] for i in kept], [sets[i] for i in kept]
        heights = [self.height(f) for f in sets]
        losses = [float(late.curve.loss[s.position]) for s in found]
        final = late.end if late.curve.finished else float(late.curve.loss[-1])
        heights, curved = heights_of(losses, heights, final)
        stages, start = [], 0.0
        for i, (s, height) in enumerate(zip(found, heights, strict=True)):
            following = heights[i + 1] if i + 1 < len(heights) else final
            stage = self._stage(late, s, height, following, sets[i], start, curved[i])
            start = stage.t_end if stage.t_end is not None else start
            stages.append(_said(stage, stages))
        merged = self._merged(late, heights)
        residual = np.linalg.norm(late.residual_at(float(late.curve.t[-1])), axis=1)
        whole = self._width(late, float(late.curve.t[-1]), residual < 0.5 * np.linalg.norm(self.rays.target, axis=1))
        notes = []
        if late.kinks:
            notes.append(
                f"{late.kinks} times a unit leaves a ray after the early phase: its readout is turned by what others learn, or it was slow to settle."
            )
        if not np.all(self.carried):
            notes.append(
                f"{int(np.sum(~self.carried))} rays have no unit that can learn them: the run rests above the optimum."
            )
        return Prediction(
            tuple(stages),
            PredictedEnd(
                final, whole, "rays" if whole else "origin", 1e-9 * self.origin if late.curve.finished else None
            ),
            "data",
            OrthogonalRays.name,
            merged=merged,
            notes=tuple(notes),
        )

    def _stage(
        self, late: Late, s: Seen, height: float, following: float, fitted: np.ndarray, start: float, curved: bool
    ) -> PredictedStage:
        curve = late.curve
        end = curve.crossing(0.5 * (height + following), start)
        first, last = (curve.crossing(height - part * (height - following), start) for part in (0.1, 0.9))
        recruits, rate = [], 0.0
        for number, (line, sign) in enumerate((line, sign) for line in self.rays.lines for sign in (1, -1)):
            group = line.rays[np.sign(line.pull) == sign]
            open_ = group[~fitted[group]]
            if open_.size:
                rate = max(rate, float(np.linalg.norm(self.rays.pull[open_])))
            if end is not None and open_.size and self._learned(late, open_, end, following):
                recruits.append(number)
        width = 0 if s.position == 0 else self._width(late, float(curve.t[s.position]), fitted)
        stepped = self.problem.learning_rate is not None
        return PredictedStage(
            height,
            start,
            end,
            "heuristic" if curved or stepped else "asymptotic",
            "origin" if s.position == 0 else "rays",
            width,
            height_error=1e-9 * self.origin if not curved else REACH * abs(height - following),
            t_end_error=None if end is None else self._error(late, end),
            source="reduced ODE",
            cost=Cost(curve.state_size, curve.evaluations, self.problem.network.num_weights()),
            recruits=tuple(recruits),
            escape_rate=rate or None,
            width_of_drop=last - first if first is not None and last is not None else None,
            persistence=s.persistence,
            reason="the output is negligible while units settle; afterwards exact"
            + ("; the run passes this saddle at a distance, and the height is that of its curve" if curved else "")
            + ("; steps to first order in the learning rate" if stepped else ""),
        )

    def _learned(self, late: Late, rays: np.ndarray, end: float, following: float) -> bool:
        """Whether the drop at `end` is (also) that of these rays: most of their loss goes before the level nine tenths down is passed."""
        at = late.curve.crossing(following + 1e-2 * max(late.curve.loss_at(end) - following, 0.0), end) or float(
            late.curve.t[-1]
        )
        left = np.linalg.norm(late.residual_at(at)[rays]) ** 2
        return bool(left < 0.25 * np.linalg.norm(self.rays.target[rays]) ** 2)

    def _error(self, late: Late, end: float) -> float:
        """Half of a 95% interval: kinks of the early phase shift by the output then, over the target (times 2: measured); the solver's share; a learning rate's second order."""
        shift = 0.0
        first = float(np.sqrt(np.sum(np.sum(self.units.z**2, axis=1) * np.sum(self.units.v**2, axis=1))))
        for line, settled in zip(self.rays.lines, self.settled, strict=True):
            size = float(np.linalg.norm(self.rays.target[line.rays]))
            # the output at a kink, read off a table: a number for every pair of units would be too many
            times = np.linspace(0.0, max(float(np.max(settled.time)), 1e-300), 64)
            with np.errstate(over="ignore"):
                table = [np.sum(0.5 * settled.growing**2 * np.exp(2 * settled.rate * t)) / size for t in times]
                grown = settled.growing**2 * np.exp(2 * settled.rate * self.join)
            at_kink = np.interp(settled.time, times, table)
            later = np.sum(settled.z_join**2, axis=1) + settled.readout_join**2
            waiting = float(np.sum(later[settled.pending]))
            for sign in (1, -1):
                weight = np.where(sign * settled.growing > 0, settled.growing**2, 0.0)
                if not np.any(weight > 0):
                    continue
                rate = float(np.sum(weight * settled.rate) / np.sum(weight))
                # outputs that do not grow, of either sign; what pending units would have added until they join
                own = float(np.sum(grown[weight > 0]))
                still = first / size + NEGLIGIBLE * waiting / (waiting + own)
                shift = max(shift, 2 * (float(np.sum(weight * at_kink) / np.sum(weight)) + still) / rate)
        second = (self.problem.learning_rate or 0.0) * float(np.linalg.norm(self.rays.pull, 2))
        return shift + SOLVER * end + second**2 * end

    def _width(self, late: Late, t: float, fitted: np.ndarray) -> Width:
        """One ray a sign of a line, where units that are active on all of it learned it and no other; otherwise counted in the network as it is then."""
        units = late.units_at(t)
        groups = [line.rays[np.sign(line.pull) == sign] for line in self.rays.lines for sign in (1, -1)]
        groups = [g[fitted[g]] for g in groups if np.any(fitted[g])]
        everywhere = np.zeros(len(fitted), bool)
        total = np.zeros(self.rays.pull.shape)
        for g in groups:
            others = fitted.copy()
            others[g] = False
            alone = np.all(units.active[:, g], axis=1) & ~np.any(units.active[:, others], axis=1)
            total += units.z[alone].T @ units.v[alone]
            everywhere[g] = True
        wanted = np.where(everywhere[:, None], self.rays.target, 0.0)
        missing = self.rays.moment @ np.sum((wanted - total) ** 2 * everywhere[:, None], axis=1)
        # half of the tolerance of an effective width, 1e-2 of the target's size
        if groups and missing < (0.5e-2) ** 2 * 2 * (self.origin - self.rays.irreducible):
            return len(groups)
        if len(units.v) > MOST_UNITS:
            return len(groups)
        u = self.u + (np.where(units.active, units.z, 0.0) - np.maximum(self.z, 0.0)) @ self.rays.direction
        network = self.lens.put(u, units.v.reshape(self.shape))
        return effective_width(network, self.problem.objective).widths[0]

    def _merged(self, late: Late, heights: list[float]) -> tuple[PredictedStage, ...]:
        """Saddles of whole sign groups between the stages that are seen: they would be on the way from smaller weights."""
        groups = [line.rays[np.sign(line.pull) == sign] for line in self.rays.lines for sign in (1, -1)]
        groups = [g[self.carried[g]] for g in groups]
        times = [self._fit_time(late.curve, late, g) for g in groups if g.size]
        order = np.argsort(times, kind="stable")
        groups = [g for g in groups if g.size]
        missing, fitted = [], np.zeros(len(self.rays.moment), bool)
        for k, g in enumerate(order[:-1]):
            fitted[groups[g]] = True
            level = self.height(fitted)
            drop = self.origin - self.end
            if any(abs(level - h) <= 1e-3 * drop for h in heights) or level - self.end < 1e-3 * drop:
                continue
            missing.append(
                PredictedStage(
                    level,
                    None,
                    None,
                    "asymptotic",
                    "rays",
                    k + 1,
                    height_error=1e-9 * self.origin,
                    source="reduced ODE",
                    separable=False,
                    visible_scale=self._visible(level),
                    reason="not separable at this scale",
                )
            )
        return tuple(missing)

    def _fit_time(self, curve: Curve, late: Late, rays: np.ndarray) -> float:
        half = 0.5 * float(np.sum(self.rays.losses[rays]))
        for t in curve.t[::4]:
            if 0.5 * float(self.rays.moment[rays] @ np.sum(late.residual_at(float(t))[rays] ** 2, axis=1)) < half:
                return float(t)
        return np.inf

    def _visible(self, level: float) -> float | None:
        """The root mean square of the initial weights below which a plateau at this loss shows."""
        drop = self.origin - self.end

        def shows(factor: float) -> bool:
            late = self.late(factor)
            found = seen(late.curve, factor * self.initial_speed(), self.end)
            return any(abs(self.height(self.fitted(late, s)) - level) <= 1e-3 * drop for s in found if s.position)

        low = visible_factor(shows, lambda factor: min(1e-2, factor**2), SMALLEST)
        return None if low is None else root_mean_square(self.problem.network.arrays().values()) * low
