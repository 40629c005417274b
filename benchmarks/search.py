"""The setting of each contender at which it is exactly as good as asked: the cheapest that achieves an error of the stage ends.

Comparing at equal tolerance would compare promises. Every contender goes down its own ladder of tolerances, or learning rates, and the cheapest rung
that is exact enough is what gets timed.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
from contenders import AbstractContender, Reading, error_of
from reference import Reference

#: Part of the run that is tried first where a solve cannot be interrupted.
PROBE = 0.05
#: Seconds of gradient descent that are timed to know what one step costs.
PROBE_SECONDS = 0.5
#: A ladder is given up when its rungs have taken this many budgets together.
LADDER_BUDGETS = 2.0
#: Learning rates are lowered at least by the first and at most by the second factor at once.
LOWER = (0.6, 1 / 16)


@dataclass(frozen=True)
class Rung:
    """One setting of one contender.

    - `error`: largest relative error of a stage end; None where it was not run to the end.
    - `seconds`: of one warm solve, or extrapolated where `how` says so.
    """

    setting: float
    error: float | None
    seconds: float
    gradients: int | None
    hessians: int | None
    steps: int | None
    how: str | None = None


def cheapest(rungs: list[Rung], target: float) -> Rung | None:
    """The fastest rung that was run to the end and achieves the target; None if none does."""
    good = [r for r in rungs if r.error is not None and r.error <= target]
    return min(good, key=lambda r: r.seconds, default=None)


def timed(solve, setting: float, until: float, levels: np.ndarray, deadline: float = np.inf) -> tuple[float, Reading]:
    began = time.perf_counter()
    reading = solve(setting, until, levels, deadline)
    return time.perf_counter() - began, reading


def patient(contender: AbstractContender, solve, setting: float, ref: Reference, budget: float) -> Rung:
    """One warm solve; where it would take longer than `budget` seconds, its first part and what that says of the whole."""
    if not contender.interruptible:
        seconds, reading = timed(solve, setting, PROBE * ref.until, ref.levels)
        if seconds > budget:
            return _extrapolated(setting, seconds, reading, PROBE)
    seconds, reading = timed(solve, setting, ref.until, ref.levels, budget)
    if reading.reached < 0.999 and seconds >= budget:
        return _extrapolated(setting, seconds, reading, reading.reached)
    error = error_of(reading.ends, ref.ends)
    return Rung(setting, error, seconds, reading.gradients, reading.hessians, reading.steps)


def _extrapolated(setting: float, seconds: float, reading: Reading, part: float) -> Rung:
    part = max(part, 1e-9)
    counts = [None if c is None else round(c / part) for c in (reading.gradients, reading.hessians, reading.steps)]
    return Rung(setting, None, seconds / part, *counts, f"extrapolated from the first {part:.2g} of the time")


def climb(contender: AbstractContender, problem, form: str, ref: Reference, budget: float, finest: float) -> list[Rung]:
    """The ladder of tolerances from the loosest until the error is below `finest`, or a rung or a few together are over the budget."""
    solve, rungs = contender.solver(problem, form), []
    solve(contender.settings[0], 1e-3 * ref.until, ref.levels, budget)  # compiles
    for setting in contender.settings:
        if sum(r.seconds for r in rungs) > LADDER_BUDGETS * budget:
            how = "a lower bound: the finest tolerance there was time for, not exact enough"
            rungs.append(replace(rungs[-1], error=None, how=how))
            break
        rungs.append(patient(contender, solve, setting, ref, budget))
        error = rungs[-1].error
        if error is None or error <= finest:
            break
    return rungs


def descend(solve, ref: Reference, targets: tuple[float, ...], budget: float) -> dict[float, Rung]:
    """The learning rate of gradient descent for each target, the loosest first.

    Its error is proportional to the rate once that is small, so each trial says where the next should be; where the rate that is needed would
    take too long, that law gives rate and cost.
    """
    rate, rung = 1.0, None
    solve(rate, 2 * rate, ref.levels)  # compiles
    while rung is None or not np.isfinite(rung.error):
        rung = _whole(solve, rate, ref)
        rate /= 2
        if rate < 1e-12:
            raise RuntimeError("No learning rate down to 1e-12 finds all stage ends.")
    found = {}
    for target in sorted(targets, reverse=True):
        while rung.error > target:
            rate = rung.setting * np.clip(0.9 * target / rung.error, LOWER[1], LOWER[0])
            if ref.ends[-1] / rate * _seconds_a_step(solve, rate, ref) > budget:
                break
            rung = _whole(solve, rate, ref)
        if rung.error <= target:
            found[target] = rung
            continue
        rate = rung.setting * target / rung.error
        law = f"learning rate by proportion from an error of {rung.error:.1e} at {rung.setting:.1e}"
        found[target] = of_steps(solve, rate, ref, law)
    return found


def of_steps(solve, rate: float, ref: Reference, law: str | None = None) -> Rung:
    """Gradient descent to the last stage end, from what one step costs: steps are all alike."""
    steps = int(np.ceil(ref.ends[-1] / rate))
    how = "extrapolated: number of steps x time of one" + (f"; {law}" if law else "")
    return Rung(rate, None, steps * _seconds_a_step(solve, rate, ref), steps, 0, steps, how)


def _whole(solve, rate: float, ref: Reference) -> Rung:
    seconds, reading = timed(solve, rate, ref.until, ref.levels)
    return Rung(rate, error_of(reading.ends, ref.ends), seconds, reading.gradients, 0, reading.steps)


def _seconds_a_step(solve, rate: float, ref: Reference) -> float:
    seconds, reading = timed(solve, rate, ref.until, ref.levels, PROBE_SECONDS)
    return seconds / reading.steps


def at_setting(contender: AbstractContender, problem, form: str, rung: Rung, ref: Reference, budget: float) -> Rung:
    """The rung of another form of the data, or library, at a setting found before: errors are the same to rounding."""
    solve = contender.solver(problem, form)
    if contender.descends:
        solve(rung.setting, 2 * rung.setting, ref.levels)  # compiles
        law = rung.how.partition("; ")[2] if rung.how else None
        if rung.how or ref.ends[-1] / rung.setting * _seconds_a_step(solve, rung.setting, ref) > budget:
            return of_steps(solve, rung.setting, ref, law)
        return _whole(solve, rung.setting, ref)
    solve(rung.setting, 1e-3 * ref.until, ref.levels, budget)  # compiles
    return patient(contender, solve, rung.setting, ref, budget)
