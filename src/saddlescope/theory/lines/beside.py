r"""Weights beside the modes: inputs that do not correlate with anything and outputs without a target, which still act on the units that grow.

For an eigenvector n of $\Sigma$, $\lambda_n > 0$, that B does not touch, and an output o without a target,

$$\dot u_n = -\lambda_n\, u_n V^\top V, \qquad \dot v_o = -v_o U^\top \Sigma\, U :$$

both stand while units are small and decay along a unit once it has grown. Meanwhile they slow the growth of mode k, along e in the space of units, from $s_k$ to
$s_k - \frac12 (\lambda_n (u_n e)^2 + \lambda_k (v_o e)^2)$: a part scale$^2$ of the whole wait. Rows of one $\lambda_n$ act through $u_n^\top u_n$ alone, and so do
all $v_o$ through theirs: as many rows as there are combinations of units do for them (an orthogonal transformation, exact). Rows of different $\lambda_n$ are gathered in as many
of one $\lambda$ with the same $\sum_n \lambda_n u_n^\top u_n$, which is exact while they stand.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .modes import Modes
from .moments import Lines

#: Eigenvalues below this part of the largest are zero: such inputs are never seen.
UNSEEN = 1e-13
#: Of the slowest rate: what slows a mode by less is left to the expected errors (`errors.INTEGRATION`).
SLIGHT = 1e-7
#: Rows below this part of the largest are rounding.
ROUNDING = 1e-14
#: Gathered rows get no larger an eigenvalue than so many times the largest of a mode: beyond it they only make the motion stiff.
STIFF = 30.0
#: Eigenvalues within this part are one, and gathering their rows is exact.
EQUAL = 1e-9


class Beside(NamedTuple):
    r"""What lies beside the modes.

    - `inputs` [weights, rows_u]: directions n with eigenvalues `sigma` [rows_u]; `outputs`: the number of directions o.
    - `slowing` [modes]: $\frac12 (\lambda_n |u_n|^2 + \lambda_k |v_o|^2)$ on the span of the modes' overlaps, the most that any combination of units has: a rate.
    """

    inputs: Float[np.ndarray, "weights rows_u"]
    sigma: Float[np.ndarray, " rows_u"]
    outputs: int
    slowing: Float[np.ndarray, " modes"]

    def slight(self, modes: Modes) -> bool:
        """Whether they may be left out: what they change is within the error of integration."""
        return bool(np.all(self.slowing <= SLIGHT * modes.s))

    def gathered(self, lines: Lines, modes: Modes, basis: Float[np.ndarray, "units columns"]) -> "Rows":
        """The rows on some combinations of units, as few as these; exact where the eigenvalues are equal, and while units wait."""
        u, sigma, v = self.inputs.T @ (lines.u @ basis), self.sigma, _untaught(lines.v @ basis, modes, self.outputs)
        if len(u) > u.shape[1]:
            weight = sigma * np.sum(u**2, axis=1)
            one = float(weight @ sigma / max(float(np.sum(weight)), 1e-300))
            one = float(np.clip(one, sigma.min(), max(STIFF * modes.lam.max(), sigma.min())))
            u = _fewer(np.sqrt(sigma / one)[:, None] * u)
            sigma = np.full(len(u), one)
        return Rows(u, sigma, v)

    def exactly(self, lines: Lines, modes: Modes) -> "Rows":
        """The rows on all units: of each eigenvalue no more than units."""
        u, sigma = [np.zeros((0, lines.u.shape[1]))], [np.zeros(0)]
        for group in _equal(self.sigma):
            u.append(_fewer(self.inputs[:, group].T @ lines.u))
            sigma.append(np.full(len(u[-1]), self.sigma[group].mean()))
        return Rows(np.concatenate(u), np.concatenate(sigma), _untaught(lines.v, modes, self.outputs))

    def most_rows(self, units: int) -> int:
        """No fewer than `exactly` has."""
        return sum(min(len(group), units) for group in _equal(self.sigma)) + min(self.outputs, units)


class Rows(NamedTuple):
    """Rows beside the modes: `u` with eigenvalues `sigma`, and `v`."""

    u: Float[np.ndarray, "rows_u columns"]
    sigma: Float[np.ndarray, " rows_u"]
    v: Float[np.ndarray, "rows_v columns"]


def beside(lines: Lines, modes: Modes) -> Beside:
    """What of the weights lies outside the rows that B reaches."""
    values, vectors = np.linalg.eigh(lines.sigma)
    seen = values > UNSEEN * values[-1]
    values, vectors = values[seen], vectors[:, seen]
    inputs, sigma = [vectors[:, :0]], [np.zeros(0)]
    for group in _equal(values):
        # within an eigenspace what B touches is so many directions; the others are orthogonal to them
        own = vectors[:, group]
        touched = own.T @ modes.into
        basis, sizes, _ = np.linalg.svd(touched, full_matrices=True)
        left = own @ basis[:, int(np.sum(sizes > 0.5)) :]
        inputs.append(left)
        sigma.append(np.full(left.shape[1], values[group].mean()))
    inputs, sigma = np.concatenate(inputs, axis=1), np.concatenate(sigma)
    outputs = modes.out.shape[0] - modes.out.shape[1]
    across = np.linalg.svd(modes.plus, full_matrices=False)[2].T if modes.plus.any() else modes.plus.T
    strongest = [
        float(np.linalg.norm(rows, 2)) ** 2 if rows.size else 0.0
        for rows in (
            np.sqrt(sigma)[:, None] * (inputs.T @ (lines.u @ across)),
            _untaught(lines.v @ across, modes, outputs),
        )
    ]
    return Beside(inputs, sigma, outputs, 0.5 * (strongest[0] + modes.lam * strongest[1]))


def _equal(values: np.ndarray) -> list[np.ndarray]:
    """Positions of rising eigenvalues, those that are one together."""
    if not values.size:
        return []
    return np.split(np.arange(values.size), np.flatnonzero(np.diff(values) > EQUAL * values[-1]) + 1)


def _untaught(v: np.ndarray, modes: Modes, count: int) -> np.ndarray:
    """What of output weights [readouts, columns] lies along the `count` directions without a target, as few rows as have the same products among columns."""
    if not count:
        return v[:0]
    _, sizes, across = np.linalg.svd(v - modes.out @ (modes.out.T @ v), full_matrices=False)
    return (sizes[:, None] * across)[:count]


def _fewer(rows: np.ndarray) -> np.ndarray:
    """Rows with the same products among columns, no more than these."""
    if len(rows) <= rows.shape[1]:
        return rows
    _, sizes, across = np.linalg.svd(rows, full_matrices=False)
    kept = sizes > ROUNDING * max(float(sizes[0]), 1e-300)
    return sizes[kept, None] * across[kept]
