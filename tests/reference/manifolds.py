"""Distances to sets of weights by minimising over a parametrisation from many starts, and nothing else.

`theta` [units, columns] holds (u, v) of a unit in each row, u in the first `inputs` columns. Every distance here is that of a point
on the set, and so never too small; with enough starts it is the smallest.
"""

import numpy as np
from scipy.optimize import least_squares


def turn(theta, signs, inputs, parity):
    """Rows of sign -1 replaced by their mirror images, one number at a time."""
    turned = theta.copy()
    for i, sign in enumerate(signs):
        for k in range(theta.shape[1]):
            if k < inputs or parity == "odd":
                turned[i, k] = sign * theta[i, k]
    return turned


def to_rank(theta, width, rng, starts=8):
    """min |theta - A B| over A [units, width], B [width, columns]."""
    units, columns = theta.shape

    def misfit(z):
        a, b = z[: units * width].reshape(units, width), z[units * width :].reshape(width, columns)
        return (theta - a @ b).ravel()

    return _lowest(misfit, (units + columns) * width, rng, starts, theta)


def to_copies(theta, groups, signs, inputs, parity, rng):
    """min over one free row a group, silent rows at 0; convex, so one start does."""
    rows = turn(theta, signs, inputs, parity)
    labels = sorted(set(groups) - {-1})

    def misfit(z):
        free = z.reshape(len(labels), theta.shape[1])
        point = [free[labels.index(g)] if g >= 0 else np.zeros(theta.shape[1]) for g in groups]
        return (rows - np.array(point)).ravel()

    return _lowest(misfit, len(labels) * theta.shape[1], rng, 1, theta)


def to_rays(theta, groups, signs, inputs, parity, rng, starts=25):
    """min over theta_i = a_i^2 r, group by group (a_i r where phi is odd); silent rows at 0."""
    rows = turn(theta, signs, inputs, parity)
    square = 0.0
    for label in set(groups):
        members = rows[[g == label for g in groups]]
        if label == -1:
            square += np.sum(members**2)
            continue

        def misfit(z, members=members):
            a, r = z[: len(members)], z[len(members) :]
            return (members - np.outer(a if parity == "odd" else a**2, r)).ravel()

        square += _lowest(misfit, sum(members.shape), rng, starts, members) ** 2
    return np.sqrt(square)


def _lowest(misfit, size, rng, starts, theta):
    if size == 0:
        return np.linalg.norm(theta)
    scale = np.abs(theta).max() ** 0.5
    tried = [
        least_squares(misfit, scale * rng.normal(size=size), xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=400)
        for _ in range(starts)
    ]
    return np.sqrt(2 * min(found.cost for found in tried))
