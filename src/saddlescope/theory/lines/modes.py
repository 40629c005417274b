r"""The modes of a layer of linear units: how fast each grows, what it is worth, and how much of it there is at the start.

In a basis of $\Sigma$'s eigenvectors that $B$ can reach, $B = \sum_k s_k\, l_k r_k^\top$. Near zero weights mode k grows at the rate $s_k$, carried by the
overlap $c_k = (U^\top l_k + V^\top r_k)/\sqrt2$, a vector with one entry a unit. The saddles are the truncations of $T = \Sigma^{-1/2} B$ to some of
its singular vectors, with losses $L(0) - \tfrac12\sum \tau_j^2$ (Baldi & Hornik 1989). Where $\Sigma$ and $B$ have common singular vectors (they
*commute*), $\tau_k = s_k/\sqrt{\lambda_k}$.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .moments import Lines

#: Eigenvalues, and singular values, closer than this part of the largest are one.
CLOSE = 1e-9
#: An overlap that is perpendicular by less than this part of its length is so by rounding.
DEPENDENT = 1e-12
#: An eigenvalue of Sigma below this part of the largest, a dimension, is zero but for rounding: what B seems to have there is rounding too, and over such an eigenvalue it would be a saddle's height.
EMPTY = 100 * np.finfo(np.float64).eps
#: What rounding does to eigenvalues, as a part of the largest.
ROUNDING = 16 * np.finfo(np.float64).eps
#: A mode weaker than this part of the strongest is rounding.
NOTHING = 1e-11


class Modes(NamedTuple):
    r"""Modes in the order of their rates s.

    - `s` [modes]; `lam` [modes]: $l_k^\top\Sigma\,l_k$, an eigenvalue where they commute.
    - `tau` [modes]: singular values of $\Sigma^{-1/2}B$, in the order of the modes where they commute, otherwise falling.
    - `commute`: whether the $l_k$ are eigenvectors of $\Sigma$.
    - `l` [reached, modes]: the $l_k$ in the reached eigenvectors, whose eigenvalues are `sigma` [reached].
    - `into` [weights, reached], `out` [readouts, modes]: these eigenvectors, and the $r_k$.
    - `plus` [modes, units], `minus`: the overlaps $c_k$, which grow, and those that decay.
    - `perpendicular` [modes]: $|c_k|$ without what lies along $c_1 \dots c_{k-1}$; 0 beyond the number of units, and where weights of low
        rank start nothing new.
    """

    s: Float[np.ndarray, " modes"]
    lam: Float[np.ndarray, " modes"]
    tau: Float[np.ndarray, " modes"]
    commute: bool
    l: Float[np.ndarray, "reached modes"]
    sigma: Float[np.ndarray, " reached"]
    into: Float[np.ndarray, "weights reached"]
    out: Float[np.ndarray, "readouts modes"]
    plus: Float[np.ndarray, "modes units"]
    minus: Float[np.ndarray, "modes units"]
    perpendicular: Float[np.ndarray, " modes"]


def modes_of(lines: Lines) -> Modes:
    """**Raises:** `ValueError` where there is nothing to learn, B = 0."""
    values, vectors = np.linalg.eigh(lines.sigma)
    strength = float(np.linalg.norm(lines.b))
    into, sigma, rows = [], [], []
    kept = values > EMPTY * values.size * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    # of small eigenvalues few are one: what rounding parts, and what is close beside their own size
    for group in _groups(values, CLOSE * values[1:] + ROUNDING * values[-1:]):
        # of an eigenspace only what B touches ever moves away from where it started
        left, sizes, right = np.linalg.svd(vectors[:, group].T @ lines.b, full_matrices=False)
        kept = sizes > NOTHING * strength
        into.append(vectors[:, group] @ left[:, kept])
        sigma.append(np.full(int(kept.sum()), values[group].mean()))
        rows.append(sizes[kept, None] * right[kept])
    if not sum(part.size for part in sigma):
        raise ValueError("Nothing to learn: E[psi y^T] is zero, so f = 0 is the best function and no mode grows.")
    into, sigma, b = np.concatenate(into, axis=1), np.concatenate(sigma), np.concatenate(rows)
    l, s, r = np.linalg.svd(b, full_matrices=False)
    kept = s > NOTHING * s[0]
    l, s, r = l[:, kept], s[kept], r[kept]
    for group in _groups(-s, CLOSE * s[0]):
        if len(group) > 1:  # any basis of equal modes is one: take that of Sigma, so that these commute where they can
            _, turn = np.linalg.eigh(l[:, group].T @ (sigma[:, None] * l[:, group]))
            l[:, group], r[group] = l[:, group] @ turn, turn.T @ r[group]
    lam = np.einsum("pk,p,pk->k", l, sigma, l)
    commute = bool(np.abs(sigma[:, None] * l - l * lam).max() <= 1e3 * CLOSE * sigma.max())
    tau = s / np.sqrt(lam) if commute else np.linalg.svd(b / np.sqrt(sigma)[:, None], compute_uv=False)[: s.size]
    left, right = l.T @ (into.T @ lines.u), r @ lines.v
    plus, minus = (left + right) / np.sqrt(2), (left - right) / np.sqrt(2)
    _, triangle = np.linalg.qr(plus.T)
    perpendicular = np.zeros(s.size)
    perpendicular[: triangle.shape[0]] = np.abs(np.diag(triangle))
    perpendicular[perpendicular <= DEPENDENT * np.linalg.norm(plus, axis=1)] = 0.0
    return Modes(s, lam, tau, commute, l, sigma, into, r.T, plus, minus, perpendicular)


def _groups(values: np.ndarray, gap: float | np.ndarray) -> list[np.ndarray]:
    """Positions of rising values, those closer than `gap` to their neighbour together."""
    return np.split(np.arange(values.size), np.flatnonzero(np.diff(values) > gap) + 1)
