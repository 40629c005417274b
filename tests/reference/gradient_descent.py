"""Gradient descent on all the data, one step a line."""

import numpy as np

from .networks import Objective, Weights


def gradient_descent(objective: Objective, init: Weights, learning_rate: float, steps: int) -> np.ndarray:
    """States [steps + 1, parameters]; the one with index k stands at time t = learning_rate * k."""
    states = [objective.pack(init)]
    for _ in range(steps):
        states.append(states[-1] - learning_rate * objective.gradient(states[-1]))
    return np.array(states)
