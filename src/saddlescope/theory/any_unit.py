"""The motion of units of any smooth formula: derivatives by JAX, compiled once for a few sizes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..networks import AbstractLens
from ..objective import Objective
from .motion import AbstractMotion, Units, Velocity

#: Calls with fewer units are filled up with silent ones to one of these sizes, or a power of two: each is compiled once.
SIZES = (4, 16, 64)


class AnyUnit(AbstractMotion):
    """Units of any formula with two derivatives in u."""

    def __init__(self, lens: AbstractLens, objective: Objective):
        super().__init__(lens, objective)
        # the network of the lens only says what a unit is: its own weights stay out of what is compiled
        one = lens.put(*(np.asarray(a[:1]) for a in lens.get()))
        self._lens = lens.of(one)

    def _filled(self, units: Units) -> Units:
        count = len(units)
        full = next((s for s in SIZES if s >= count), 1 << max(count - 1, 1).bit_length())
        return np.concatenate([units, np.zeros((full - count, self.size))])

    def _call(self, function, units: Units, *more):
        with jax.enable_x64(True):
            found = function(self._lens, self.objective, self._filled(units), *more)
            return jax.tree.map(lambda a: np.asarray(a)[: len(units)], found)

    def parts(self, units: Units) -> np.ndarray:
        return self._call(_parts, units, self.root)

    def in_residual(self, residual: np.ndarray) -> Velocity:
        weighted = self.root[:, None] * residual
        return lambda units: self._call(_velocity, units, weighted)

    def slopes(self, units: Units, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs, own = self._call(_slopes, units, self.root, self.root[:, None] * residual)
        rows = len(self.root) * self.readout[1]
        return outputs.transpose(1, 2, 0, 3).reshape(rows, -1), own


def _value(lens: AbstractLens, objective: Objective, unit: jax.Array) -> jax.Array:
    """phi v of one unit on the rows, without their weights."""
    u, v = lens.get()
    weights, readout = u.shape[1], v.shape[1:]
    return objective.unit_features(lens, unit[:weights]) @ unit[weights:].reshape(readout)


@eqx.filter_jit
def _parts(lens, objective, units, root):
    return jax.vmap(lambda w: root[:, None] * _value(lens, objective, w))(units)


@eqx.filter_jit
def _velocity(lens, objective, units, weighted):
    return jax.vmap(jax.grad(lambda w: jnp.sum(weighted * _value(lens, objective, w))))(units)


@eqx.filter_jit
def _slopes(lens, objective, units, root, weighted):
    by_weight = jax.vmap(jax.jacfwd(lambda w: root[:, None] * _value(lens, objective, w)))(units)
    own = jax.vmap(jax.hessian(lambda w: jnp.sum(weighted * _value(lens, objective, w))))(units)
    return by_weight, own
