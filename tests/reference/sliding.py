"""Gradient flow of ReLU networks, exactly across kinks and along them.

Where a unit's weights reach the kink u_i . x_k = 0 with the gradients on both sides pointing into it, the flow stays on the kink
(Filippov 1988; the limit of gradient descent as its step vanishes). Between events - a kink reached, a slide left - the motion is
smooth, and DOP853 follows it; each event is located on the solver's interpolant, and the solver starts anew behind it.

A second method, `euler`, knows nothing of sliding: small steps with phi'(0) = 0, extrapolated to step zero.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.integrate import DOP853, OdeSolution
from scipy.optimize import brentq

from .flow import Solution, root_mean_square
from .networks import Convolution, FullyConnected, Objective, Weights

ACTIVE, INACTIVE, SLIDES = 1, -1, 0
SAMPLES_PER_STEP = 9  # where a step is searched for events


def _patches(objective: Objective) -> np.ndarray:
    """What the units see, [samples * positions, weights of a unit]."""
    if isinstance(objective.network, FullyConnected):
        return objective.x
    return objective.network.patches(objective.x).reshape(-1, objective.network.kernel_size)


@dataclass(frozen=True)
class _Motion:
    """The smooth flow for one pattern [units, patches] of active, inactive and sliding pairs.

    A fully connected network has one patch a sample, the whole of it; then patches and samples are the same.
    """

    objective: Objective
    pattern: np.ndarray
    slack: float  # how far z may be on the wrong side: rounding puts a pair that has just crossed anywhere within it

    def parts(self, state: np.ndarray):
        """z [units, patches], the motion of u and v, and for every pair its pull and how much of it holds where it slides."""
        weights, x = self.objective.unpack(state), _patches(self.objective)
        u, y = weights["u"], self.objective.y
        v = weights["v"].reshape(len(u), -1, y.shape[1])  # [units, positions, outputs]
        z = u @ x.T
        output = np.where(self.pattern == ACTIVE, z, 0.0).reshape(len(u), len(y), v.shape[1])
        residual = self.objective.weight[:, None] * (y - np.einsum("inp,ipo->no", output, v))
        dv = np.einsum("inp,no->ipo", output, residual)
        # du_i = sum over active patches k of pull_ik x_k
        pull = np.einsum("ipo,no->inp", v, residual).reshape(z.shape)
        du = np.where(self.pattern == ACTIVE, pull, 0.0) @ x
        held = np.zeros_like(pull)
        for i in np.flatnonzero((self.pattern == SLIDES).any(axis=1)):
            kinks = np.flatnonzero(self.pattern[i] == SLIDES)
            normal = x[kinks]
            held[i, kinks] = -np.linalg.solve(normal @ normal.T, normal @ du[i])
            du[i] += held[i, kinks] @ normal
        return z, du, dv, pull, held

    def velocity(self, state: np.ndarray) -> np.ndarray:
        _, du, dv, _, _ = self.parts(state)
        return self.objective.pack({"u": du, "v": dv})

    def margin(self, state: np.ndarray) -> np.ndarray:
        """[units, patches], positive while the pattern is right: pairs on their side; slides with 0 < held/pull < 1."""
        z, _, _, pull, held = self.parts(state)
        inside = np.minimum(held * pull, pull**2 - held * pull)
        return np.where(self.pattern == SLIDES, inside, self.pattern * z + self.slack)

    def after(self, state: np.ndarray, i: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The pattern and the state behind the event of pair (i, k)."""
        z, du, _, pull, held = self.parts(state)
        x, pattern = _patches(self.objective), self.pattern.copy()
        if pattern[i, k] == SLIDES:
            pattern[i, k] = ACTIVE if held[i, k] * pull[i, k] > 0.5 * pull[i, k] ** 2 else INACTIVE
            return pattern, state
        normal = x[k].copy()
        kinks = np.flatnonzero(pattern[i] == SLIDES)
        if len(kinks):  # only the motion along the kinks that already hold the unit counts
            normal -= np.linalg.lstsq(x[kinks].T, x[k], rcond=None)[0] @ x[kinks]
            if normal @ normal < 1e-12 * (x[k] @ x[k]):
                raise NotImplementedError(f"Unit {i} is held by more kinks than it has directions.")
        rate = normal @ du[i]
        change = pull[i, k] * (normal @ x[k])
        inactive, active = (rate - change, rate) if pattern[i, k] == ACTIVE else (rate, rate + change)
        # on orthogonal inputs the motion of a unit just silenced is zero, and what is left is rounding
        if inactive > 1e-12 * abs(change) and active < 0:
            pattern[i, k] = SLIDES
            weights = {name: value.copy() for name, value in self.objective.unpack(state).items()}
            weights["u"][i] -= z[i, k] / (x[k] @ normal) * normal
            state = self.objective.pack(weights)
        else:
            pattern[i, k] = -pattern[i, k]
        return pattern, state


def _first_event(motion: _Motion, dense, start: float, stop: float) -> tuple[float, int, int] | None:
    times = np.linspace(start, stop, SAMPLES_PER_STEP)
    previous = motion.margin(dense(times[0]))
    for before, after in itertools.pairwise(times):
        margin = motion.margin(dense(after))
        events = []
        for i, k in np.argwhere(margin < 0):
            if previous[i, k] <= 0:
                events.append((before, int(i), int(k)))
            else:
                root = brentq(
                    lambda t, i=i, k=k: motion.margin(dense(t))[i, k], before, after, xtol=1e-15 * after, rtol=1e-15
                )
                events.append((root, int(i), int(k)))
        if events:
            return min(events)
        previous = margin
    return None


def sliding_flow(
    objective: Objective, init: Weights, t_end: float, rtol: float = 1e-11, atol: float = 1e-12
) -> Solution:
    """Gradient flow of a fully connected or convolutional ReLU network, sliding along kinks where it must.

    **Raises:** `NotImplementedError` if a unit shrinks to zero or is held by as many kinks as it has inputs, `RuntimeError` if events pile up.
    """
    if not isinstance(objective.network, FullyConnected | Convolution) or objective.network.activation != "relu":
        raise ValueError(f"sliding_flow is for one layer of ReLU units, not {objective.network}.")
    state, t = objective.pack(init), 0.0
    scale = root_mean_square(state)
    pattern = np.where(objective.unpack(state)["u"] @ _patches(objective).T > 0, ACTIVE, INACTIVE)
    times, pieces, slides, events = [0.0], [], 0, 0
    while t < t_end:
        motion = _Motion(objective, pattern, 1e-14 * scale)
        solver = DOP853(
            lambda _, state, motion=motion: motion.velocity(state), t, state, t_end, rtol=rtol, atol=atol * scale
        )
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed":
                raise RuntimeError(f"The reference stopped at t = {solver.t} of {t_end}: {message}")
            dense = solver.dense_output()
            event = _first_event(motion, dense, solver.t_old, solver.t)
            t = solver.t if event is None else event[0]
            if t > times[-1]:
                times.append(t)
                pieces.append(dense)
            if event is not None:
                pattern, state = motion.after(dense(t), *event[1:])
                u = objective.unpack(state)["u"]
                if np.linalg.norm(u[event[1]]) < 1e-9 * scale and (pattern[event[1]] == SLIDES).any():
                    raise NotImplementedError(
                        f"Unit {event[1]} has shrunk to zero at t = {t}, where all its kinks meet."
                    )
                slides += int(pattern[event[1:]] == SLIDES)
                events += 1
                if events > 5000:
                    raise RuntimeError(f"More than 5000 events before t = {t} of {t_end}.")
                break
    return Solution(objective, np.array(times), OdeSolution(np.array(times), pieces), slides)


def euler(objective: Objective, init: Weights, t: np.ndarray, steps: int) -> np.ndarray:
    """States [times, parameters] at increasing times t, multiples of t[-1] / steps, by Euler's method with `steps` steps."""
    state, size = objective.pack(init), t[-1] / steps
    stops = np.rint(t / size).astype(int)
    states = []
    for step in range(steps + 1):
        states.extend([state] * int((stops == step).sum()))
        state = state - size * objective.gradient(state)
    return np.array(states)


def extrapolated_euler(objective: Objective, init: Weights, t: np.ndarray, steps: int) -> np.ndarray:
    """Richardson's extrapolation of Euler's method, from `steps` and 2 `steps` steps: its error of first order removed."""
    return 2 * euler(objective, init, t, 2 * steps) - euler(objective, init, t, steps)
