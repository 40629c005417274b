r"""The flow of units on rays after their early phase, with the few kinks that are still to come.

Where several lines of rays share units, learning one line turns the readouts of its units away from the others (what is parallel in the space of units is
unlearned), and a unit whose pull on a ray has changed sign leaves that ray. Then the units are gathered anew. Kinks that fall into one short window are taken together, each with
the weights that it would have had.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..curve import Curve, stepped, times_within
from .groups import Rays
from .masked import Masked, Units

#: Kinks within this time, in units of the inverse of the fastest rate, are taken together, for up to so many units; for more of them the time is longer in proportion, because
#: each weighs less. Each kink is corrected to second order in it.
WINDOW, FEW = 0.05, 200
#: In wide networks some unit leaves a ray at almost every moment. Units are then gathered anew after this many windows of so few, not at each leave: it moves ends by 1e-7 to 3e-7 of t (measured, 3 000
#: and 10 000 units; twice as many: 4e-7 to 2e-6).
STRIDE = 2.0
#: Places in a step at which units are asked whether they have left a ray, and at which the first that has is looked for.
INSIDE, PLACES = 4, 16
RTOL, COARSE_RTOL = 1e-10, 1e-6
#: The absolute tolerance is the relative one times the size of the initial weights, times this.
ATOL = 0.1
#: A coarse run takes kinks together for this many times longer.
COARSE_WINDOW = 10.0


@dataclass(frozen=True)
class Late:
    """The reduced run: `curve`; `residual_at` a time [rays, readouts]; `units_at` a time; `kinks`: how often a unit left a ray on
    the way; `end`: the loss at which no unit has anything left to learn."""

    curve: Curve
    residual_at: Callable[[float], np.ndarray]
    units_at: Callable[[float], Units]
    kinks: int
    end: float


def evolve(
    rays: Rays,
    units: Units,
    joining: Units,
    join: float,
    *,
    done: float,
    t_max: float,
    steps: int,
    learning_rate: float = 0.0,
    coarse: bool = False,
) -> Late:
    """Follows the reduced flow from t = 0.

    **Arguments:**

    - `units`: effective weights at t = 0, without kinks up to `join`.
    - `joining`: what is added to them at `join`, and where units are active from then on: weights are true ones after it.
    - `done`: the run stops this far above the loss at which no unit has anything left to learn; `t_max`, `steps`: or there.
    - `learning_rate`: of gradient descent, whose steps follow the flow of a slightly changed field (see `stepped`); 0 for gradient flow.
    - `coarse`: to a few digits, where only the form of the curve matters.
    """
    from scipy.integrate import DOP853

    fastest = max(float(np.linalg.norm(rays.pull, 2)), 1e-300)
    size = float(np.sqrt(np.mean(units.v**2)))
    rtol = COARSE_RTOL if coarse else RTOL
    atol = ATOL * rtol * (size if size > 0 else 1.0)
    crowd = max(1.0, len(units.v) / FEW)
    window = WINDOW / fastest * crowd * (COARSE_WINDOW if coarse else 1.0)
    stride = WINDOW / fastest * min(crowd, STRIDE)
    masked = Masked.of(rays, units)
    starts, pieces = [0.0], []
    early = True
    t, y, evaluations, kinks, largest = 0.0, masked.start, 0, 0, masked.state_size
    finished, solver, end = False, None, _end(rays, joining.active)
    for _ in range(steps):
        finished = not early and masked.loss(y) <= end + done
        if finished or t >= t_max or (y.size == 0 and not early):
            break
        if y.size == 0 or join <= 0.0:  # nothing moves before the others join
            dense, t_new = (lambda _, still=y: still), join
        else:
            if solver is None:
                bound = join if early else t_max
                first = min(stride, bound - t)
                field = stepped(masked.velocity, learning_rate)
                solver = DOP853(lambda _, y, f=field: f(y), t, y, bound, rtol=rtol, atol=atol, first_step=first)
            solver.step()
            if solver.status == "failed":
                break
            dense, t_new = solver.dense_output(), float(solver.t)
        leaving = np.zeros(masked.units.active.shape, bool)
        if not early:
            # also within the step: what was below 0 and would come back has left
            for place in np.linspace(t, t_new, INSIDE + 1)[1:]:
                leaving = masked.units.active & (masked.units_at(np.asarray(dense(place))).z < 0)
                if np.any(leaving):
                    if place - t > window:
                        place = min(float(place), _first_leave(masked, dense, t, float(place), leaving) + window)
                    t_new = min(max(float(place), t + stride if crowd > 1.0 else t), t_new)
                    break
        pieces.append((masked, dense))
        starts.append(t_new)
        t, y = t_new, np.asarray(dense(t_new))
        if np.any(leaving) or (early and t >= join):
            now = masked.units_at(y)
            if early:
                units, early = Units(joining.active, now.z + joining.z, now.v + joining.v), False
            else:
                units, left = _without_left(rays, masked, y, now, masked.units.active & (now.z < 0))
                kinks += left
            evaluations += 0 if solver is None else solver.nfev
            masked, end = Masked.of(rays, units), _end(rays, units.active)
            largest = max(largest, masked.state_size)
            y, solver = masked.start, None
    evaluations += 0 if solver is None else solver.nfev
    edges = np.array(starts[1:])

    def at(time: float) -> tuple[Masked, np.ndarray]:
        if not pieces:
            return masked, masked.start
        reduced, dense = pieces[min(int(np.searchsorted(edges, time)), len(pieces) - 1)]
        return reduced, np.asarray(dense(time))

    grid = times_within(np.array(starts)) if pieces else np.array([0.0])
    loss, speed = np.zeros(grid.size), np.zeros(grid.size)
    for i, time in enumerate(grid):
        reduced, state = at(time)
        loss[i], speed[i] = reduced.loss(state), np.linalg.norm(reduced.velocity(state))

    def loss_at(time: float) -> float:
        reduced, state = at(time)
        return reduced.loss(state)

    def residual_at(time: float) -> np.ndarray:
        reduced, state = at(time)
        return reduced.residual(state)

    def units_then(time: float) -> Units:
        reduced, state = at(time)
        return reduced.units_at(state)

    curve = Curve(grid, loss, speed, loss_at, evaluations, largest, finished)
    return Late(curve, residual_at, units_then, kinks, end)


def _end(rays: Rays, active: np.ndarray) -> float:
    return rays.irreducible + float(np.sum(rays.losses[~np.any(active, axis=0)]))


def _first_leave(masked: Masked, dense, start: float, end: float, leaving: np.ndarray) -> float:
    places = np.linspace(start, end, PLACES + 1)
    for before, here in pairwise(places):
        if np.any(masked.units_at(np.asarray(dense(here))).z[leaving] < 0):
            return float(before)
    return float(end)


def _without_left(rays: Rays, masked: Masked, y: np.ndarray, now: Units, left: np.ndarray) -> tuple[Units, int]:
    r"""The units without the rays they have left.

    Since its kink, $\delta = z / z'$ ago, a unit's readout has moved by $\int z\, r = \frac12 z \delta r$ too far.
    """
    z, v = now.z.copy(), now.v.copy()
    residual = rays.moment[:, None] * masked.residual(y)
    velocity = v @ residual.T
    with np.errstate(divide="ignore", invalid="ignore"):
        since = np.where(left & (velocity < 0), z / velocity, 0.0)
    v -= np.where(left, 0.5 * z * since, 0.0) @ residual
    active = masked.units.active & ~left
    return Units(active, np.where(active, z, 0.0), v), int(np.sum(left))
