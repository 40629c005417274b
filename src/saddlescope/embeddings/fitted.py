r"""The embedding of a narrow network that comes nearest to given wide weights.

A plateau's weights are near one point of a large set of fixed points, all with the same function: this finds it.
"""

import numpy as np

from ..networks import AbstractLens
from ..units import Facts
from ._base import Mixing, factor

#: Newton's steps to shares that add up to 1, from shares that nearly do: each squares what is missing.
STEPS = 20


def fitted(wide: AbstractLens, narrow: AbstractLens, labels: np.ndarray | None) -> Mixing:
    r"""$A$, $B$ with $A u \approx u_{wide}$ and $B v \approx v_{wide}$, exactly an embedding where the facts allow one of this kind.

    **Arguments:**

    - `wide`, `narrow`: the same layer at two widths.
    - `labels` [wide]: the narrow unit that each wide one comes from, -1 for those without effect; None where units mix freely, which needs linear
      $\phi$ and narrow units that are independent in both u and v.

    **Holds:** of the matrices whose shares add up to 1, those that come nearest in the layer's weights, to leading order in how far the wide weights are
    from being embedded. Factors of the input weights are positive where the facts ask for it, and $\pm 1$ where $\phi$ is not homogeneous. Units without
    effect get $u = v = 0$, or, where $\phi$ has no silent units, the input weights of the narrow unit nearest to theirs.
    """
    facts = wide.facts
    u, v = _flat(wide)
    u_narrow, v_narrow = _flat(narrow)
    if labels is None:
        return _mixed(u, v, u_narrow, v_narrow)
    labels = np.array(labels)
    if not facts.silent and len(u_narrow):
        for i in np.flatnonzero(labels == -1):
            labels[i] = np.argmin(np.linalg.norm(u_narrow - u[i], axis=1))
    a, b = np.zeros((len(u), len(u_narrow))), np.zeros((len(u), len(u_narrow)))
    for k in range(len(u_narrow)):
        members = np.flatnonzero(labels == k)
        g = _factors(u[members], u_narrow[k], facts)
        members, g = members[g != 0.0], g[g != 0.0]
        square_u, square_v = (max(float(w[k] @ w[k]), 1e-300) for w in (u_narrow, v_narrow))
        h = v[members] @ v_narrow[k] / square_v
        a[members, k], b[members, k] = _shares(g, h, square_u, square_v, facts)
    return Mixing(a, b)


def _flat(lens: AbstractLens) -> tuple[np.ndarray, np.ndarray]:
    u, v = (np.asarray(part, np.float64) for part in lens.get())
    return u, v.reshape(len(v), int(np.prod(v.shape[1:])))


def _factors(u: np.ndarray, narrow: np.ndarray, facts: Facts) -> np.ndarray:
    along = u @ narrow / max(float(narrow @ narrow), 1e-300)
    if facts.degree is None and not facts.linear:
        return np.where(along < 0, -1.0, 1.0) if facts.parity != "none" else np.ones(len(u))
    return along if facts.parity != "none" or facts.linear else np.maximum(along, 0.0)


def _shares(
    g: np.ndarray, h: np.ndarray, square_u: float, square_v: float, facts: Facts
) -> tuple[np.ndarray, np.ndarray]:
    """The factors and shares with sum c(g) h = 1 that are nearest to g, h, in weights |u|^2 and |v|^2."""
    if not np.any(g):
        return g, h
    degree = facts.degree or 0
    near_g, near_h = g, h
    for _ in range(STEPS):
        c = factor(near_g, facts)
        missing = 1.0 - c @ near_h
        if abs(missing) <= 1e-15 * max(np.abs(c) @ np.abs(near_h), 1.0):
            break
        # the smallest step, in weights, that closes the gap to first order; u moves only along its own ray
        slope_g, slope_h = degree * c / near_g * near_h, c
        step = missing / (slope_g @ slope_g / square_u + slope_h @ slope_h / square_v)
        near_g, near_h = near_g + step * slope_g / square_u, near_h + step * slope_h / square_v
        if not np.all(near_g * g > 0.0):  # through zero: not near
            break

    def closed(g: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c = factor(g, facts)
        return g, h + c * (1.0 - c @ h) / (c @ c)

    def distance(point: tuple[np.ndarray, np.ndarray]) -> float:
        return float(square_u * np.sum((point[0] - g) ** 2) + square_v * np.sum((point[1] - h) ** 2))

    by_v_alone = closed(g, h)
    return min(closed(near_g, near_h), by_v_alone, key=distance) if np.all(near_g * g > 0.0) else by_v_alone


def _mixed(u: np.ndarray, v: np.ndarray, u_narrow: np.ndarray, v_narrow: np.ndarray) -> Mixing:
    from scipy.linalg import solve_sylvester

    a, b = u @ np.linalg.pinv(u_narrow), v @ np.linalg.pinv(v_narrow)
    metric_u, metric_v = u_narrow @ u_narrow.T, v_narrow @ v_narrow.T

    def closed(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return a, b @ np.linalg.pinv(b.T @ a).T

    def distance(point: tuple[np.ndarray, np.ndarray]) -> float:
        return float(np.sum((u - point[0] @ u_narrow) ** 2) + np.sum((v - point[1] @ v_narrow) ** 2))

    # B^T A is 1 where the wide weights are such a point themselves. Near one, both give way: the smallest step, in weights, that
    # closes the gap to first order is dA = B L (u u^T)^-1, dB = A L^T (v v^T)^-1, with L from a Sylvester equation
    near_a, near_b = a, b
    try:
        with np.errstate(all="ignore"):
            for _ in range(STEPS):
                missing = np.eye(a.shape[1]) - near_b.T @ near_a
                if np.all(np.abs(missing) <= 1e-15 * np.maximum(np.abs(near_b).T @ np.abs(near_a), 1.0)):
                    break
                square_a, square_b = near_a.T @ near_a, near_b.T @ near_b
                gap = np.linalg.solve(square_b, np.linalg.solve(square_a, missing.T).T)
                multiplier = solve_sylvester(
                    np.linalg.inv(metric_v @ square_b), np.linalg.inv(square_a @ metric_u), gap
                )
                step_a = np.linalg.solve(metric_u, (near_b @ multiplier).T).T
                step_b = np.linalg.solve(metric_v, (near_a @ multiplier.T).T).T
                near_a, near_b = near_a + step_a, near_b + step_b
            near = closed(near_a, near_b)
            points = [near] if np.isfinite(distance(near)) else []
    except (np.linalg.LinAlgError, ValueError):  # narrow units that are not independent, or far from any embedding
        points = []
    return Mixing(*min([*points, closed(a, b)], key=distance))
