"""Units on rays reduced once: each settled alone on its rays, then all of them as small linear networks from when their output counts."""

import numpy as np

from ...networks import AbstractLens
from .._base import Problem
from ..curve import Seen
from .early import Settled, settle
from .groups import Rays
from .late import Late, evolve
from .masked import Units

#: Units join with all their kinks behind them while the output is below this part of the target; kinks to come later are followed one by one.
NEGLIGIBLE = 1e-4
#: The last stage is over at this part of the smallest loss that a ray adds.
DONE = 1e-3
#: Steps of the reduced run, and of one that only looks for a plateau.
STEPS, LOOKING_STEPS = 20_000, 2_000


class Reduced:
    """One problem, reduced."""

    def __init__(self, problem: Problem, lens: AbstractLens, rays: Rays):
        self.problem, self.lens, self.rays = problem, lens, rays
        u, v = (np.asarray(part, np.float64) for part in lens.get())
        self.u, self.shape = u, v.shape
        z = u @ rays.direction.T
        self.units = Units(z > 0, np.where(z > 0, z, 0.0), v.reshape(len(v), -1))
        self.z = z
        final = [settle(z[:, line.rays], self.units.v @ line.readout, line.pull) for line in rays.lines]
        self.join = self._join(final)
        self.settled = [
            settle(z[:, line.rays], self.units.v @ line.readout, line.pull, self.join) for line in rays.lines
        ]
        carried = np.zeros(len(rays.moment), bool)
        for line, end in zip(rays.lines, final, strict=True):
            carried[line.rays] = np.any(end.active & (end.growing[:, None] * line.pull > 0), axis=0)
        self.carried = carried | (rays.losses == 0)
        self.end = rays.irreducible + float(np.sum(rays.losses[~self.carried]))
        self.origin = rays.irreducible + float(np.sum(rays.losses))

    def _join(self, final: list[Settled]) -> float:
        """When the output of units that grow by themselves is `NEGLIGIBLE` (or e times what it is at first): kinks before it count as early."""
        amplitudes, rates = np.concatenate([e.growing for e in final]), np.concatenate([e.rate for e in final])
        size = np.concatenate(
            [
                np.full(len(e.rate), np.linalg.norm(self.rays.target[line.rays]))
                for e, line in zip(final, self.rays.lines, strict=True)
            ]
        )

        def part(t: float) -> float:
            with np.errstate(over="ignore"):
                return float(np.sum(0.5 * amplitudes**2 * np.exp(2 * rates * t) / size))

        if not np.any(amplitudes):
            return 0.0
        low, high = 0.0, 1e3 / float(np.max(rates))
        wanted = max(NEGLIGIBLE, np.e * part(0.0))
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if part(middle) < wanted else (low, middle)
        return low

    def late(self, factor: float = 1.0) -> Late:
        """The reduced run from weights that are `factor` times those given."""
        active, z, v = self.units.active.copy(), self.units.z.copy(), self.units.v.copy()
        then, z_join, v_join = active.copy(), np.zeros(z.shape), np.zeros(v.shape)
        for line, end in zip(self.rays.lines, self.settled, strict=True):
            then[:, line.rays] = end.active
            active[:, line.rays] = end.active & ~end.pending[:, None]
            z[:, line.rays], z_join[:, line.rays] = end.z, end.z_join
            v += (end.readout - v @ line.readout)[:, None] * line.readout
            v_join += end.readout_join[:, None] * line.readout
        units = Units(active, factor * z, factor * v)
        joining = Units(then, factor * z_join, factor * v_join)
        pulls = np.linalg.norm(self.rays.pull, axis=1)
        slowest = float(np.min(pulls[(pulls > 0) & self.carried], initial=float(np.max(pulls))))
        smallest = float(np.min(self.rays.losses[self.rays.losses > 0]))
        size = factor * float(np.sqrt(np.mean(self.units.v**2)))
        return evolve(
            self.rays,
            units,
            joining,
            self.join,
            done=DONE * smallest,
            t_max=self.join + 4 * (30 + max(-np.log(max(size, 1e-300)), 0.0)) * len(pulls) / slowest,
            steps=STEPS if factor == 1.0 else LOOKING_STEPS,
            learning_rate=self.problem.learning_rate or 0.0,
            coarse=factor != 1.0,
        )

    def fitted(self, late: Late, seen: Seen) -> np.ndarray:
        """Which rays are learned at a minimum of the speed."""
        residual = np.linalg.norm(late.residual_at(float(late.curve.t[seen.position])), axis=1)
        return residual < 0.5 * np.linalg.norm(self.rays.target, axis=1)

    def height(self, fitted: np.ndarray) -> float:
        return self.rays.irreducible + float(np.sum(self.rays.losses[~fitted]))

    def initial_speed(self) -> float:
        units = self.units
        pull = self.rays.pull - self.rays.moment[:, None] * (units.z.T @ units.v)
        return float(np.hypot(np.linalg.norm((units.v @ pull.T)[units.active]), np.linalg.norm(units.z @ pull)))
