r"""Directions in which the loss is constant because of what units are, not because of the data.

At a fixed point they are exact null vectors of the Hessian: eigenvalues that need no threshold to be zero.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..networks import AbstractLens, AbstractNetwork

#: A direction that moves less than this part of a layer's weights is a unit that is silent to rounding: its image under the Hessian is not zero
#: next to its length.
NO_MOVE = 1e-9


class Symmetries(NamedTuple):
    """Orthonormal bases [weights, directions], in the order of `flow.weights_of`.

    - `gauge`: symmetries of the function at these weights: mixing of linear units, scale of homogeneous ones against their output weights, those
        inside a unit (key against query).
    - `redistribution`: output weights moved between exact copies, or between units that are so up to a positive factor where phi is homogeneous;
        these change neither function nor loss; orthogonal to `gauge`. Only along the output weights that the copies have: moved along others the
        function stays too, but not the zero gradient.
    """

    gauge: np.ndarray
    redistribution: np.ndarray

    @property
    def basis(self) -> np.ndarray:
        return np.hstack([self.gauge, self.redistribution])


def symmetries(network: AbstractNetwork) -> Symmetries:
    """The symmetry directions at a network's weights, over all its hidden layers."""
    size = sum(np.size(a) for a in network.arrays().values())
    gauge, shared = [np.zeros((0, size))], [np.zeros((0, size))]
    for lens in network.lenses():
        if lens.tied is not None:
            continue  # its units move together with another layer's: what this layer alone could do is no symmetry
        u, v = (np.asarray(part, np.float64) for part in lens.get())
        where_u, where_v = _places(lens, u.shape, v.shape)
        flat = v.reshape(len(v), -1)
        least = NO_MOVE * np.sqrt(np.sum(u**2) + np.sum(v**2))
        for found, rows in ((_gauge(lens, u, flat), gauge), (_redistribution(lens, u, flat), shared)):
            for du, dv in found:
                direction = np.zeros((len(du), size))
                direction[:, where_u] = du.reshape(len(du), u.size)
                direction[:, where_v] += dv.reshape(len(dv), v.size)
                rows.append(direction[np.linalg.norm(direction, axis=1) > least])
    first = _orthonormal(np.concatenate(gauge))
    rest = np.concatenate(shared)
    rest = rest - (rest @ first) @ first.T
    return Symmetries(first, _orthonormal(rest[np.linalg.norm(rest, axis=1) > 1e-9]))


def _gauge(lens: AbstractLens, u: np.ndarray, v: np.ndarray):
    """Pairs of changes [directions, units, ...] of u and v."""
    facts, n = lens.facts, len(u)
    if facts.linear:
        for i in range(n):  # u_i gains u_j, v_j loses v_i
            du, dv = np.zeros((n, *u.shape)), np.zeros((n, *v.shape))
            du[:, i] = u
            dv[np.arange(n), np.arange(n)] = -v[i]
            yield du, dv
        return
    if facts.degree is not None:
        du, dv = np.zeros((n, *u.shape)), np.zeros((n, *v.shape))
        each = np.arange(n)
        du[each, each], dv[each, each] = u, -facts.degree * v
        yield du, dv
    for i in range(n):
        inside = _inner(lens, u[i])
        du = np.zeros((len(inside), *u.shape))
        du[:, i] = inside
        yield du, np.zeros((len(inside), *v.shape))


def _inner(lens: AbstractLens, u: np.ndarray) -> np.ndarray:
    r"""Directions n of u that change neither phi nor, at a fixed point, its gradient: the group that acts inside a unit.

    With $\phi = \psi\, m(u)$ and $J = \partial m$ the function does not move along the null space of $J$. The gradient $J^\top g$, zero as it is,
    moves by $(\partial_n J)^\top g$ with g orthogonal to the range of J: what is left of $\partial_n J$ there must vanish too. It does not where the
    rank of J is lower than nearby: a head of rank 2 that uses one of its two pairs could be about to learn the other.
    """
    if lens.unit.psi_name is None or not np.any(u):
        return np.zeros((0, u.size))
    with jax.enable_x64(True):
        unit, here = jax.tree.map(jnp.asarray, lens.unit), jnp.asarray(u)
        derivative = np.asarray(_slope(unit, here))
        left, values, right = np.linalg.svd(derivative, full_matrices=True)
        rank = int(np.sum(values > 1e-12 * values[0]))
        null, outside = right[rank:], left[:, rank:]
        if not len(null):
            return null
        bends = [(outside.T @ np.asarray(_bend(unit, here, jnp.asarray(n)))).ravel() for n in null]
    _, values, right = np.linalg.svd(np.array(bends).T)
    values = np.concatenate([values, np.zeros(len(null) - values.size)])
    return right[values <= 1e-10] @ null  # one for a bilinear lift, whatever the size of u


@eqx.filter_jit
def _slope(unit, u):
    return jax.jacfwd(unit.lift)(u)


@eqx.filter_jit
def _bend(unit, u, along):
    return jax.jvp(jax.jacfwd(unit.lift), (u,), (along,))[1]


def _redistribution(lens: AbstractLens, u: np.ndarray, v: np.ndarray):
    facts = lens.facts
    if facts.linear:
        return  # a gauge direction already
    sign = {"odd": -1.0, "even": 1.0, "none": 0.0}[facts.parity]
    size = np.linalg.norm(u, axis=1)
    for j in range(1, len(u)):
        for i in range(j):
            if not (size[i] > 0 and size[j] > 0):
                continue
            # phi(u_j) = part phi(u_i)
            factor = size[j] / size[i] if facts.degree is not None else 1.0
            part = factor**facts.degree if facts.degree is not None else 1.0
            same = np.abs(u[j] - factor * u[i]).max() <= 1e-12 * size[j]
            turned = sign != 0.0 and np.abs(u[j] + factor * u[i]).max() <= 1e-12 * size[j]
            if same or turned:
                # along v alone: other changes keep the function, but not the zero gradient
                along = v[i] if np.linalg.norm(v[i]) > np.linalg.norm(v[j]) else v[j]
                dv = np.zeros((1, *v.shape))
                dv[0, i], dv[0, j] = part * along, -along if same else -sign * along
                yield np.zeros((1, *u.shape)), dv
                break


def _places(lens: AbstractLens, u_shape: tuple[int, ...], v_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where the entries of a layer's u and v stand in the vector of all weights."""
    arrays = lens.network.arrays()
    nowhere = lens.of(lens.network.with_arrays({name: np.full(np.shape(a), -1.0) for name, a in arrays.items()}))
    count_u, count_v = int(np.prod(u_shape)), int(np.prod(v_shape))
    numbered = nowhere.put(
        np.arange(count_u, dtype=np.float64).reshape(u_shape),
        np.arange(count_u, count_u + count_v, dtype=np.float64).reshape(v_shape),
    )
    with jax.enable_x64(True):
        found = np.asarray(ravel_pytree(numbered)[0]).astype(int)
    place = np.zeros(count_u + count_v, dtype=int)
    place[found[found >= 0]] = np.flatnonzero(found >= 0)
    return place[:count_u], place[count_u:]


def _orthonormal(directions: np.ndarray) -> np.ndarray:
    """A basis of their span [weights, basis]."""
    count, size = directions.shape
    lengths = np.linalg.norm(directions, axis=1)
    directions = directions[lengths > 0] / lengths[lengths > 0, None]
    if not len(directions):
        return np.zeros((size, 0))
    if count > size + 10:  # as many random combinations as there are weights span the same
        directions = np.random.Generator(np.random.PCG64(0)).normal(size=(size + 10, len(directions))) @ directions
    _, values, right = np.linalg.svd(directions, full_matrices=False)
    return right[values > 1e-10 * values[0]].T
