r"""Directions: linear units, whose stages the data make.

Near zero weights a direction of the data grows at a rate that is a singular value of $E[\psi y^\top]$, whoever carries it, and so the loss rests where the k fastest have
been learned (Saxe, McClelland & Ganguli 2014; Zhang, Saxe & Latham 2026, Theorem 4). Where input covariance and correlation share singular vectors and the rates are well
apart the times have a closed form; otherwise they come from the reduced dynamics, whose size does not depend on the width.
"""

from dataclasses import replace

import numpy as np

from .._base import AbstractPredictor, PredictedEnd, PredictedStage, Prediction, Problem
from .answers import GOOD, Answer, by_estimate, by_flow, by_formula, visible_decades
from .beside import beside
from .modes import Modes, modes_of
from .moments import Lines, lines_of
from .sharpness import sharpness
from .stages import Saddles, Seen

#: Drops below this part of the whole are no plateaus at any scale (`series.PlateauConstants.loss_difference`).
LEAST_DROP = 1e-3
#: Heights are exact up to rounding of the moments, relative to the loss of f = 0.
ROUNDING = 1e-12
#: Times 1 / rate: how long 64-bit rounding takes to grow to 1, ln(1 / 1.1e-16).
ROUNDING_WAIT = 36.7
#: Of moments and weights: four of them are multiplied.
LARGEST = 1e60
#: Rates that differ by less than this part are called equal in words.
EQUAL = 1e-6


class Directions(AbstractPredictor):
    """One layer of units that are linear in their weights, on features with one second moment: neurons, merged heads, kernels on white patches."""

    name = "directions"

    def refuses(self, problem: Problem) -> str | None:
        lines = lines_of(problem)
        if isinstance(lines, str):
            return lines
        largest = max(
            lines.target, *(float(np.abs(a).max(initial=0.0)) for a in (lines.sigma, lines.b, lines.u, lines.v))
        )
        if not largest < LARGEST:
            return f"needs numbers whose products stay within 64 bits, below {LARGEST:.0e}: the largest of moments and weights is {largest:.3g}"
        fastest = float(np.linalg.norm(lines.b, 2))
        if fastest == 0:
            return "needs something to learn: E[psi y] is zero, so no direction grows"
        rate = problem.learning_rate
        if rate is not None and rate * fastest >= 1:
            return f"needs learning_rate x (fastest rate of growth) below 1, found {rate:.6g} x {fastest:.6g}: such steps do not follow the flow. Take a learning_rate below {1 / fastest:.6g}"
        return None

    def predict(self, problem: Problem) -> Prediction:
        lines = lines_of(problem)
        assert isinstance(lines, Lines), lines
        modes = modes_of(lines)
        saddles = Saddles(lines, modes)
        others = beside(lines, modes)
        answer = None if problem.learning_rate else by_formula(lines, modes, others, saddles)
        if answer is None or answer.relative_error > GOOD:
            reduced = by_flow(lines, modes, others, saddles, problem.learning_rate)
            answer = (
                reduced or (None if answer is None else _doubtful(answer)) or by_estimate(lines, modes, others, saddles)
            )
        prediction = _prediction(lines, modes, saddles, answer)
        if problem.learning_rate is None:
            return prediction
        return _as_far_as_steps_are_stable(prediction, lines, modes, saddles, answer, problem.learning_rate)


def _as_far_as_steps_are_stable(
    prediction: Prediction, lines: Lines, modes: Modes, saddles: Saddles, answer: Answer, rate: float
) -> Prediction:
    """Nothing after the drop to a saddle at which such steps are unstable: they oscillate there, and diverge or come to rest with other weights."""
    order = [*(one.learned for one in answer.seen), answer.rest]
    sizes = [sharpness(lines, saddles, learned, modes.into, modes.out) for learned in order]
    unstable = next((k for k, size in enumerate(sizes) if rate * size >= 2.0), None)
    if unstable is None:
        return prediction
    reason = (
        f"steps are too long: needs learning_rate x (largest curvature) below 2 where the next directions are learned, found {rate:.6g} x "
        f"{sizes[unstable]:.6g}; stable on the whole way is learning_rate below {2.0 / max(sizes):.4g}"
    )
    kept = list(prediction.stages[: max(unstable, 1)])
    kept[-1] = replace(
        kept[-1],
        t_end=None,
        t_end_error=None,
        width_of_drop=None,
        status="outside assumptions",
        reason=reason,
    )
    return replace(
        prediction,
        stages=tuple(kept),
        end=PredictedEnd(None, None, "none"),
        cause="data",
        merged=(),
        outside=(reason,),
        notes=(
            *prediction.notes,
            "Steps oscillate at the next saddle, and diverge or rest with other weights: nothing is said of what follows.",
        ),
    )


def _doubtful(answer: Answer) -> Answer:
    """The closed form where one of its own errors is too large and no reduction is smaller than the network: what moves that end moves the others too."""
    errors: list[float | None] = [
        None if one.t_end is None or error is None else max(error, min(answer.relative_error, 1.0) * one.t_end)
        for one, error in zip(answer.seen, answer.errors, strict=True)
    ]
    reason = "modes are not well apart, and no reduction is smaller than this network"
    return answer._replace(errors=errors, status="heuristic", reason=reason)


def _prediction(lines: Lines, modes: Modes, saddles: Saddles, answer: Answer) -> Prediction:
    stages, start = [], 0.0
    following = [*answer.seen[1:], None][: len(answer.seen)]
    for one, error, after in zip(answer.seen, answer.errors, following, strict=True):
        stages.append(_seen_stage(lines, saddles, answer, one, start, error, after))
        start = one.t_end if one.t_end is not None else start
    merged = _merged(lines, modes, saddles, answer)
    most = min(modes.s.size, saddles.units)
    stuck = len(answer.rest) < most
    rest = PredictedEnd(
        saddles.height(answer.rest), saddles.width(answer.rest), _kind(answer.rest), ROUNDING * lines.height
    )
    if stuck:
        stages.append(_never_left(lines, saddles, answer, start))
        rest = PredictedEnd(None, None, "none")
    notes = _notes(modes, saddles, answer)
    return Prediction(
        tuple(stages),
        rest,
        "data",
        Directions.name,
        merged,
        notes=notes,
        extras={"rates": modes.s.tolist(), "commute": modes.commute},
    )


def _never_left(lines: Lines, saddles: Saddles, answer: Answer, start: float) -> PredictedStage:
    """The saddle on whose invariant manifold the run starts."""
    rate = saddles.escape_rate(answer.rest)
    reason = (
        f"the initial weights lie, to rounding, on the invariant manifold of rank {len(answer.rest)}: no weight starts another direction, and only "
        f"rounding leads out of this saddle, not before about {ROUNDING_WAIT / rate:.4g} later"
    )
    return _stage(
        lines,
        saddles,
        answer._replace(status="outside assumptions", reason=reason),
        _unseen(saddles, answer.rest),
        start,
    )


def _unseen(saddles: Saddles, learned: tuple[int, ...]) -> Seen:
    """A saddle that no curve is seen to leave."""
    height = saddles.height(learned)
    return Seen(learned, height, None, None, None, height, saddles.width(learned))


def _seen_stage(
    lines: Lines,
    saddles: Saddles,
    answer: Answer,
    one: Seen,
    start: float,
    error: float | None,
    after: Seen | None,
) -> PredictedStage:
    """A stage, and how it ends where it or the one `after` it is at no saddle."""
    following = answer.rest if after is None else after.learned
    stage = replace(
        _stage(lines, saddles, answer, one, start),
        t_end_error=None if error is None else error + one.slack,
        recruits=tuple(k for k in following if k not in one.learned),
    )
    curved = not one.at_saddle or (after is not None and not after.at_saddle)
    if curved:
        stage = replace(stage, status="heuristic")
    if one.at_saddle:
        return replace(stage, height_error=ROUNDING * lines.height + one.doubt)
    reason = f"{answer.reason}; the loss is slow here away from any saddle, and the height is that of its curve"
    return replace(
        stage,
        kind="rank" if one.width else "origin",
        index=None,
        escape_rate=None,
        height_error=one.doubt,
        reason=reason,
    )


def _stage(lines: Lines, saddles: Saddles, answer: Answer, one: Seen, start: float | None) -> PredictedStage:
    """A stage at the saddle `one`; not separable where it has no start."""
    return PredictedStage(
        height=one.height,
        t_start=start,
        t_end=one.t_end,
        status=answer.status,
        kind=_kind(one.learned),
        effective_width=one.width,
        height_error=ROUNDING * lines.height,
        t_end_error=None,
        source=answer.source,
        cost=answer.cost,
        recruits=(),
        index=saddles.index(one.learned),
        escape_rate=saddles.escape_rate(one.learned),
        width_of_drop=one.width_of_drop,
        persistence=one.persistence,
        reason=answer.reason,
    )


def _merged(lines: Lines, modes: Modes, saddles: Saddles, answer: Answer) -> tuple[PredictedStage, ...]:
    """Saddles on the way, one mode after another, whose plateaus are not seen; those too close in loss to be plateaus at all are left out."""
    seen = {one.learned for one in answer.seen}
    first, last = saddles.height(()), saddles.height(answer.rest)
    scale = float(np.sqrt((np.sum(lines.u**2) + np.sum(lines.v**2)) / lines.whole_size))
    found = []
    before = first
    for k in range(len(answer.rest)):
        learned = tuple(range(k))
        height = saddles.height(learned)
        apart = min(before - height, height - last) >= LEAST_DROP * (first - last)
        before = height
        if learned in seen or not apart:
            continue
        decades = visible_decades(modes, saddles, learned)
        visible = None if decades is None else scale * 10.0**-decades
        reason = (
            "not separable at this scale: the next direction grows too fast for the loss to rest here"
            if visible is not None
            else "not separable at any scale: the next direction grows as fast as the one before"
        )
        stage = _stage(lines, saddles, answer._replace(reason=reason), _unseen(saddles, learned), None)
        found.append(replace(stage, recruits=(k,), separable=False, visible_scale=visible))
    return tuple(found)


def _notes(modes: Modes, saddles: Saddles, answer: Answer) -> tuple[str, ...]:
    notes = []
    if modes.s.size > 1 and np.ptp(modes.s) <= EQUAL * modes.s[0]:
        notes.append(
            "White data: every direction grows at one rate, so there is no plateau but the first, at any scale."
        )
    if saddles.units < modes.s.size:
        units = f"{saddles.units} unit{'s' * (saddles.units > 1)}"
        notes.append(
            f"{units} cannot carry {modes.s.size} directions: the run rests at the best function of rank {saddles.units}."
        )
    if answer.cut:
        notes.append("The reduced motion was cut at its largest number of steps: later stages are not listed.")
    return tuple(notes)


def _kind(learned: tuple[int, ...]) -> str:
    return "rank" if learned else "origin"
