"""Three ways to the stages of linear units: the closed form, the reduced dynamics, and an estimate where neither holds."""

from typing import NamedTuple

import numpy as np

from ._base import Cost, Source, Status
from ._line_flow import Reduced, curve_of, every, growing
from ._line_formula import Logistic
from ._line_modes import Modes
from ._line_moments import Lines
from ._line_stages import Saddles, Seen, seen_on

#: Accepted steps of a reduced motion: about 2 (rate of the fastest mode) / (that of the slowest) of them are needed on a plateau.
MOST_STEPS = 20_000
#: Numbers in the state of the exact reduction, beyond which it costs more than a second.
MOST_NUMBERS = 4_000
#: The closed form speaks where all its expected errors are below this part of the times.
GOOD = 1e-4
#: A mode's strength at the start, relative to what it will be, up to which the closed form is asked at all.
SMALL = 0.05
# --- Factors of the expected errors below, all times 1 / (rate of the mode that escapes); see docs/theory.md for how they were measured.
NEXT_ORDER = 0.5
START = 0.5
LEFT_OUT = 1.0
STEP = 0.5
#: Relative error of the estimate: 95% of the ends of random problems that do not commute.
ESTIMATE = 0.1
#: Relative error that integration adds at RTOL.
INTEGRATION = 1e-7


class Answer(NamedTuple):
    """Stages as one way gives them. `rest`: the modes learned in the end; `errors`: of each stage's end, None where it has none."""

    seen: list[Seen]
    errors: list[float | None]
    rest: tuple[int, ...]
    status: Status
    source: Source
    cost: Cost
    reason: str
    cut: bool = False

    @property
    def relative_error(self) -> float:
        """The largest; infinite where an end is unknown."""
        ratios = [
            np.inf if one.t_end is None or error is None else error / one.t_end
            for one, error in zip(self.seen, self.errors, strict=True)
        ]
        return max(ratios, default=0.0)


def at_start(lines: Lines, modes: Modes) -> float:
    """Largest strength of a mode at the start, growing and decaying parts alike, relative to what it will be."""
    sizes = 0.5 * np.sum(modes.plus**2 + modes.minus**2, axis=1)
    return float(np.max(modes.lam * sizes / modes.s))


def resting(modes: Modes, rank: int) -> tuple[int, ...]:
    """The modes of the best function of this rank."""
    return tuple(sorted(int(k) for k in np.argsort(-modes.tau, kind="stable")[:rank]))


def by_formula(lines: Lines, modes: Modes, saddles: Saddles) -> Answer | None:
    """The closed form, or None where it does not apply: modes that do not commute, weights that are not small, or too few units for the modes that are worth most."""
    rank = int(np.sum(np.isfinite(np.log(np.maximum(modes.perpendicular, 1e-300))) & (modes.perpendicular > 0)))
    rest = resting(modes, rank)
    start = at_start(lines, modes)
    if not modes.commute or start > SMALL or rest != tuple(range(rank)):
        return None
    floor = saddles.height(rest)
    logistic = Logistic.of(modes, floor)
    logistic = logistic._replace(**{name: getattr(logistic, name)[:rank] for name in ("s", "lam", "wait")})
    seen = _seen(logistic, saddles, floor)
    errors = []
    for one in seen:
        k = len(one.learned)
        error = None
        if one.t_end is not None:
            share = logistic.share(np.array(one.t_end))
            before = float(np.max(1.0 - share[:k], initial=0.0))
            alone = abs(one.t_end - float(logistic.half_drops()[k]))
            error = NEXT_ORDER * (alone + before / modes.s[k]) + START * start / modes.s[k] + INTEGRATION * one.t_end
        errors.append(error)
    return Answer(
        seen,
        errors,
        rest,
        "asymptotic",
        "closed form",
        Cost(0, 1, lines.whole_size),
        "modes commute and are well apart",
    )


def by_flow(lines: Lines, modes: Modes, saddles: Saddles, learning_rate: float | None) -> Answer | None:
    """The reduced dynamics, or None where no reduction is smaller than the network."""
    small = growing(lines, modes, learning_rate)
    rank = small.state.shape[1]
    answers = []
    if small.state.size < lines.whole_size:
        answers.append(_followed(small, lines, modes, saddles, rank, exact=False))
        if answers[0].relative_error <= GOOD:
            return answers[0]
    numbers = (lines.sigma.shape[0] + lines.b.shape[1]) * min(lines.u.shape[1], lines.sigma.shape[0] + lines.b.shape[1])
    if numbers <= MOST_NUMBERS and numbers < lines.whole_size:
        exact = every(lines, modes, learning_rate)
        answers.append(_followed(exact, lines, modes, saddles, rank, exact=True))
    return min(answers, key=lambda a: (a.cut, a.relative_error), default=None)


def by_estimate(lines: Lines, modes: Modes, saddles: Saddles) -> Answer:
    r"""Modes as if they grew alone with $\lambda = s^2/\tau^2$."""
    rank = int(np.sum(modes.perpendicular > 0))
    rest = resting(modes, rank)
    logistic = Logistic.of(modes, saddles.height(tuple(range(rank))))
    logistic = logistic._replace(**{name: getattr(logistic, name)[:rank] for name in ("s", "lam", "wait")})
    seen = _seen(logistic, saddles, saddles.height(rest))
    errors = [None if one.t_end is None else ESTIMATE * one.t_end for one in seen]
    reason = "no reduction is smaller than this network: modes are taken to grow alone"
    return Answer(seen, errors, rest, "heuristic", "closed form", Cost(0, 1, lines.whole_size), reason)


def visible_decades(modes: Modes, saddles: Saddles, learned: tuple[int, ...], most: float = 300.0) -> float | None:
    """By how many decades the initial weights must shrink for the plateau of this saddle to be seen, to a tenth; None beyond `most`."""
    rank = int(np.sum(modes.perpendicular > 0))
    logistic = Logistic.of(modes, saddles.height(tuple(range(rank))))
    logistic = logistic._replace(**{name: getattr(logistic, name)[:rank] for name in ("s", "lam", "wait")})

    def visible(decades: float) -> bool:
        shrunk = logistic.later(decades)
        return any(one.learned == learned for one in _seen(shrunk, saddles, shrunk.floor))

    low, high = 0.0, 0.5
    while not visible(high):
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > 0.1:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if visible(middle) else (middle, high)
    return high


def _seen(logistic: Logistic, saddles: Saddles, rest: float) -> list[Seen]:
    t = logistic.times()
    return seen_on(
        t, logistic.loss(t), logistic.speed(t), lambda i: logistic.learned(t[i]), logistic.crossing, saddles, rest
    )


def _followed(reduced: Reduced, lines: Lines, modes: Modes, saddles: Saddles, rank: int, *, exact: bool) -> Answer:
    assert reduced.state.size < lines.whole_size, "a reduced motion is smaller than the network"
    rest = resting(modes, rank)
    floor = saddles.height(rest)
    curve = curve_of(reduced, rest=floor, most_steps=MOST_STEPS)
    seen = seen_on(
        curve.t,
        curve.loss,
        curve.speed,
        lambda i: saddles.nearest(reduced, curve.states[i]),
        curve.crossing,
        saddles,
        floor,
    )
    start = 0.0 if exact else LEFT_OUT * at_start(lines, modes)
    h = reduced.learning_rate or 0.0
    errors = []
    for one in seen:
        rate = saddles.escape_rate(one.learned)
        error = None
        if one.t_end is not None:
            error = start / rate + INTEGRATION * one.t_end + STEP * h * (h * modes.s[0])
        errors.append(error)
    kept = "every direction" if exact else "the directions that grow"
    reason = f"reduced dynamics of {kept}, {reduced.state.shape[1]} combinations of units" + (
        ", with the modified equation of gradient descent" if h else ""
    )
    cost = Cost(reduced.state.size, curve.path.evaluations, lines.whole_size)
    status: Status = "theorem" if exact and not h else "asymptotic"
    return Answer(seen, errors, rest, status, "reduced ODE", cost, reason, curve.path.cut)
