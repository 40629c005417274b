"""The setting of each contender at which it is exactly as good as asked: the cheapest that achieves an error of the stage ends.

Comparing at equal tolerance would compare promises. Every contender goes down its own ladder of tolerances, or learning rates, and the cheapest rung
that is exact enough is what gets timed.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from contenders import AbstractContender, Reading, Solve, error_of
from problems import Problem
from yardstick import Reference

#: Part of the run that is tried first where a solve cannot be interrupted.
PROBE = 0.05
#: Part of the run with which everything is compiled before anything is timed.
FIRST_PART = 1e-3
#: Seconds of gradient descent that are timed to know what one step costs.
PROBE_SECONDS = 0.5
#: A ladder is given up when its rungs have taken this many budgets together.
LADDER_BUDGETS = 2.0
#: The search of a learning rate may take this many budgets a trial: the law that replaces it holds only for small errors.
RATE_BUDGETS = 3.0
#: Learning rates are lowered at least by the first and at most by the second factor at once.
LOWER = (0.6, 1 / 16)

GIVEN_UP = "given up"
EXTRAPOLATED = "extrapolated"


@dataclass(frozen=True)
class Rung:
    """One setting of one contender.

    - `error`: largest relative error of a stage end; None where it was not run to the end.
    - `seconds`: of one warm solve. Where `how` starts with "given up", a lower bound: what it had taken by then, as the counts are; where it
        starts with "extrapolated", steps x the time of one.
    """

    setting: float
    error: float | None
    seconds: float
    gradients: int | None
    hessians: int | None
    steps: int
    how: str | None = None


def public(rung: Rung) -> dict:
    """A rung as it stands in results.json, which knows no infinity."""
    found = vars(rung).copy()
    if rung.error is not None and not np.isfinite(rung.error):
        found |= {"error": None, "how": "a stage end was not found"}
    return found


@dataclass
class Bench:
    """One problem with its reference, and the solvers made for it so far, each compiled once.

    - `budget`: seconds that one solve may take.
    """

    problem: Problem
    ref: Reference
    budget: float
    _solvers: dict[tuple[str, str], Solve] = field(default_factory=dict)

    def solver(self, contender: AbstractContender, form: str) -> Solve:
        key = contender.name, form
        if key not in self._solvers:
            solve = contender.solver(self.problem, form)
            setting = FIRST_PART if contender.descends else contender.settings[0]
            until = 2 * setting if contender.descends else FIRST_PART * self.ref.until
            solve(setting, until, self.ref.levels, self.budget)
            self._solvers[key] = solve
        return self._solvers[key]


def cheapest(rungs: list[Rung], target: float) -> Rung | None:
    """The rung of fewest steps that was run to the end and achieves the target; None if none does.

    Steps and not seconds: for one method they are proportional, and the choice does not depend on what else the machine did meanwhile.
    """
    good = [r for r in rungs if r.error is not None and r.error <= target]
    return min(good, key=lambda r: (r.steps, -r.setting), default=None)


def timed(solve: Solve, setting: float, until: float, levels: np.ndarray, deadline: float) -> tuple[float, Reading]:
    began = time.perf_counter()
    reading = solve(setting, until, levels, deadline)
    return time.perf_counter() - began, reading


def patient(bench: Bench, contender: AbstractContender, form: str, setting: float) -> Rung:
    """One warm solve, or what it has taken when it is given up."""
    solve, ref = bench.solver(contender, form), bench.ref
    if not contender.interruptible:
        seconds, reading = timed(solve, setting, PROBE * ref.until, ref.levels, np.inf)
        if seconds > bench.budget:
            return _given_up(setting, seconds, reading, PROBE)
    seconds, reading = timed(solve, setting, ref.until, ref.levels, bench.budget)
    if reading.reached < 0.999 and seconds >= bench.budget:
        return _given_up(setting, seconds, reading, reading.reached)
    error = error_of(reading.ends, ref.ends)
    return Rung(setting, error, seconds, reading.gradients, reading.hessians, reading.steps)


def _given_up(setting: float, seconds: float, reading: Reading, part: float) -> Rung:
    how = f"{GIVEN_UP} after {seconds:.2g} s, at {part:.1%} of the time"
    return Rung(setting, None, seconds, reading.gradients, reading.hessians, reading.steps, how)


def climb(bench: Bench, contender: AbstractContender, form: str, finest: float) -> list[Rung]:
    """The ladder of tolerances from the loosest until the error is below `finest`, or a rung or a few together are over the budget."""
    rungs: list[Rung] = []
    for setting in contender.settings:
        if sum(r.seconds for r in rungs) > LADDER_BUDGETS * bench.budget:
            break
        rungs.append(patient(bench, contender, form, setting))
        error = rungs[-1].error
        if error is None or error <= finest:
            break
    return rungs


def best_bound(rungs: list[Rung], target: float) -> Rung | None:
    """A lower bound for a ladder that ended above the target for want of time: its last rung; None if it ran out of tolerances."""
    last = rungs[-1]
    if last.how is not None:
        return last
    if sum(r.seconds for r in rungs) <= 0 or last.setting <= 1.01e-12:
        return None
    how = f"{GIVEN_UP} at an error of {last.error:.1e}, above {target:g}, for want of time"
    return Rung(last.setting, None, last.seconds, last.gradients, last.hessians, last.steps, how)


def descend(bench: Bench, contender: AbstractContender, form: str, targets: tuple[float, ...]) -> dict[float, Rung]:
    """The learning rate of gradient descent for each target, the loosest first.

    Its error is proportional to the rate once that is small, so each trial says where the next should be; where the rate that is needed would
    take too long, that law gives rate and cost.
    """
    rate, rung = 1.0, None
    while rung is None or not np.isfinite(rung.error):
        rung = _whole(bench, contender, form, rate)
        rate /= 2
        if rate < 1e-12:
            raise RuntimeError("No learning rate down to 1e-12 finds all stage ends.")
    found = {}
    for target in sorted(targets, reverse=True):
        while rung.error > target:
            rate = rung.setting * np.clip(0.9 * target / rung.error, LOWER[1], LOWER[0])
            if _expected(bench, contender, form, rate) > RATE_BUDGETS * bench.budget:
                break
            rung = _whole(bench, contender, form, rate)
        if rung.error <= target:
            found[target] = rung
            continue
        law = f"learning rate by proportion from an error of {rung.error:.1e} at {rung.setting:.1e}"
        found[target] = of_steps(bench, contender, form, rung.setting * target / rung.error, law)
    return found


def of_steps(bench: Bench, contender: AbstractContender, form: str, rate: float, law: str | None = None) -> Rung:
    """Gradient descent to the last stage end, from what one step costs: steps are all alike."""
    steps = int(np.ceil(bench.ref.ends[-1] / rate))
    how = f"{EXTRAPOLATED}: number of steps x time of one" + (f"; {law}" if law else "")
    return Rung(rate, None, _expected(bench, contender, form, rate), steps, 0, steps, how)


def _whole(bench: Bench, contender: AbstractContender, form: str, rate: float) -> Rung:
    seconds, reading = timed(bench.solver(contender, form), rate, bench.ref.until, bench.ref.levels, np.inf)
    return Rung(rate, error_of(reading.ends, bench.ref.ends), seconds, reading.gradients, 0, reading.steps)


def _expected(bench: Bench, contender: AbstractContender, form: str, rate: float) -> float:
    """Seconds of gradient descent to the last stage end, from those of its first steps."""
    seconds, reading = timed(bench.solver(contender, form), rate, bench.ref.until, bench.ref.levels, PROBE_SECONDS)
    return seconds / reading.steps * bench.ref.ends[-1] / rate


def at_setting(bench: Bench, contender: AbstractContender, form: str, rung: Rung) -> Rung:
    """The rung of another form of the data, or library, at a setting found before: errors are the same to rounding."""
    if not contender.descends:
        other = patient(bench, contender, form, rung.setting)
        # what was not exact enough, or not known to be, on one form is not on the other
        return other if rung.how is None or other.how else _marked(other, rung.how)
    law = rung.how.partition("; ")[2] if rung.how else None
    if rung.how or _expected(bench, contender, form, rung.setting) > bench.budget:
        return of_steps(bench, contender, form, rung.setting, law)
    return _whole(bench, contender, form, rung.setting)


def _marked(rung: Rung, how: str) -> Rung:
    return Rung(rung.setting, None, rung.seconds, rung.gradients, rung.hessians, rung.steps, how)
