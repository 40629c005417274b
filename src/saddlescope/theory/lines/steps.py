"""Order 8 in NumPy, for reduced motions of a few dozen numbers: at that size compiling costs more than the whole integration."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...integrate import EXPLICIT

Field = Callable[[np.ndarray], np.ndarray]

#: Steps shrink by at most, and grow by at most, these factors (Hairer, Norsett & Wanner 1993, II.4).
SHRINK, GROW, SAFETY = 0.2, 6.0, 0.9
#: A step that is still refused after so many is none: the numbers leave 64 bits.
MOST_TRIES = 100


class Path(NamedTuple):
    """States at the accepted steps of an autonomous motion, with velocities; `evaluations` of the velocity; whether it was cut short."""

    t: np.ndarray
    states: np.ndarray
    velocities: np.ndarray
    evaluations: int
    cut: bool


def follow(
    field: Field,
    state: np.ndarray,
    *,
    done: Callable[[float, np.ndarray], bool],
    rtol: float,
    most_steps: int,
) -> Path:
    """Follows y' = field(y) until `done(t, y)`, with each step's error below rtol (|y| + root mean square of y at the start), componentwise.

    Not more than `most_steps`, and no step that is refused `MOST_TRIES` times: the path then is `cut`.
    """
    tables = EXPLICIT[8]()
    floor = np.sqrt(np.mean(state**2))
    velocity = field(state)
    h = 0.01 * np.linalg.norm(state) / max(np.linalg.norm(velocity), 1e-300)
    t, kept = 0.0, [(0.0, state, velocity)]
    evaluations, last = 1, len(tables.stages) - 1
    k = np.empty((last + 1, *state.shape))
    for _ in range(most_steps):
        if done(t, state):
            break
        for _ in range(MOST_TRIES):
            k[0] = velocity
            with np.errstate(over="ignore", invalid="ignore"):  # seen by the error
                new = _advance(field, state, h, k, tables.stages)
                evaluations += last
                size = rtol * (np.maximum(np.abs(state), np.abs(new)) + floor)
                fifth, third = (np.sum((np.tensordot(row, k, 1) / size) ** 2) for row in tables.errors)
                error = 0.0 if fifth == 0.0 else h * fifth / np.sqrt((fifth + 0.01 * third) * state.size)
            if np.isfinite(error) and error <= 1.0:
                break
            h *= max(SHRINK, SAFETY * error ** (-1 / 8)) if np.isfinite(error) else SHRINK
        else:
            return _path(kept, evaluations, cut=True)
        t, state, velocity = t + h, new, k[last].copy()
        kept.append((t, state, velocity))
        h *= min(GROW, SAFETY * error ** (-1 / 8)) if error > 0 else GROW
    else:
        return _path(kept, evaluations, cut=not done(t, state))
    return _path(kept, evaluations, cut=False)


def single_step(field: Field, state: np.ndarray, velocity: np.ndarray, h: float) -> np.ndarray:
    """The state a time h later, by one step: a part of a step that was accepted is at least as exact."""
    stages = EXPLICIT[8]().stages
    k = np.empty((len(stages), *state.shape))
    k[0] = velocity
    return _advance(field, state, h, k, stages)


def _advance(field: Field, state: np.ndarray, h: float, k: np.ndarray, stages: np.ndarray) -> np.ndarray:
    """One step; the velocities of all stages, the new state's last, go to `k`."""
    new = state
    for i in range(1, len(stages)):
        new = state + h * np.tensordot(stages[i, :i], k[:i], 1)
        k[i] = field(new)
    return new


def _path(kept: list, evaluations: int, cut: bool) -> Path:
    t, states, velocities = zip(*kept, strict=True)
    return Path(np.array(t), np.stack(states), np.stack(velocities), evaluations, cut)
