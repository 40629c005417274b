"""A reduced flow followed to its end, and the plateaus of its loss curve by the same rule as those of a run."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: Points of dense output in each accepted step: extremes of the speed are read between steps too.
BETWEEN = 4
#: The rule for a plateau (docs/plateaus.md): least rise of log10(speed) on both sides, and largest speed at t = 0 as a part of the next maximum.
PERSISTENCE, START_RATIO = 0.1, 0.5
#: Least difference of loss to a neighbouring plateau, as a part of the whole drop.
LOSS_DIFFERENCE = 1e-3
#: A plateau is the saddle's if its loss is nearer than this part of the smaller neighbouring drop.
REACH = 0.25


class Curve(NamedTuple):
    """The loss along a reduced flow.

    - `t`, `loss`, `speed` [time]: at accepted steps and between them.
    - `loss_at`: of a time, from the dense output.
    - `evaluations`: of the reduced gradient; `state_size`: the most weights that moved at once.
    - `finished`: whether it came to the loss where it was to stop.
    - `state_at`: of a time, where the whole run has states of one form.
    """

    t: np.ndarray
    loss: np.ndarray
    speed: np.ndarray
    loss_at: Callable[[float], float]
    evaluations: int
    state_size: int
    finished: bool
    state_at: Callable[[float], np.ndarray] | None = None

    def crossing(self, level: float, after: float = 0.0) -> float | None:
        """The first time from `after` on at which the loss falls through `level`; None if it does not."""
        from scipy.optimize import brentq

        below = np.flatnonzero((self.loss < level) & (self.t > after))
        if below.size == 0:
            return None
        i = int(below[0])
        if i == 0 or self.loss[i - 1] < level:
            return float(self.t[i])
        lower, upper = float(self.t[i - 1]), float(self.t[i])

        def excess(t: float) -> float:
            return self.loss_at(t) - level

        if excess(lower) * excess(upper) > 0:  # by rounding, at one of the ends
            return upper
        return float(brentq(excess, lower, upper, xtol=1e-300, rtol=1e-14))


def times_within(ends: np.ndarray) -> np.ndarray:
    """Ends of steps [steps + 1] and points between them."""
    part = np.linspace(0.0, 1.0, BETWEEN, endpoint=False)
    return np.append((ends[:-1, None] + part * np.diff(ends)[:, None]).ravel(), ends[-1])


def stepped(velocity: Callable[[np.ndarray], np.ndarray], learning_rate: float) -> Callable[[np.ndarray], np.ndarray]:
    r"""The field whose flow gradient descent of this learning rate $\eta$ follows: $F - \frac\eta2 F'F$, up to $O(\eta^2)$.

    The derivative along F is taken at a complex step, which is exact to rounding for a polynomial field. Source: Hairer, Lubich & Wanner (2006), IX.7.
    """
    if learning_rate == 0.0:
        return velocity

    def changed(y: np.ndarray) -> np.ndarray:
        first = velocity(y)
        largest = float(np.max(np.abs(first), initial=0.0))
        if largest == 0.0:
            return first
        step = 1e-30 / largest
        return first - 0.5 * learning_rate * np.imag(velocity(y + 1j * step * first)) / step

    return changed


def follow(
    velocity: Callable[[np.ndarray], np.ndarray],
    jacobian: Callable[[np.ndarray], np.ndarray] | None,
    loss_of: Callable[[np.ndarray], float],
    start: np.ndarray,
    *,
    until_loss: float,
    t_max: float,
    rtol: float,
    atol: float,
    speed_of: Callable[[np.ndarray], float] | None = None,
    method: str = "LSODA",
) -> Curve:
    """The flow y' = velocity(y) until the loss is at `until_loss`, or t at `t_max`, by an implicit method where plateaus are long against 1 / curvature.

    `speed_of`: of a state, where the state moves otherwise than the weights. `method`: SciPy's name of another one, such as an explicit one where states are too large for matrices.
    """
    from scipy.integrate import solve_ivp

    def arrived(t, y):
        return loss_of(y) - until_loss

    arrived.terminal, arrived.direction = True, -1.0
    options = {} if jacobian is None else {"jac": lambda t, y: jacobian(y)}
    run = solve_ivp(
        lambda t, y: velocity(y),
        (0.0, t_max),
        start,
        method,
        rtol=rtol,
        atol=atol,
        dense_output=True,
        events=arrived,
        **options,
    )
    t = times_within(run.t)
    states = run.sol(t).T
    loss = np.array([loss_of(y) for y in states])
    speed = np.array([speed_of(y) if speed_of else np.linalg.norm(velocity(y)) for y in states])
    evaluations = int(run.nfev) + int(run.njev) * start.size
    return Curve(t, loss, speed, lambda at: loss_of(run.sol(at)), evaluations, start.size, run.status == 1, run.sol)


def heights_of(losses: list[float], saddles: list[float], final: float) -> tuple[list[float], list[bool]]:
    """Heights as a run would give them: a saddle's loss where the curve comes near to it, else the curve's own; and which are the curve's."""
    bounds = [np.inf, *saddles, final]
    odd = [False] * len(losses)
    for i in range(1, len(losses)):
        smaller = min(bounds[i] - bounds[i + 1], bounds[i + 1] - bounds[i + 2])
        odd[i] = not abs(losses[i] - saddles[i]) <= REACH * smaller
    return [loss if o else saddle for loss, saddle, o in zip(losses, saddles, odd, strict=True)], odd


class Seen(NamedTuple):
    """A plateau of a curve: its position there (0: the start), and its persistence in decades."""

    position: int
    persistence: float


def seen(curve: Curve, speed: float, last: float) -> list[Seen]:
    """The plateaus of a curve by the rule for those of a run, without its care for noise.

    Minima of log10(speed) that persist and whose loss is neither the end's nor their neighbour's; the start stands for those that share its loss.

    **Arguments:** `speed`: the true one at t = 0; `last`: the loss at which the run will end.
    """
    log_speed = np.log10(np.maximum(np.append(speed, curve.speed[1:]), 1e-300))
    least = LOSS_DIFFERENCE * (float(curve.loss[0]) - last)

    def same(i: int, loss: float) -> bool:
        return abs(float(curve.loss[i]) - loss) < least

    groups: list[list[tuple[int, float, float]]] = []
    lowest = np.inf
    for i, left, right in _minima(log_speed):
        persists = right >= PERSISTENCE and (left >= PERSISTENCE or log_speed[i] < lowest)
        lowest = min(lowest, float(log_speed[i]))
        if not persists or same(i, last):
            continue
        if groups and same(i, float(curve.loss[_slowest(groups[-1], log_speed)[0]])):
            groups[-1].append((i, left, right))
        else:
            groups.append([(i, left, right)])
    found = []
    for number, group in enumerate(groups):
        until = _slowest(groups[number + 1], log_speed)[0] if number + 1 < len(groups) else log_speed.size
        i, left, right = _slowest(group, log_speed)
        if (
            number == 0
            and same(0, float(curve.loss[i]))
            and log_speed[0] <= np.max(log_speed[i:until]) + np.log10(START_RATIO)
        ):
            found.append(Seen(0, right))
            continue
        inner = [minimum for minimum in group if minimum[0] > 0]
        if inner:
            i, left, right = _slowest(inner, log_speed)
            if min(left, right) >= PERSISTENCE:
                found.append(Seen(i, min(left, right)))
    return found


def _slowest(group: list[tuple[int, float, float]], log_speed: np.ndarray) -> tuple[int, float, float]:
    return min(group, key=lambda minimum: log_speed[minimum[0]])


def _minima(values: np.ndarray) -> list[tuple[int, float, float]]:
    """Position of every local minimum but the last point, and the rise on its left and right before a lower point is reached."""
    padded = np.concatenate([[np.inf], values, [-np.inf]])
    found = []
    for i in np.flatnonzero((padded[1:-1] < padded[:-2]) & (padded[1:-1] <= padded[2:])):
        lower = np.flatnonzero(values < values[i])
        before, after = lower[lower < i], lower[lower > i]
        left = np.max(values[(before[-1] if before.size else 0) : i + 1]) - values[i]
        right = np.max(values[i : (after[0] if after.size else values.size)]) - values[i]
        found.append((int(i), float(left), float(right)))
    return found
