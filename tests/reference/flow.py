"""Gradient flow by SciPy's DOP853 near the limit of its accuracy, with a solution that can be asked at any time.

ReLU flows whose weights slide along kinks are in `sliding.py`: no explicit solver gets through those.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from .networks import Objective, Weights

MOST_CALLS = 200_000  # ten times what the longest of the problems needs


def root_mean_square(state: np.ndarray) -> float:
    return float(np.sqrt(np.mean(state**2)))


@dataclass(frozen=True)
class Solution:
    """A trajectory. `state(t)` gives [parameters] at a time, `steps` the times at which the solver stood."""

    objective: Objective
    steps: np.ndarray
    state: Callable[[float], np.ndarray]
    slides: int = 0  # how many times a unit began to slide along a kink

    def states(self, t: np.ndarray) -> np.ndarray:
        if np.min(t) < self.steps[0] or np.max(t) > self.steps[-1]:
            raise ValueError(f"Times {np.min(t)} to {np.max(t)} are outside of the solution's, 0 to {self.steps[-1]}.")
        return np.stack([self.state(time) for time in t])

    def weights(self, t: np.ndarray) -> Weights:
        """Every weight with a leading time."""
        return self.objective.unpack(self.states(t))

    def loss(self, t: np.ndarray) -> np.ndarray:
        return np.array([self.objective.loss(state) for state in self.states(t)])

    def speed(self, t: np.ndarray) -> np.ndarray:
        """|grad L|. While sliding, -dL/dt = speed^2 needs the speed of the sliding motion instead: see `sliding.py`."""
        return np.array([np.linalg.norm(self.objective.gradient(state)) for state in self.states(t)])

    def crossing(self, level: float) -> float | None:
        """First time at which the loss falls through `level`; None if it does not before the end."""
        # four points a step: between two steps the loss is monotone, this only narrows the bracket
        t = np.unique(
            np.concatenate([np.linspace(a, b, 5) for a, b in zip(self.steps[:-1], self.steps[1:], strict=True)])
        )
        above = self.loss(t) > level
        if not above[0] or above.all():
            return None
        first = int(np.argmin(above))
        excess = lambda time: self.objective.loss(self.state(time)) - level  # noqa: E731
        return float(brentq(excess, t[first - 1], t[first], xtol=1e-15 * t[first], rtol=1e-15))


def gradient_flow(
    objective: Objective, init: Weights, t_end: float, rtol: float = 1e-12, atol: float = 1e-15
) -> Solution:
    """theta' = -grad L from `init` until `t_end`; `atol` is a multiple of the root mean square of the initial weights.

    ReLU without sliding: `atol` 1e-12; below, the steps at kinks shrink to the spacing of the floating-point numbers.
    """
    start, calls = objective.pack(init), 0

    def velocity(t: float, state: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > MOST_CALLS:
            raise RuntimeError(f"The reference stands still at t = {t} of {t_end}: does a unit slide along a kink?")
        return -objective.gradient(state)

    result = solve_ivp(
        velocity,
        (0.0, t_end),
        start,
        method="DOP853",
        rtol=rtol,
        atol=atol * root_mean_square(start),
        dense_output=True,
    )
    if not result.success:
        raise RuntimeError(f"The reference stopped at t = {result.t[-1]} of {t_end}: {result.message}")
    return Solution(objective, result.t, result.sol)
