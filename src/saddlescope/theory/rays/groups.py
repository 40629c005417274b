r"""Data that piecewise linear units see one ray at a time: any two kink rows are orthogonal or parallel.

Then $z_{ik} = u_i \cdot \rho_k$ for the rays $\rho_k$ (orthonormal) is all that a unit knows, and a sample on ray $k$ moves no other $z$. Orthogonal inputs
are the case of one sample a ray, kernels on inputs with one positive entry that of one sample a ray and position.
"""

from typing import NamedTuple

import jax
import numpy as np

from ...networks import AbstractLens
from ...objective import Objective

#: Cosines closer to 0 or 1 than this count as exact: inputs are rotated in 64 bits.
ANGLE = 1e-9
#: Second moments this close to the assumed form count as exact.
MOMENT = 1e-10


class Line(NamedTuple):
    r"""Rays whose targets share a readout direction up to sign.

    - `rays` [members]: their numbers; `readout` [readouts]: the unit vector $g$; `pull` [members]: $b_k$ with $E[\psi_k y] = b_k g$.
    """

    rays: np.ndarray
    readout: np.ndarray
    pull: np.ndarray


class Rays(NamedTuple):
    r"""The loss as a function of $M_k = \sum_i z_{ik}^+ v_i$: $L = $ `irreducible` $+ \frac12 \sum_k \lambda_k |M_k - M^*_k|^2$.

    - `direction` [rays, weights]: orthonormal $\rho_k$, turned so that a unit is active where $u \cdot \rho_k > 0$.
    - `slope`: of an active unit.
    - `moment` [rays]: $\lambda_k$, the mean square of a ray's samples in one readout.
    - `pull` [rays, readouts]: $E[\psi_k y] = \lambda_k M^*_k$, what moves a small unit. A readout is a pair of feature and output.
    - `irreducible`: of samples that share a ray but not a slope.
    - `lines`: the rays with a target, gathered.
    """

    direction: np.ndarray
    slope: float
    moment: np.ndarray
    pull: np.ndarray
    irreducible: float
    lines: tuple[Line, ...]

    @property
    def target(self) -> np.ndarray:
        r"""$M^*$ [rays, readouts]."""
        return self.pull / self.moment[:, None]

    @property
    def losses(self) -> np.ndarray:
        r"""What each ray adds to the loss while nothing is learned there, $\frac12 \lambda_k |M^*_k|^2$ [rays]."""
        return 0.5 * np.sum(self.pull**2, axis=1) / self.moment


def rays_of(lens: AbstractLens, objective: Objective) -> Rays | str:
    """The data as rays, or which assumption fails."""
    low, high = lens.unit.kink_slopes
    if (low == 0.0) == (high == 0.0):
        return f"units need slope 0 on one side of their kink and not on the other: found {low} and {high}, so both sides of a kink move"
    with jax.enable_x64(True):
        rows = np.asarray(jax.vmap(lens.unit.kink_rows)(jax.numpy.asarray(objective.x, jax.numpy.float64)))
    side, slope = (1.0, high) if low == 0.0 else (-1.0, -low)
    samples, features, weights = rows.shape
    rows = side * rows.reshape(-1, weights)
    length = np.linalg.norm(rows, axis=1)
    used = np.flatnonzero(length > 1e-12 * np.max(length, initial=0.0))
    if used.size == 0:
        return "every input is zero"
    direction, ray = _gather(rows[used] / length[used, None])
    if direction is None:
        return (
            "inputs are neither orthogonal nor parallel (with one direction each): units then cross or slide along kinks while they learn, "
            "and which samples a unit ends up with is decided on the way"
        )
    # psi[sample, ray, feature] = slope x length where that row lies on that ray
    psi = np.zeros((samples * features, len(direction)))
    psi[used, ray] = slope * length[used]
    psi = psi.reshape(samples, features, -1).transpose(0, 2, 1).reshape(samples, -1)
    weight, y = np.asarray(objective.weight), np.asarray(objective.y)
    second = (weight[:, None] * psi).T @ psi
    moment = np.diag(second).reshape(len(direction), features).mean(axis=1)
    if np.max(np.abs(second - np.diag(np.repeat(moment, features)))) > MOMENT * np.max(moment):
        return "second moments of the patches are not a number for each direction, the same at every position and without correlation between them"
    pull = np.einsum("j,jkf,jo->kfo", weight, psi.reshape(samples, -1, features), y).reshape(len(direction), -1)
    total = 0.5 * np.sum(weight * np.sum(y**2, axis=1)) + float(objective.irreducible)
    irreducible = total - 0.5 * np.sum(np.sum(pull**2, axis=1) / moment)
    irreducible = 0.0 if irreducible < 1e-13 * total else float(irreducible)
    lines = _lines(pull)
    if isinstance(lines, str):
        return lines
    return Rays(direction, float(slope), moment, pull, irreducible, lines)


def _gather(rows: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Unit rows [n, weights] to orthonormal rays [rays, weights] and the ray of each row; None where they are no rays."""
    ray = np.full(len(rows), -1)
    found: list[np.ndarray] = []
    while np.any(ray < 0):
        first = rows[np.flatnonzero(ray < 0)[0]]
        cosine = rows @ first
        parallel = cosine > 1 - ANGLE
        if np.any(~parallel & (np.abs(cosine) > ANGLE)):
            return None, ray
        ray[parallel] = len(found)
        found.append(first)
    return np.array(found), ray


def _lines(pull: np.ndarray) -> tuple[Line, ...] | str:
    size = np.linalg.norm(pull, axis=1)
    left = np.flatnonzero(size > 1e-12 * np.max(size, initial=0.0))
    lines: list[Line] = []
    while left.size:
        readout = pull[left[0]] / size[left[0]]
        along = pull[left] @ readout
        cosine = along / size[left]
        member = np.abs(cosine) > 1 - ANGLE
        if np.any(~member & (np.abs(cosine) > ANGLE)):
            return (
                "targets of different inputs are neither parallel nor orthogonal as vectors over outputs (or positions): "
                "a unit's readout then turns between them while it is small"
            )
        lines.append(Line(left[member], readout, along[member]))
        left = left[~member]
    return tuple(lines)
