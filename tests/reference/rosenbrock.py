"""One step of a Rosenbrock method, a line a stage, with a dense inverse: the slow twin of `integrate.rosenbrock`."""

import numpy as np


def rosenbrock_step(method, velocity, jacobian, y, h):
    """The solution after h, and the error estimate."""
    inverse = np.linalg.inv(np.eye(len(y)) / (h * method.gamma) - jacobian(y))
    k, at = [], y
    for a, c in zip(method.a, method.c, strict=True):
        at = y + sum((x * b for x, b in zip(a, k, strict=False)), np.zeros_like(y))
        pulled = sum((x * b for x, b in zip(c, k, strict=False)), np.zeros_like(y)) / h
        k.append(inverse @ (velocity(at) + pulled))
    return at + k[-1], k[-1]
