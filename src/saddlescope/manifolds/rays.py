r"""Proportional units: where $\phi$ is of degree 1, units on one ray act as one and stay on it."""

import numpy as np

from ..units import Facts
from ._groups import AbstractGroups

#: Up to so many units in a group the nearest ray is found by trying every subset; two to this power are few for small matrices.
EXACT = 10
#: In larger groups a search starts from so many of the largest units ...
STARTS = 64
#: ... and climbs so many steps: it has to find the right units, not their vector, which is then computed.
CLIMB = 100
#: A coefficient counts as zero below this many times rounding, relative to the largest.
ROUNDING = 16 * np.finfo(np.float64).eps


class Rays(AbstractGroups):
    r"""Units of a group lie on one ray (Theorem 3, proportional units; one unit less is one group of two).

    $$\theta_i = g_i\, r, \quad g_i \ge 0 \;\; (i \text{ in a group}), \qquad \theta_i = 0 \;\; (i \text{ labelled } {-1}) .$$

    Input and output weights share one factor $g_i$; both gradients of unit $i$ are $g_i$ times those at $r$. `signs` turn units first: even $\phi$ $(u, v)$ to $(-u, v)$,
    odd $\phi$ $(u, v)$ to $(-u, -v)$. Where $\phi$ is odd, as linear $\phi$ is, $g_i$ has any sign and rays are lines. In a group, after turning,

    $$d^2 = \sum_i |\theta_i|^2 - \max_{|r| = 1} \sum_i (\theta_i \cdot r)_+^2 , \qquad g_i = (\theta_i \cdot r)_+ ,$$

    without the $(\cdot)_+$ for odd $\phi$.

    **Arguments:** `groups`, `signs`, as in `AbstractGroups`.

    **Holds** exactly, to rounding, for $\phi$ of degree 1. $g_i < 0$ fails for ReLU; any degree other than 1 fails unless all $g_i$ are equal, which is `Copies`.

    `nearest`: exact for odd $\phi$, and where the leading singular vector of a group has no negative coefficient; otherwise it is one of
    several local maxima. It is still exact for groups of up to 10 units: the best $r$ is the leading singular vector of the units with $\theta_i \cdot r > 0$, and
    every subset is tried. In larger groups a search from the largest units finds a ray that no small turn improves: `distance` is then an
    upper bound. Among equally near rays one is taken.

    `normal` is the distance of the velocity to the tangent cone, in which a factor $g_i = 0$ can only grow.
    """

    def refuses(self, facts: Facts) -> str | None:
        if facts.degree != 1:
            degree = "homogeneous of no degree" if facts.degree is None else f"of degree {facts.degree}"
            return f"units stay on one ray only where phi is of degree 1 in u: this one is {degree}. Copies holds for any phi."
        return super().refuses(facts)

    def project(self, theta: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        rows = self.turned(theta, inputs, facts)
        point = np.zeros_like(rows)
        for group in self.members():
            point[group] = _on_a_ray(rows[group], lines=facts.parity == "odd")
        return self.turned(point, inputs, facts)

    def normal_part(self, point: np.ndarray, flow: np.ndarray, inputs: int, facts: Facts) -> np.ndarray:
        point, rest = self.turned(point, inputs, facts), self.turned(flow, inputs, facts).copy()
        lines = facts.parity == "odd"
        for group in self.members():
            rest[group] = _off_the_cone(point[group], rest[group], lines)
        return self.turned(rest, inputs, facts)


def _on_a_ray(rows: np.ndarray, lines: bool) -> np.ndarray:
    """The nearest rows on one line, or on one ray of it."""
    if len(rows) == 1:
        return rows
    # in coordinates of the rows' span
    coordinates, values, span = np.linalg.svd(rows, full_matrices=False)
    coordinates = coordinates * values
    leading = coordinates[:, 0]
    if lines:
        return np.outer(leading, span[0])
    ray = np.eye(values.size)[0] * (-1.0 if leading.sum() < 0 else 1.0)
    if np.min(coordinates @ ray) < -ROUNDING * values[0]:
        ray = _best_ray(coordinates / values[0])
    return np.outer(np.maximum(coordinates @ ray, 0.0), ray @ span)


def _best_ray(rows: np.ndarray) -> np.ndarray:
    r"""The unit vector r with the largest $\sum_i (\theta_i \cdot r)_+^2$."""
    units = len(rows)
    if units <= EXACT:
        # every subset, the empty one left out
        sets = (np.arange(1, 2**units)[:, None] >> np.arange(units)) & 1 == 1
    else:
        sets = np.unique(_climbed(rows) @ rows.T > 0.0, axis=0)
    moments = np.stack([rows[chosen].T @ rows[chosen] for chosen in sets])
    rays = np.linalg.eigh(moments)[1][:, :, -1]
    rays = np.vstack([rays, -rays])
    return rays[np.argmax(_gain(rows, rays))]


def _climbed(rows: np.ndarray) -> np.ndarray:
    """Unit vectors [starts, columns] from which few units, if any, still change sides on the way to a maximum."""
    length = np.linalg.norm(rows, axis=1)
    first = np.argsort(-length, kind="stable")[:STARTS]
    starts = rows[first[length[first] > 0.0]]
    axis = np.eye(rows.shape[1])[:1]  # the leading singular vector
    rays = np.vstack([axis, -axis, starts, rows.sum(axis=0)[None]])
    rays = rays[np.linalg.norm(rays, axis=1) > 0.0]
    for _ in range(CLIMB):
        # the gain is convex: along its gradient it never falls
        step = np.maximum(rays @ rows.T, 0.0) @ rows
        size = np.linalg.norm(step, axis=1, keepdims=True)
        rays = np.where(size > 0.0, step / np.where(size > 0.0, size, 1.0), rays)
    return rays


def _gain(rows: np.ndarray, rays: np.ndarray) -> np.ndarray:
    return np.sum(np.maximum(rays @ rows.T, 0.0) ** 2, axis=1)


def _off_the_cone(point: np.ndarray, flow: np.ndarray, lines: bool) -> np.ndarray:
    r"""`flow` less the nearest $\dot g_i r + g_i \dot r$, with $\dot g_i \ge 0$ where $g_i = 0$."""
    if not point.any():
        return flow - _on_a_ray(flow, lines)  # at its tip, a cone is its own tangent cone
    point = point / np.max(np.abs(point))
    ray = point[np.argmax(np.linalg.norm(point, axis=1))]
    ray = ray / np.linalg.norm(ray)
    g = point @ ray
    share = g / np.linalg.norm(g)
    rest = flow - np.outer(share, share @ flow)
    along = rest @ ray
    if not lines:
        along = np.where(np.abs(g) <= ROUNDING * np.max(np.abs(g)), np.maximum(along, 0.0), along)
    return rest - np.outer(along, ray)
