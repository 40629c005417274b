r"""The motion of linear units whose features are correlated, on as many combinations of units as there are weights and readouts of one unit.

Also where features share no second moment, f is linear in $M = U V^\top$, and so

$$\dot Z = \begin{pmatrix}0 & R\\ R^\top & 0\end{pmatrix} Z, \qquad Z = \begin{pmatrix}U\\V\end{pmatrix}, \qquad R_{p,(f,o)} = E[\psi_{fp}\,(y - f)_o]$$

acts on each column, a unit, alike: Z stays in the span of its rows in the space of units, which no width makes larger than weights + readouts, and any orthonormal basis of that span
does for units. Exact, for any data. What differs from one shared moment is R as a function of M: saddles have no formula, and later directions need not be among those that grow first.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..crowds.motion import AbstractMotion, Units, Velocity


class LinearUnits(AbstractMotion):
    r"""Units with $\phi_f(x; u) = \psi_f(x) \cdot u$ in NumPy alone; `psi` [rows, features, weights] carries the square root of the rows' weights."""

    def __init__(self, lens, objective, psi: Float[np.ndarray, "rows features weights"]):
        super().__init__(lens, objective)
        self.psi = self.root[:, None, None] * psi
        self.flat = np.ascontiguousarray(self.psi.transpose(0, 2, 1)).reshape(len(psi), -1)  # (weight, feature)

    def parts(self, units: Units) -> np.ndarray:
        u, v = self.split(units)
        return np.einsum("kfp,ip,ifo->iko", self.psi, u, v, optimize=True)

    def in_residual(self, residual: np.ndarray) -> Velocity:
        pull = self.pull(residual)

        def velocity(units: Units) -> Units:
            u, v = self.split(units)
            return np.concatenate(
                [np.einsum("pfo,ifo->ip", pull, v), np.einsum("pfo,ip->ifo", pull, u).reshape(len(u), -1)], 1
            )

        return velocity

    def slopes(self, units: Units, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, v = self.split(units)
        count, (features, outputs), rows = len(u), self.readout, len(self.root)
        by_u = np.einsum("kfp,ifo->koip", self.psi, v, optimize=True)
        by_v = np.zeros((rows, outputs, count, features, outputs))
        phi = np.einsum("kfp,ip->kif", self.psi, u)
        for o in range(outputs):
            by_v[:, o, :, :, o] = phi
        slopes = np.concatenate([by_u, by_v.reshape(rows, outputs, count, -1)], axis=3)
        own = np.zeros((self.size, self.size))
        own[: self.weights, self.weights :] = self.pull(residual).reshape(self.weights, -1)
        return slopes.reshape(rows * outputs, -1), np.broadcast_to(own + own.T, (count, self.size, self.size))

    def pull(self, residual: np.ndarray) -> np.ndarray:
        """R [weights, features, outputs] of a residual [rows, outputs]."""
        return (self.flat.T @ residual).reshape(self.weights, *self.readout)


class Combined(NamedTuple):
    """A layer of linear units on some combinations of them: `state` [weights + readouts, columns] at the start."""

    units: LinearUnits
    state: Float[np.ndarray, "rows columns"]

    def residual(self, state: np.ndarray) -> np.ndarray:
        """sqrt(weight) (y - f), [..., rows, outputs]."""
        u, v = state[..., : self.units.weights, :], state[..., self.units.weights :, :]
        strength = u @ np.swapaxes(v, -1, -2)
        return self.units.target - self.units.flat @ strength.reshape(*state.shape[:-2], -1, self.units.readout[1])

    def velocity(self, state: np.ndarray) -> np.ndarray:
        """-grad L, [..., rows, columns]."""
        w = self.units.weights
        r = (self.units.flat.T @ self.residual(state)).reshape(*state.shape[:-2], w, -1)
        return np.concatenate([r @ state[..., w:, :], np.swapaxes(r, -1, -2) @ state[..., :w, :]], axis=-2)

    def loss(self, state: np.ndarray) -> np.ndarray:
        return 0.5 * np.sum(self.residual(state) ** 2, axis=(-2, -1)) + self.units.irreducible

    def speed(self, state: np.ndarray) -> np.ndarray:
        return np.sqrt(np.sum(self.velocity(state) ** 2, axis=(-2, -1)))


def combined(units: LinearUnits, columns: int | None, wait: float) -> Combined:
    """The layer on combinations of its units: on all that its weights span (`columns` None, exact), or on those largest once the first direction has grown for half its `wait`."""
    z = units.start.T
    grown = z
    if columns is not None:
        r = units.pull(units.target).reshape(units.weights, -1)
        left, s, right = np.linalg.svd(r, full_matrices=False)
        plus, minus = (left.T @ z[: units.weights] + sign * right @ z[units.weights :] for sign in (1.0, -1.0))
        up, down = (
            np.expm1(np.clip(sign * 0.5 * wait * s, None, 300.0))[:, None] * part
            for sign, part in ((1.0, plus), (-1.0, minus))
        )
        grown = z + 0.5 * np.concatenate([left @ (up + down), right.T @ (up - down)])
    size = np.linalg.norm(grown, axis=1, keepdims=True)
    if columns is None:
        grown = grown / np.where(size > 0, size, 1.0)
    _, sizes, basis = np.linalg.svd(grown, full_matrices=False)
    kept = sizes > 1e-13 * sizes[0] if columns is None else np.arange(len(sizes)) < columns
    return Combined(units, z @ basis[kept].T)
