"""The motion of units of any smooth formula: derivatives by JAX, compiled once for a few sizes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ...networks import AbstractLens
from ...objective import Objective
from .motion import AbstractMotion, Units, Velocity

#: Calls with fewer units are filled up with silent ones to one of these sizes, or a power of two: each is compiled once.
SIZES = (4, 16, 64)


class AnyUnit(AbstractMotion):
    """Units of any formula with two derivatives in u."""

    def __init__(self, lens: AbstractLens, objective: Objective):
        super().__init__(lens, objective)
        # of the network only what a unit is: its own weights stay out of what is compiled
        one = lens.of(lens.put(*(np.asarray(a[:1]) for a in lens.get())))
        leaves, self._form = jax.tree.flatten((one, objective))
        with jax.enable_x64(True):
            self._leaves = [jnp.asarray(a) for a in leaves]
            self._root = jnp.asarray(self.root)

    def _call(self, function, units: Units, *more):
        count = len(units)
        filled = np.zeros((size_of(count), self.size))
        filled[:count] = units
        with jax.enable_x64(True):
            found = function(self._form, self._leaves, self._root, filled, *more)
        return tuple(np.asarray(a)[:count] for a in found)

    def coupled(self, units: Units, others: np.ndarray | float = 0.0) -> tuple[np.ndarray, Units]:
        filled = np.zeros((size_of(len(units)), self.size))
        filled[: len(units)] = units
        with jax.enable_x64(True):
            residual, velocity = _coupled(self._form, self._leaves, self._root, filled, self.target - others)
        return np.asarray(residual), np.asarray(velocity)[: len(units)]

    def weighted(self, units: Units, multiplicities: np.ndarray) -> tuple[np.ndarray, Units]:
        """The residual that these units leave, each counted so many times, and their velocity in it."""
        filled = np.zeros((size_of(len(units)), self.size))
        filled[: len(units)] = units
        counts = np.zeros(len(filled))
        counts[: len(units)] = multiplicities
        with jax.enable_x64(True):
            residual, velocity = _weighted(self._form, self._leaves, self._root, filled, counts, self.target)
        return np.asarray(residual), np.asarray(velocity)[: len(units)]

    def at_zero(self) -> tuple[np.ndarray, np.ndarray]:
        r"""$\phi$ at zero weights [rows, features], and its slopes [rows, features, weights], times the root of the rows' weights."""
        with jax.enable_x64(True):
            value, slope = _at_zero(self._form, self._leaves)
        root = self.root[:, None]
        return root * np.asarray(value, np.float64), root[:, :, None] * np.asarray(slope, np.float64)

    def parts(self, units: Units) -> np.ndarray:
        return self._call(_parts, units)[0]

    def in_residual(self, residual: np.ndarray) -> Velocity:
        return lambda units: self._call(_velocity, units, residual)[0]

    def slopes(self, units: Units, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs, own = self._call(_slopes, units, residual)
        rows = len(self.root) * self.readout[1]
        return outputs.transpose(1, 2, 0, 3).reshape(rows, -1), own


def size_of(count: int) -> int:
    """To how many units a call with `count` of them is filled up."""
    return next((s for s in SIZES if s >= count), 1 << max(count - 1, 1).bit_length())


def _value(form, leaves, root, unit: jax.Array) -> jax.Array:
    """phi v of one unit on the rows, times the root of their weights."""
    lens, objective = jax.tree.unflatten(form, leaves)
    u, v = lens.get()
    weights, readout = u.shape[1], v.shape[1:]
    return root[:, None] * (objective.unit_features(lens, unit[:weights]) @ unit[weights:].reshape(readout))


@partial(jax.jit, static_argnums=0)
def _parts(form, leaves, root, units):
    return (jax.vmap(lambda w: _value(form, leaves, root, w))(units),)


@partial(jax.jit, static_argnums=0)
def _velocity(form, leaves, root, units, residual):
    return (jax.vmap(jax.grad(lambda w: jnp.sum(residual * _value(form, leaves, root, w))))(units),)


@partial(jax.jit, static_argnums=0)
def _weighted(form, leaves, root, units, counts, target):
    parts, back = jax.vjp(lambda units: _parts(form, leaves, root, units)[0], units)
    residual = target - jnp.tensordot(counts, parts, 1)
    return residual, back(jnp.broadcast_to(residual, parts.shape))[0]


@partial(jax.jit, static_argnums=0)
def _at_zero(form, leaves):
    lens, objective = jax.tree.unflatten(form, leaves)
    zero = jnp.zeros(lens.get()[0].shape[1])

    def features(u):
        return objective.unit_features(lens, u)

    return features(zero), jax.jacfwd(features)(zero)


@partial(jax.jit, static_argnums=0)
def _coupled(form, leaves, root, units, target):
    parts, back = jax.vjp(lambda units: _parts(form, leaves, root, units)[0].sum(axis=0), units)
    residual = target - parts
    return residual, back(residual)[0]


@partial(jax.jit, static_argnums=0)
def _slopes(form, leaves, root, units, residual):
    by_weight = jax.vmap(jax.jacfwd(lambda w: _value(form, leaves, root, w)))(units)
    own = jax.vmap(jax.hessian(lambda w: jnp.sum(residual * _value(form, leaves, root, w))))(units)
    return by_weight, own
