r"""Units that are each active on rays of their own: what is left of a piecewise linear network once its kinks are past.

A unit that stays active on the same rays $A$ moves linearly in its own weights, so all units with the same $A$ share one propagator, and an orthogonal
change of basis among them leaves loss and gradient as they are. At most $|A| + $ readouts combinations of them are not zero: those are the columns here, however many
units there are.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .groups import Rays


class Units(NamedTuple):
    """Units on rays: `active`, `z` [units, rays], `v` [units, readouts]; z is 0 where a unit is not active."""

    active: np.ndarray
    z: np.ndarray
    v: np.ndarray


@dataclass(frozen=True)
class Masked:
    r"""The reduced network, $M = Z V^\top$ with $Z$ masked.

    - `active` [rays, columns]: where Z may differ from 0.
    - `z` [rays, columns], `v` [readouts, columns]: where it starts.
    - `units`: that it was made of; `bases`: for each group of them its members, its columns, and the members as combinations of those.
    """

    rays: Rays
    active: np.ndarray
    z: np.ndarray
    v: np.ndarray
    units: "Units"
    bases: "tuple[tuple[np.ndarray, slice, np.ndarray], ...]"

    @classmethod
    def of(cls, rays: Rays, units: "Units") -> "Masked":
        """Units that are active nowhere do not move and are left out."""
        # a mask as one number, or as one string of bytes: np.unique over rows would sort them far more slowly
        packed = np.ascontiguousarray(np.packbits(units.active, axis=1))
        masks = packed.ravel() if packed.shape[1] == 1 else packed.view(f"V{packed.shape[1]}").ravel()
        _, example, group = np.unique(masks, return_index=True, return_inverse=True)
        masks = units.active[example]
        actives, zs, vs, bases = [], [], [], []
        first = 0
        for number, mask in enumerate(masks):
            members = np.flatnonzero(group == number)
            if not np.any(mask):
                continue
            # q's columns are orthonormal in the space of units: M, loss and speed are those of the rows of r
            q, r = np.linalg.qr(np.hstack([units.z[members][:, mask], units.v[members]]))
            wide = np.zeros((len(r), len(mask)))
            wide[:, mask] = r[:, : np.sum(mask)]
            actives.append(np.tile(mask, (len(r), 1)))
            zs.append(wide)
            vs.append(r[:, np.sum(mask) :])
            bases.append((members, slice(first, first + len(r)), q))
            first += len(r)
        shapes = ((0, units.z.shape[1]), (0, units.v.shape[1]))
        active = np.concatenate([np.zeros(shapes[0], bool), *actives]).T
        z, v = (np.concatenate([np.zeros(shape), *part]).T for shape, part in zip(shapes, (zs, vs), strict=True))
        return cls(rays, active, z, v, units, tuple(bases))

    def units_at(self, state: np.ndarray) -> "Units":
        """Every unit's weights at a state."""
        z, v = self.split(state)
        all_z, all_v = self.units.z.copy(), self.units.v.copy()
        for members, columns, q in self.bases:
            all_z[members], all_v[members] = q @ z[:, columns].T, q @ v[:, columns].T
        return Units(self.units.active, all_z, all_v)

    @property
    def state_size(self) -> int:
        return int(np.sum(self.active)) + self.v.size

    @property
    def start(self) -> np.ndarray:
        return np.concatenate([self.z[self.active], self.v.ravel()])

    def split(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Z and V of a state."""
        number = int(np.sum(self.active))
        z = np.zeros(self.active.shape, state.dtype)
        z[self.active] = state[:number]
        return z, state[number:].reshape(self.v.shape)

    def residual(self, state: np.ndarray) -> np.ndarray:
        r"""$M^* - M$ [rays, readouts]."""
        z, v = self.split(state)
        return self.rays.target - z @ v.T

    def loss(self, state: np.ndarray) -> float:
        return self.rays.irreducible + 0.5 * float(self.rays.moment @ np.sum(self.residual(state) ** 2, axis=1))

    def velocity(self, state: np.ndarray) -> np.ndarray:
        z, v = self.split(state)
        pull = self.rays.pull - self.rays.moment[:, None] * (z @ v.T)
        return np.concatenate([(pull @ v)[self.active], (pull.T @ z).ravel()])
