"""Three ways to the stages of linear units: the closed form, the reduced dynamics, and an estimate where neither holds."""

from typing import NamedTuple

import numpy as np

from .._base import Cost, Source, Status
from .beside import Beside
from .errors import at_start, of_estimate, of_formula, of_reduction
from .formula import Logistic
from .modes import Modes
from .moments import Lines
from .reduced import Reduced, curve_of, every, growing, reached
from .stages import Saddles, Seen, seen_on

#: Accepted steps of a reduced motion: about 2 (rate of the fastest mode) / (that of the slowest) of them are needed on a plateau.
MOST_STEPS = 20_000
#: Steps times numbers in the state: a few seconds.
MOST_WORK = 1_000_000
#: Numbers in the state of the exact reduction, beyond which it costs more than a second.
MOST_NUMBERS = 4_000
#: The closed form speaks where all its expected errors are below this part of the times.
GOOD = 1e-4
#: A mode's strength at the start, relative to what it will be, up to which the closed form is asked at all.
SMALL = 0.05
#: From the smallest to the exact one.
REDUCTIONS = {"growing": growing, "reached": reached, "every": every}


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


def resting(modes: Modes, rank: int) -> tuple[int, ...]:
    """The modes of the best function of this rank."""
    return tuple(sorted(int(k) for k in np.argsort(-modes.tau, kind="stable")[:rank]))


def started(modes: Modes) -> int:
    """How many modes the initial weights start: as many as there are units, fewer where the weights are of low rank."""
    return int(np.sum(modes.perpendicular > 0))


def by_formula(lines: Lines, modes: Modes, others: Beside, saddles: Saddles) -> Answer | None:
    """The closed form, or None where it does not apply: modes that do not commute, weights that are not small, or too few units for the modes that are worth most."""
    rank = started(modes)
    rest = resting(modes, rank)
    start = at_start(modes, others)
    if not modes.commute or start > SMALL or rest != tuple(range(rank)):
        return None
    floor = saddles.height(rest)
    logistic = Logistic.of(modes, floor)
    seen = _seen(logistic.of_first(rank), saddles, floor)
    errors = [of_formula(one, logistic, rank, modes, others) for one in seen]
    return Answer(
        seen,
        errors,
        rest,
        "asymptotic",
        "closed form",
        Cost(0, 1, lines.whole_size),
        "modes commute and are well apart",
    )


def by_flow(lines: Lines, modes: Modes, others: Beside, saddles: Saddles, learning_rate: float | None) -> Answer | None:
    """The reduced dynamics, by the smallest reduction that is good enough; None where none is smaller than the network."""
    best: Answer | None = None
    for name, reduction in REDUCTIONS.items():
        if name != "growing" and _state_size(name, lines, modes, others) > MOST_NUMBERS:
            continue
        reduced = reduction(lines, modes, others, learning_rate)
        if reduced.state.size >= lines.whole_size:
            continue
        answer = _followed(name, reduced, lines, modes, others, saddles)
        if best is None or (answer.cut, answer.relative_error) < (best.cut, best.relative_error):
            best = answer
        if best.relative_error <= GOOD and not best.cut:
            break
    return best


def _state_size(name: str, lines: Lines, modes: Modes, others: Beside) -> int:
    """No less than the reduction's."""
    units, rows = lines.u.shape[1], modes.sigma.size + modes.s.size
    columns = min(rows, units)
    if name == "reached":
        return (rows + (0 if others.slight(modes) else 2 * columns)) * columns
    rows += others.most_rows(units)
    return rows * min(rows, units)


def by_estimate(lines: Lines, modes: Modes, others: Beside, saddles: Saddles) -> Answer:
    r"""Modes as if they grew alone with $\lambda = s^2/\tau^2$; where units are too few for the modes that are worth most, the last saddle has no end."""
    rank = started(modes)
    first, rest = tuple(range(rank)), resting(modes, rank)
    seen = _seen(Logistic.of(modes, saddles.height(first)).of_first(rank), saddles, saddles.height(first))
    errors = [of_estimate(one, modes, others) for one in seen]
    reason = "no reduction is smaller than this network: modes are taken to grow alone"
    if rest != first:
        seen.append(Seen(first, saddles.height(first), None, None, None, saddles.height(rest), saddles.width(first)))
        errors.append(None)
        reason += ", and no formula says when those that are worth more replace the first"
    return Answer(seen, errors, rest, "heuristic", "closed form", Cost(0, 1, lines.whole_size), reason)


def visible_decades(modes: Modes, saddles: Saddles, learned: tuple[int, ...], most: float = 300.0) -> float | None:
    """By how many decades the initial weights must shrink for the plateau of this saddle to be seen, to a tenth; None beyond `most`."""
    rank = started(modes)
    logistic = Logistic.of(modes, saddles.height(tuple(range(rank)))).of_first(rank)

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
        t,
        logistic.loss(t),
        logistic.speed(t),
        lambda i: saddles.of_shares(logistic.share(t[i])),
        logistic.crossing,
        saddles,
        rest,
    )


def _followed(name: str, reduced: Reduced, lines: Lines, modes: Modes, others: Beside, saddles: Saddles) -> Answer:
    assert reduced.state.size < lines.whole_size, "a reduced motion is smaller than the network"
    rest = resting(modes, started(modes))
    floor = saddles.height(rest)
    steps = min(MOST_STEPS, int(MOST_WORK / reduced.state.size))
    curve = curve_of(reduced, rest=floor, above=saddles.above(rest), most_steps=steps)
    seen = seen_on(
        curve.t,
        curve.loss,
        curve.speed,
        lambda i: saddles.at(reduced, curve.states[i]),
        curve.crossing,
        saddles,
        floor,
    )
    h = reduced.learning_rate or 0.0
    first = seen[0].t_end if seen and seen[0].t_end is not None else 0.0
    errors = [of_reduction(one, name, first, h, lines, modes, others, saddles) for one in seen]
    reason = f"reduced dynamics of the {name} directions: {reduced.state.shape[1]} combinations of units" + (
        ", with the modified equation of gradient descent" if h else ""
    )
    cost = Cost(reduced.state.size, curve.path.evaluations, lines.whole_size)
    status: Status = "theorem" if name == "every" and not h else "asymptotic"
    return Answer(seen, errors, rest, status, "reduced ODE", cost, reason, curve.path.cut)
