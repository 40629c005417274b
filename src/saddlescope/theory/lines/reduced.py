r"""The reduced dynamics of linear units: exact equations for as many combinations of units as there are modes.

$\dot Z = A(Z)\,Z$ with $Z = [U; V]$ and $A = \begin{pmatrix}0 & R\\ R^\top & 0\end{pmatrix}$ acts on each column, a unit, alike. So the motion never leaves the span of the rows of
Z in the space of units, whose dimension does not grow with the width, and any basis of that span will do for units (a QR). Two reductions use this:

- *every row*: exact, weights + readouts columns at most;
- *reached rows*: the inputs and readouts that B reaches, with every combination of units in which they lie, and there the rows beside them, gathered (`beside`), unless these are slight.
- *growing rows*: of these only the combinations in which the overlaps $c_k$ lie, one a mode. Left out is also what decays in other combinations; where modes do not commute
  the first drop turns the later directions, input and output sides differently, into it.

What is left out acts with its own size, squared.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .beside import Beside, Rows
from .modes import Modes
from .moments import Lines
from .steps import Path, follow, single_step

RTOL = 1e-9
#: Part of the whole drop below which nothing that is still to come can be a plateau's (`series.PlateauConstants.loss_difference` is 10 times that).
REST = 1e-4
#: States looked at within each step of order 8.
INSIDE = 8
#: Part of the last drop at which it is not followed further: beyond it the loss only settles, which may take long.
LAST = 0.05
#: Rows whose singular values are below this part of the largest depend on each other, to rounding.
DEPENDENT = 1e-13
#: Newton steps for a crossing; each takes the flow itself from the step's beginning.
NEWTON = 12


class Reduced(NamedTuple):
    r"""A linear problem in coordinates where $\Sigma$ is diagonal.

    - `sigma` [rows_u], `b` [rows_u, rows_v], `state` [rows_u + rows_v, columns]: at the start.
    - `lowest`: loss of the best function.
    - `into`, `out`: how its rows lie in weights and readouts; zero for rows beside the modes, which no mode sees.
    - `learning_rate`: of gradient descent, or None.
    """

    sigma: Float[np.ndarray, " rows_u"]
    b: Float[np.ndarray, "rows_u rows_v"]
    state: Float[np.ndarray, "rows columns"]
    lowest: float
    into: Float[np.ndarray, "weights rows_u"]
    out: Float[np.ndarray, "readouts rows_v"]
    learning_rate: float | None

    def residual(self, state: np.ndarray) -> np.ndarray:
        u, v = np.split(state, [self.sigma.size], axis=-2)
        return self.b - self.sigma[:, None] * (u @ np.swapaxes(v, -1, -2))

    def residual_on(self, modes: Modes, state: np.ndarray) -> np.ndarray:
        """R in the coordinates of the modes, [reached, modes]."""
        return (modes.into.T @ self.into) @ self.residual(state) @ (self.out.T @ modes.out)

    def gradient(self, state: np.ndarray) -> np.ndarray:
        """-grad L, [..., rows, columns]."""
        u, v = np.split(state, [self.sigma.size], axis=-2)
        r = self.residual(state)
        return np.concatenate([r @ v, np.swapaxes(r, -1, -2) @ u], axis=-2)

    def velocity(self, state: np.ndarray) -> np.ndarray:
        r"""-grad L; for steps of size h the flow that gradient descent samples, to order h^2: $\log(1 + hA)/h\, Z - \tfrac h2 \dot A Z$.

        Exact where A stands still, as during growth. Hairer, Lubich & Wanner (2006), IX.1, give such modified equations as series; this one is summed in A.
        """
        h = self.learning_rate
        if h is None:
            return self.gradient(state)
        u, v = np.split(state, [self.sigma.size], axis=0)
        r = self.b - self.sigma[:, None] * (u @ v.T)
        left, size, right = np.linalg.svd(r, full_matrices=False)
        size = np.minimum(h * size, 1.0 - 1e-9)
        up, down = np.log1p(size) / h, np.log1p(-size) / h
        even, odd = 0.5 * (up + down)[:, None], 0.5 * (up - down)[:, None]
        lu, rv = left.T @ u, right @ v
        change = self.sigma[:, None] * (r @ (v @ v.T) + (u @ u.T) @ r)  # -dR/dt
        return np.concatenate(
            [
                left @ (even * lu + odd * rv) + 0.5 * h * change @ v,
                right.T @ (even * rv + odd * lu) + 0.5 * h * change.T @ u,
            ]
        )

    def loss(self, state: np.ndarray) -> np.ndarray:
        miss = self.residual(state) / np.sqrt(self.sigma)[:, None]
        return self.lowest + 0.5 * np.sum(miss**2, axis=(-2, -1))

    def speed(self, state: np.ndarray) -> np.ndarray:
        return np.sqrt(np.sum(self.gradient(state) ** 2, axis=(-2, -1)))


class Curve(NamedTuple):
    """A followed reduced problem: `t`, `loss`, `speed` and `states` on samples inside steps, and the `path` of steps."""

    problem: Reduced
    path: Path
    t: np.ndarray
    loss: np.ndarray
    speed: np.ndarray
    states: np.ndarray

    def crossing(self, level: float) -> float | None:
        """The first time at which the loss falls through `level`: Newton from the beginning of the step, by the flow itself."""
        at = self.problem.loss(self.path.states)
        through = np.flatnonzero((at[:-1] >= level) & (at[1:] < level))
        if not through.size:
            return None
        i = int(through[0])
        state, velocity, step = self.path.states[i], self.path.velocities[i], float(np.diff(self.path.t[i : i + 2])[0])
        h = step * (at[i] - level) / (at[i] - at[i + 1])
        for _ in range(NEWTON):
            there = single_step(self.problem.velocity, state, velocity, h)
            slope = float(np.sum(self.problem.gradient(there) * self.problem.velocity(there)))
            move = (float(self.problem.loss(there)) - level) / slope
            h = float(np.clip(h + move, 0.0, step))
            if abs(move) <= 1e-13 * (self.path.t[i] + h):
                break
        return float(self.path.t[i] + h)


def growing(lines: Lines, modes: Modes, others: Beside, learning_rate: float | None) -> Reduced:
    """The reduction to growing rows."""
    return _reached(lines, modes, others, span(modes.plus), learning_rate)


def reached(lines: Lines, modes: Modes, others: Beside, learning_rate: float | None) -> Reduced:
    """The reduction to reached rows."""
    rows = np.concatenate([modes.into.T @ lines.u, modes.out.T @ lines.v])
    return _reached(lines, modes, others, span(rows), learning_rate)


def _reached(lines: Lines, modes: Modes, others: Beside, basis: np.ndarray, learning_rate: float | None) -> Reduced:
    rows = None if others.slight(modes) else others.gathered(lines, modes, basis)
    return _with(rows, lines, modes, (modes.into.T @ lines.u) @ basis, (modes.out.T @ lines.v) @ basis, learning_rate)


def every(lines: Lines, modes: Modes, others: Beside, learning_rate: float | None) -> Reduced:
    """The reduction to all rows, exact; of inputs that are always zero nothing is needed."""
    reduced = _with(
        others.exactly(lines, modes), lines, modes, modes.into.T @ lines.u, modes.out.T @ lines.v, learning_rate
    )
    return reduced._replace(state=reduced.state @ span(reduced.state))


def _with(
    rows: Rows | None, lines: Lines, modes: Modes, u: np.ndarray, v: np.ndarray, learning_rate: float | None
) -> Reduced:
    """The rows that B reaches, and those beside them."""
    sigma, b, into, out = modes.sigma, modes.l * modes.s, modes.into, modes.out
    if rows is not None:
        sigma, u, v = np.append(sigma, rows.sigma), np.concatenate([u, rows.u]), np.concatenate([v, rows.v])
        b = np.pad(b, ((0, len(rows.u)), (0, len(rows.v))))
        into, out = np.pad(into, ((0, 0), (0, len(rows.u)))), np.pad(out, ((0, 0), (0, len(rows.v))))
    return Reduced(sigma, b, np.concatenate([u, v]), lowest(lines, modes), into, out, learning_rate)


def lowest(lines: Lines, modes: Modes) -> float:
    return max(lines.height - 0.5 * float(np.sum(modes.tau**2)), 0.0)


def span(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the span of the rows, [units, rank]."""
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    _, sizes, basis = np.linalg.svd(rows / np.where(size > 0, size, 1.0), full_matrices=False)
    return basis[sizes > DEPENDENT * max(sizes[0], 1e-300)].T


def curve_of(problem: Reduced, *, rest: float, above: float, most_steps: int) -> Curve:
    """Follows a reduced problem until no plateau can come: its loss has fallen below the last saddle `above` the `rest`, the loss at which it will stay.

    Below by all but LAST of their distance, or within REST of the whole drop; one more sample then says where it ends.
    """
    first = float(problem.loss(problem.state))
    near = rest + max(REST * max(first - rest, 0.0), LAST * (above - rest))

    def done(t: float, state: np.ndarray) -> bool:
        return float(problem.loss(state)) <= near

    path = follow(problem.velocity, problem.state, done=done, rtol=RTOL, most_steps=most_steps)
    t, states = _inside(path)
    loss, speed = problem.loss(states), problem.speed(states)
    if not path.cut and loss[-1] > rest:
        t = np.append(t, t[-1] + (loss[-1] - rest) / speed[-1] ** 2)
        loss, speed, states = np.append(loss, rest), np.append(speed, speed[-1]), np.append(states, states[-1:], axis=0)
    return Curve(problem, path, t, loss, speed, states)


def _inside(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times and states within steps too, by cubic Hermite interpolation: to see plateaus by, not to read times off."""
    if len(path.t) == 1:
        return path.t, path.states
    x = np.arange(INSIDE)[None, :, None, None] / INSIDE
    h = np.diff(path.t)
    y0, y1 = path.states[:-1, None], path.states[1:, None]
    f0, f1 = (h[:, None, None, None] * f[:, None] for f in (path.velocities[:-1], path.velocities[1:]))
    d = y1 - y0
    states = y0 + x * (f0 + x * (3 * d - 2 * f0 - f1 + x * (f0 + f1 - 2 * d)))
    t = path.t[:-1, None] + h[:, None] * x[..., 0, 0]
    states = np.concatenate([states.reshape(-1, *path.states.shape[1:]), path.states[-1:]])
    return np.append(t.ravel(), path.t[-1]), states
