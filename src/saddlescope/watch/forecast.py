r"""When the plateau will end, from what the layers have gained while the loss still shows nothing; or why that cannot be said.

**The exit** is the first step at which the loss has fallen by `FALL`, a tenth, of the plateau's height: it can be seen in any log, whatever is learned next.

**The estimate.** The gain S of squared norm, common to the layers (`law.py`), is fitted with $A_l = \alpha\, \sigma_l(0)^2$, $\sigma_l$ the largest singular value at the
start; for the smallest layer times a fraction, 0 for weights that know nothing of the task. Unknown are the rate, $\alpha$, the fraction, over which part of the past to
fit, and how far the loss falls to the next plateau: each combination is weighted by how well it fits and by the spread of $\alpha$ over training runs;
the interval is the spread of the exits that they give, widened by `MODEL_ERROR`. The level is no guess: while f is small, $\dot S$ is twice the fall of the loss (Euler's identity),
so the exit is where $\dot S$ reaches twice `FALL` of the height. Time is the sum of learning rates; momentum divides it by (1 - momentum), and later steps are taken at the rate of now.
That identity is also what the forecast is held against (`consistency.py`): where the loss has fallen otherwise than the gains say, something else moves it.

**Status.** "law": the gains of the layers agree, as theory says of homogeneous networks under gradient descent. "heuristic": norms or learning rate were not seen, and the law is read off the
probe's variation, $q^{-(r-2)/r}$; or this is a later plateau, and it is read off the probe's loss (`later.py`). "over": the loss has left the plateau and is on no other. "abstains": with the reason.

The constants were set on fully connected networks of 2 to 5 layers on scikit-learn digits under SGD and momentum, and on nothing else; but for `TURNS` and `OPEN`, set after parity and attention had been seen, and `WIDTH`, which was
fitted on all families of `in-the-wild` that had been seen (and is fitted again without each of them where that one is scored).
"""

import numpy as np
from numpy.typing import NDArray

from .activations import ACTIVATIONS
from .by_variation import ByVariation, from_variation
from .consistency import Falls, falls, loss_scale
from .foretold import FALL, Forecast, decided
from .gains import common_gain, initial_squares
from .hypotheses import COVERAGE, LEAST_SNAPSHOTS, WIDTH, Abstention, hypotheses, quantiles
from .later import Later, later
from .law import unsaturated
from .recording import Recording
from .turning import TURNS, Turning, turning

#: Drops to the next plateau, as parts of the height, that are thought equally likely.
DROPS = (0.2, 0.35, 0.6)
#: Growth of a weight within the memory of momentum, beta / (1 - beta) steps, above which velocities do not follow gradients and the clock of the law is none.
MOST_INERTIA = 1.0
#: Steps to the end below which the law says "now": the loss would show it.
SOONEST = 0.5
#: The part of a fall that may be owed to something else than the layers' gains, and the squared output at the start, over the height, that is no longer small.
OTHERS, FAR_OUTPUT = 0.5, 0.2
#: Where units still turn and the laws' 80 % interval of the plateau's length spans more than this factor, there is no forecast.
OPEN = 1.7
#: Classes that name no rule: optax builds every optimiser as one of these.
UNTOLD = ("gradienttransformation", "gradienttransformationextraargs")


def forecast(recording: Recording, at: int | None = None, fall: float = FALL, width: float = WIDTH) -> Forecast:
    """The end of the plateau that the run is on at step `at` (default: the last snapshot), from what was known then.

    Never raises for what was recorded: it abstains with a reason. `width`: of the interval, see `hypotheses.WIDTH`.

    **Raises:** `ValueError` unless 0 < `fall` < the least of `DROPS`.
    """
    if not 0 < fall < min(DROPS):
        raise ValueError(f"forecast: `fall` must be between 0 and {min(DROPS)}, found {fall}.")
    seen = recording if at is None else recording.until(int(at))
    step = int(seen.step[-1]) if seen.step.size else 0
    try:
        _outside(seen)
        height, now = _heights(seen)
        if now is not None and now < (1 - fall) * height:
            reason = f"the loss has fallen from {height:.4g} to {now:.4g}, by more than {fall:.0%}"
            return _later(seen, step, fall, reason)
        if np.any(np.isfinite(seen.weight_norm)) and np.any(np.isfinite(seen.learning_rate)):
            return _from_norms(seen, step, height, fall, width)
        return _heuristic(seen, step, fall, width)
    except Abstention as why:
        return Forecast(step, "abstains", str(why), fall=fall)


def _outside(seen: Recording) -> None:
    """What the law does not hold of, from facts."""
    facts = seen.facts
    optimiser = facts.get("optimiser") or facts.get("optimiser_class")
    if optimiser is not None and str(optimiser).lower() not in ("sgd", *UNTOLD):
        raise Abstention(f"the law is one of gradient descent, and the optimiser is {optimiser}")
    rates = facts.get("learning_rates") or [0.0]
    if max(rates) > min(rates) * (1 + 1e-9):
        raise Abstention(
            f"groups of weights have learning rates of their own, {min(rates):.3g} to {max(rates):.3g}: there is no one clock"
        )
    if facts.get("normalised"):
        raise Abstention("layers are normalised, so that their norms do not say how large the function is")
    if facts.get("residual"):
        raise Abstention("a residual stream passes by the layers: the function is not homogeneous in them")
    for name in facts.get("activations") or ():
        known = ACTIVATIONS.get(name)
        if name == "pow" or (known is not None and known.facts.order != 1):
            raise Abstention(
                f"the law is of units that are linear near 0, and {name!r} is not: its layers gain unlike parts"
            )
    if not seen.step.size:
        raise Abstention(
            "no snapshot: losses alone do not show when a plateau ends (a Watcher beside the loop sees more)"
        )
    if seen.step.size < LEAST_SNAPSHOTS + 2:
        # only of what a Watcher wrote its budget is the cause; a folder or a table holds what it holds
        more = " (a Watcher with a larger budget takes more)" if facts.get("budget") is not None else ""
        raise Abstention(f"only {seen.step.size} snapshots: {LEAST_SNAPSHOTS + 2} are needed{more}")


def _heights(seen: Recording) -> tuple[float, float | None]:
    """The plateau's height, and the loss now."""
    probe = seen.probe_loss[np.isfinite(seen.probe_loss)]
    if probe.size >= 3:
        return float(probe[0]), float(probe[-1])
    loss = seen.loss[np.isfinite(seen.loss)]
    if loss.size < 10:
        raise Abstention("no loss was seen, so that the level at which the plateau ends is not known")
    few = max(5, min(loss.size // 10, 200))
    return float(np.median(loss[:few])), float(np.median(loss[-few:]))


def _clock(seen: Recording) -> tuple[NDArray, float, float, str]:
    """Time of each snapshot as the sum of learning rates, with momentum; time per step from now on; steps by which motion lags behind the loss; a remark."""
    rate = seen.learning_rate.copy()
    known = np.isfinite(rate)
    rate = np.interp(seen.step, seen.step[known], rate[known])
    momentum = seen.facts.get("momentum")
    speed_up = 1 / (1 - momentum) if momentum else 1.0
    lag = speed_up - 1  # momentum averages gradients that are so many steps old
    age = (seen.step - seen.step[0]).astype(float)
    # steps of full velocity: the velocity starts from 0 and needs as many steps to build up
    moved = age - (lag * (1 - momentum**age) if momentum else 0.0)
    tau = np.concatenate([[0.0], np.cumsum(rate[:-1] * np.diff(moved))]) * speed_up
    if rate[-1] <= 0:
        raise Abstention("the learning rate is 0 now: nothing moves")
    changed = "" if np.ptp(rate) <= 1e-9 * rate[-1] else "; the learning rate changed, and is taken to stay as it is"
    return tau, float(rate[-1] * speed_up), lag, changed


def _from_norms(seen: Recording, step: int, height: float, fall: float, width: float) -> Forecast:
    tau, pace, lag, remark = _clock(seen)
    members, gain, first = common_gain(seen)
    names = tuple(seen.weight_names[i] for i in members)
    sizes = initial_squares(seen, members, first)
    if height <= 0:
        raise Abstention(
            f"the plateau's height is {height:.3g}: a tenth of it is no level that a loss above 0 could fall by"
        )
    # gradients are those of the loss that is handed over, the height is the probe's
    scale = loss_scale(seen)
    if scale != 1:
        remark += f"; the loss handed over is {scale:.3g} times the probe's, and its slope is taken to be so too"
    fell = falls(seen, tau, gain, first, scale)
    _same_fall(seen, fell, height)
    rest = 0.0 if fell is None else fell.rest(height)
    if rest > OTHERS * fall * height:
        raise Abstention(
            f"the loss has fallen by {rest / height:.2%} of its height by something else than what the layers gain (biases, a saturated output)"
        )
    tau, gain = tau[first:] - tau[first], gain[first:]
    turns = turning(tau, gain, seen.variation[first:], scale * (seen.facts.get("slope") or np.nan))
    levels = [2 * scale * height * unsaturated(fall - rest / height, drop) for drop in DROPS]
    times, weights, orders, inertia, errors = hypotheses(tau, gain, sizes, levels, lag * pace, turns)
    if np.average(inertia, weights=weights) > MOST_INERTIA:
        raise Abstention(
            f"momentum remembers {lag:.0f} steps, in which weights grow by more than a factor e: velocities do not follow gradients"
        )
    middle, low, high = (t / pace for t in quantiles(times, weights, width))
    if middle < SOONEST:
        raise Abstention("the law says that the plateau should have ended already, and the loss has not fallen")
    low = max(low, 0.0)
    _known(tau[-1], times, weights, turns)
    drift = 0.0 if fell is None else fell.drift * pace * middle
    if drift > OTHERS * fall * height:
        raise Abstention(
            f"the loss falls by something else than what the layers gain (biases, a saturated output): by {drift / height:.2%} of its height until the law ends the plateau"
        )
    if np.round(np.average(orders, weights=weights)) < 2:
        raise Abstention("fewer than two layers are small against what will be learned: that is a slope, and no saddle")
    order, among = decided(orders, weights)
    now = gain[-1]
    evidence = {
        "gain": float(now),
        "layers": float(len(members)),
        "fit_error": float(errors),
        "remaining_steps": middle,
        "height": height,
        "loss_scale": scale,
        "turning": turns.drift,
        "inertia": float(np.average(inertia, weights=weights)),
        "least_initial_square": float(sizes.min()),
    }
    if np.isfinite(turns.aligned):
        evidence["aligned"] = turns.aligned
    reason = f"{len(members)} layers share a gain of {now:.3g} in squared norm, as a homogeneous network's do under gradient descent{remark}"
    return Forecast(
        step, "law", reason, step + middle, (step + low, step + high), COVERAGE, order, names, fall, evidence, among
    )


def _known(past: float, times: NDArray, weights: NDArray, turns: Turning) -> None:
    """Holds how far the laws differ against a bound, where units still turn.

    **Raises:** `Abstention`.
    """
    _, low, high = quantiles(times, weights, 1.0)
    span = (past + high) / (past + max(low, 0.0))
    if turns.drift > TURNS and span > OPEN:
        aligned = f", {turns.aligned:.0%} aligned now" if np.isfinite(turns.aligned) else ""
        raise Abstention(
            f"units still turn towards the task (what they learn for it grows by the gain to the power {turns.drift:.2f}{aligned}), and when they are done "
            f"is open: laws that fit what was seen differ by a factor {span:.1f} in the plateau's length"
        )


def _later(seen: Recording, step: int, fall: float, over: str) -> Forecast:
    """Behind the first exit: on which plateau the run is, and its end where something is seen to grow."""
    told = later(seen, [unsaturated(fall, drop) for drop in DROPS], 1.0)
    if told is None:
        return Forecast(step, "over", over, fall=fall)
    reason = (
        f"on the plateau at {told.height:.4g} since step {told.start}, the probe's loss has fallen by {told.evidence['grown']:.1%} of it by something that grows; "
        "weights were not asked, as theirs are those of what was learned before"
    )
    return _without_laws(told, step, reason, fall)


def _heuristic(seen: Recording, step: int, fall: float, width: float) -> Forecast:
    """Without norms or learning rates."""
    told = from_variation(seen, step, width)
    if told.middle < SOONEST:
        raise Abstention("the law says that the plateau should have ended already, and it has not")
    reason = "read off the probe's variation alone: norms of weights or the learning rate were not seen"
    return _without_laws(told, step, reason, fall)


def _without_laws(told: Later | ByVariation, step: int, reason: str, fall: float) -> Forecast:
    """What the probe's loss says alone: one order, and no laws that were weighed."""
    interval = (step + max(told.low, 0.0), step + told.high)
    return Forecast(
        step,
        "heuristic",
        reason,
        step + told.middle,
        interval,
        COVERAGE,
        told.order,
        (),
        fall,
        told.evidence,
        (told.order,),
    )


def _same_fall(seen: Recording, fell: Falls | None, height: float) -> None:
    """Holds what was seen against what the gains imply: f near 0 at the start, and a fall that is there.

    **Raises:** `Abstention`.
    """
    output = seen.output[np.isfinite(seen.output)]
    if output.size and output[0] ** 2 > FAR_OUTPUT * height:
        raise Abstention(f"the output starts at {output[0]:.3g}, far from 0: that is no saddle at the origin")
    if fell is not None and fell.too_large(height):
        raise Abstention(
            f"the loss has fallen by {fell.seen / height:.2%} of its height, and what the layers gain says {fell.implied / height:.2%}: "
            "they follow another rule, the output is not small, or the learning rate, the momentum or the loss is another than was told"
        )
