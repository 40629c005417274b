r"""When the plateau will end, from what the layers have gained while the loss still shows nothing; or why that cannot be said.

**The exit** is the first step at which the loss has fallen by `FALL`, a tenth, of the plateau's height: it can be seen in any log, whatever is learned next.

**The estimate.** The gain S of squared norm, common to the layers (`law.py`), is fitted with $A_l = \alpha\, \sigma_l(0)^2$, $\sigma_l$ the largest singular value at the
start; for the smallest layer times a fraction, 0 for weights that know nothing of the task. Unknown are the rate, $\alpha$, the fraction, over which part of the past to
fit, and how far the loss falls to the next plateau: each combination is weighted by how well it fits and by the spread of $\alpha$ over training runs;
the interval is the spread of the exits that they give, widened by `MODEL_ERROR`. The level is no guess: while f is small, $\dot S$ is twice the fall of the loss (Euler's identity),
so the exit is where $\dot S$ reaches twice `FALL` of the height. Time is the sum of learning rates; momentum divides it by (1 - momentum), and later steps are taken at the rate of now.
That identity is also what the forecast is held against (`consistency.py`): where the loss has fallen otherwise than the gains say, something else moves it.

**Status.** "law": the gains of the layers agree, as theory says of homogeneous networks under gradient descent. "heuristic": norms or learning rate were not seen, and the law is read off the
probe's variation, $q^{-(r-2)/r}$. "over": the loss has left the plateau. "abstains": with the reason.

The constants were set on fully connected networks of 2 to 5 layers on scikit-learn digits under SGD and momentum, and on nothing else.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .activations import ACTIVATIONS
from .consistency import Falls, falls, loss_scale
from .hypotheses import COVERAGE, INDEPENDENT, LEAST_GROWTH, LEAST_SNAPSHOTS, Abstention, hypotheses, quantiles
from .law import unsaturated
from .recording import Recording

#: The loss has left the plateau when it has fallen by this part of its height.
FALL = 0.1
#: Drops to the next plateau, as parts of the height, that are thought equally likely.
DROPS = (0.2, 0.35, 0.6)
#: Agreement of gains.
AGREEMENT = 1.6
#: Growth of a weight within the memory of momentum, beta / (1 - beta) steps, above which velocities do not follow gradients and the clock of the law is none.
MOST_INERTIA = 1.0
#: Steps to the end below which the law says "now": the loss would show it.
SOONEST = 0.5
#: The part of a fall that may be owed to something else than the layers' gains, and the squared output at the start, over the height, that is no longer small.
OTHERS, FAR_OUTPUT = 0.5, 0.2
#: Classes that name no rule: optax builds every optimiser as one of these.
UNTOLD = ("gradienttransformation", "gradienttransformationextraargs")


@dataclass(frozen=True)
class Forecast:
    """What can be said at a step about the plateau's end.

    - `step`: the last snapshot that was used; `status`: law | heuristic | over | abstains; `reason`: in words, why.
    - `exit`: the step; `interval`: 80%; both None where it abstains or is over. `confidence` of the interval.
    - `order`: how many layers are small against what will be learned; 2: the wait grows like a logarithm of the scale, r > 2: like its power 2 - r.
    - `layers`: names of the weights that share the gain; `fall`: the part of the height that counts as left.
    - `evidence`: numbers.
    """

    step: int
    status: str
    reason: str
    exit: float | None = None
    interval: tuple[float, float] | None = None
    confidence: float = COVERAGE
    order: int | None = None
    layers: tuple[str, ...] = ()
    fall: float = FALL
    evidence: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "interval": None if self.interval is None else list(self.interval),
            "layers": list(self.layers),
        }

    def __str__(self) -> str:
        if self.exit is None or self.interval is None:
            return f"no forecast at step {self.step}: {self.reason}"
        low, high = self.interval
        return (
            f"the plateau ends at step {self.exit:.0f} ({self.confidence:.0%}: {low:.0f} to {high:.0f}), order {self.order}; "
            f"seen until step {self.step}; {self.reason}"
        )


def forecast(recording: Recording, at: int | None = None, fall: float = FALL) -> Forecast:
    """The end of the plateau that the run is on at step `at` (default: the last snapshot), from what was known then.

    Never raises for what was recorded: it abstains with a reason.

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
            return Forecast(step, "over", reason, fall=fall)
        if np.any(np.isfinite(seen.weight_norm)) and np.any(np.isfinite(seen.learning_rate)):
            return _from_norms(seen, step, height, fall)
        return _from_variation(seen, step, fall)
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
    if seen.step.size < LEAST_SNAPSHOTS + 2:
        raise Abstention(
            f"only {seen.step.size} snapshots: {LEAST_SNAPSHOTS + 2} are needed (a Watcher with a larger budget takes more)"
        )


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


def _from_norms(seen: Recording, step: int, height: float, fall: float) -> Forecast:
    tau, pace, lag, remark = _clock(seen)
    members, gain, first = common_gain(seen)
    names = tuple(seen.weight_names[i] for i in members)
    sizes = _initial_squares(seen, members, first)
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
    levels = [2 * scale * height * unsaturated(fall - rest / height, drop) for drop in DROPS]
    times, weights, orders, inertia, errors = hypotheses(tau, gain, sizes, levels, lag * pace)
    if np.average(inertia, weights=weights) > MOST_INERTIA:
        raise Abstention(
            f"momentum remembers {lag:.0f} steps, in which weights grow by more than a factor e: velocities do not follow gradients"
        )
    middle, low, high = (t / pace for t in quantiles(times, weights))
    if middle < SOONEST:
        raise Abstention("the law says that the plateau should have ended already, and the loss has not fallen")
    low = max(low, 0.0)
    drift = 0.0 if fell is None else fell.drift * pace * middle
    if drift > OTHERS * fall * height:
        raise Abstention(
            f"the loss falls by something else than what the layers gain (biases, a saturated output): by {drift / height:.2%} of its height until the law ends the plateau"
        )
    order = int(np.round(np.average(orders, weights=weights)))
    if order < 2:
        raise Abstention("fewer than two layers are small against what will be learned: that is a slope, and no saddle")
    now = gain[-1]
    evidence = {
        "gain": float(now),
        "layers": float(len(members)),
        "fit_error": float(errors),
        "remaining_steps": middle,
        "height": height,
        "loss_scale": scale,
        "inertia": float(np.average(inertia, weights=weights)),
        "least_initial_square": float(sizes.min()),
    }
    reason = f"{len(members)} layers share a gain of {now:.3g} in squared norm, as a homogeneous network's do under gradient descent{remark}"
    return Forecast(
        step, "law", reason, step + middle, (step + low, step + high), COVERAGE, order, names, fall, evidence
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


def common_gain(seen: Recording) -> tuple[list[int], NDArray, int]:
    """The weights that share one gain of squared norm, the gain [snapshots], and the snapshot from which it grows.

    Matrices only: a bias is not a factor of the function. The gain is measured from where it was least, where the network was neither for nor against its target.

    **Raises:** `Abstention` if the gains of most layers disagree, or nothing has been gained.
    """
    matrices = [
        i
        for i, shape in enumerate(seen.weight_shapes)
        if len(shape) >= 2 and not seen.frozen[i] and np.all(np.isfinite(seen.weight_norm[:, i]))
    ]
    if len(matrices) < 2:
        raise Abstention(f"{len(matrices)} matrices are trained: a saddle at the origin needs two or more")
    squares = seen.weight_norm[:, matrices] ** 2
    middle = np.median(squares - squares[0], axis=1)
    first = int(np.argmin(middle[: max(2, 3 * len(middle) // 4)]))
    gains = squares - squares[first]
    last = gains[-1]
    middle = float(np.median(last))
    if middle <= 1e-7 * float(np.median(squares[first])):
        lost = "lost" if middle < 0 else "gained"
        raise Abstention(
            f"the layers have {lost} {abs(middle):.2g} in squared norm, nothing that grows towards an exit"
        )
    agree = (last > middle / AGREEMENT) & (last < middle * AGREEMENT)
    if agree.sum() < max(2, int(np.ceil(0.7 * len(matrices)))):
        spread = f"{last.min():.2g} to {last.max():.2g}"
        raise Abstention(
            f"the layers' gains in squared norm disagree ({spread}), while those of a homogeneous network under gradient descent are one"
        )
    members = [i for i, kept in zip(matrices, agree, strict=True) if kept]
    return members, np.median(gains[:, agree], axis=1), first


def _initial_squares(seen: Recording, members: list[int], first: int) -> NDArray:
    """Largest singular values squared where the gain begins; where they were not seen, of a normal matrix of that norm."""
    largest = seen.weight_largest[first, members] ** 2
    for k, i in enumerate(members):
        if not np.isfinite(largest[k]):
            rows, columns = seen.weight_shapes[i][0], int(np.prod(seen.weight_shapes[i][1:]))
            largest[k] = seen.weight_norm[first, i] ** 2 * (rows**-0.5 + columns**-0.5) ** 2
    return np.maximum(largest, 1e-30)


#: Orders that are tried where only the probe's variation was seen, and sizes of it, in the unit of the output, that count as learned.
ORDERS, LEARNED = (2, 3, 4, 5), (0.1, 0.2, 0.4)


def _from_variation(seen: Recording, step: int, fall: float) -> Forecast:
    """The plain law on q, where norms or learning rates were not seen: every order, weighted by its fit, and a level that is only guessed."""
    known = np.isfinite(seen.variation) & (seen.variation > 0)
    if known.sum() < LEAST_SNAPSHOTS + 2:
        raise Abstention(
            "neither the layers' norms and learning rate nor the probe's variation was seen: a loss alone does not show its end"
        )
    s, q = seen.step[known].astype(float), seen.variation[known]
    times: list[float] = []
    logs: list[float] = []
    orders: list[float] = []
    least_error = np.inf
    for window in (0.4, 0.6):
        chosen = s >= s[0] + window * (s[-1] - s[0])
        if chosen.sum() < LEAST_SNAPSHOTS or q[-1] < LEAST_GROWTH * q[chosen][0]:
            continue
        for r in ORDERS:
            power = -(r - 2) / r
            y = np.log(q[chosen]) if r == 2 else q[chosen] ** power
            slope, at_zero = np.polyfit(s[chosen], y, 1)
            error = float(np.mean(((y - slope * s[chosen] - at_zero) / np.ptp(y)) ** 2)) if np.ptp(y) > 0 else np.inf
            least_error = min(least_error, error)
            for learned in LEARNED:
                level = np.log(learned) if r == 2 else learned**power
                times.append((level - at_zero) / slope)
                logs.append(error)
                orders.append(r)
    if not times:
        raise Abstention(f"too little has been seen: the probe's variation has not grown by a factor {LEAST_GROWTH:g}")
    weights = np.exp(-0.5 * INDEPENDENT * np.array(logs) / (least_error + 1e-4))
    middle, low, high = quantiles(np.array(times) - step, weights)
    if middle < SOONEST:
        raise Abstention("the law says that the plateau should have ended already, and it has not")
    low = max(low, 0.0)
    order = int(np.round(np.average(orders, weights=weights)))
    reason = "read off the probe's variation alone: norms of weights or the learning rate were not seen"
    evidence = {"variation": float(q[-1]), "fit_error": float(np.sqrt(least_error))}
    return Forecast(
        step, "heuristic", reason, step + middle, (step + low, step + high), COVERAGE, order, (), fall, evidence
    )
