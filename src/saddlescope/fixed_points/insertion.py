r"""What a silent unit would see: the largest $|E[(y - f)\,\phi(x; u)]|$ over $|u| = 1$.

Near the origin of a unit of order 2 or more the Hessian is blind (every direction of a small unit is flat), and yet the unit grows as long as
its features are correlated with the residual. This maximum is zero exactly where no silent unit can lower the loss.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..networks import AbstractLens, AbstractNetwork
from ..objective import Objective

STARTS = 32
#: Steps of an ascent, unless it has come to rest before.
ITERATIONS, AT_REST = 400, 1e-7
#: Arcs between kinks are all looked at up to this many.
MOST_ARCS = 4096
#: Relative to sqrt(E|y|^2 E|phi|^2): what a polished fixed point leaves of zero, and from where it is none.
ZERO, NOT_ZERO = 1e-9, 1e-7
#: A loss this near to a lower bound of all networks of this kind, relative to that of f = 0, is an optimum whatever a silent unit sees.
OPTIMUM = 1e-15


class Insertion(NamedTuple):
    r"""What a silent unit would see.

    - `relative`: the maximum relative to $\sqrt{E|y|^2\, E|\phi|^2}$. `value`: as it is, in (output) x (feature).
    - `u` [weights]: the maximiser, $|u| = 1$: what a silent unit learns next.
    - `exact`: whether it is the maximum for certain; otherwise the best of 32 ascents, a lower bound.
    """

    relative: float
    value: float
    u: np.ndarray
    exact: bool


def insertion(network: AbstractNetwork, objective: Objective) -> Insertion:
    r"""The largest $|E[(y - f)\,\phi(x; u)]|$ over $|u| = 1$ for a single layer.

    **Holds** exactly for linear units (a singular value), for smooth units of degree 2 with one feature and output (an eigenvalue), and for piecewise
    linear units of two input weights (every arc between kinks). For others by normalised gradient ascent from 32 fixed
    random directions and the units' own: a lower bound.
    """
    with jax.enable_x64(True):
        network = jax.tree.map(jnp.asarray, network)
        objective = jax.tree.map(jnp.asarray, objective)
        lens = network.lenses()[0]
        u = np.asarray(lens.get()[0])
        certain = _candidates(lens, objective, u.shape[1])
        if certain is not None:
            values, relative = (np.asarray(a) for a in _seen(lens, objective, jnp.asarray(certain)))
            best = int(np.argmax(values))
            return Insertion(float(relative[best]), float(values[best]), certain[best], True)
        draw = np.random.Generator(np.random.PCG64(0)).standard_normal((STARTS, u.shape[1]))
        starts = np.concatenate([draw, u[np.linalg.norm(u, axis=1) > 0][:STARTS]])
        starts /= np.linalg.norm(starts, axis=1, keepdims=True)
        values, relative, points = (np.asarray(a) for a in _climb(lens, objective, jnp.asarray(starts)))
        best = int(np.argmax(values))
        return Insertion(float(relative[best]), float(values[best]), points[best], False)


def layer_insertion(network: AbstractNetwork, objective: Objective, layer: int) -> Insertion:
    r"""The largest $|\partial L / \partial v|$ of a further unit with $v = 0$ in one hidden layer, over $|u| = 1$: what a silent unit there would see through
    the layers after it. For a single layer it is `insertion`.

    **Holds** as a lower bound, from 32 random starts. `relative` is to the largest possible for its features: $|\phi|$ times the sensitivity of the loss to
    what the layer puts out.
    """
    with jax.enable_x64(True):
        lens = network.lenses()[layer]
        u, v = (np.asarray(part) for part in lens.get())
        starts = np.random.Generator(np.random.PCG64(0)).standard_normal((STARTS, u.shape[1]))
        starts /= np.linalg.norm(starts, axis=1, keepdims=True)
        wide = lens.put(np.vstack([u, starts[:1]]), np.concatenate([v, np.zeros_like(v[:1])]))
        values, relative, points = _climb_layer(
            jax.tree.map(jnp.asarray, lens.of(wide)), jax.tree.map(jnp.asarray, objective), jnp.asarray(starts)
        )
        best = int(np.argmax(np.asarray(values)))
        return Insertion(float(relative[best]), float(values[best]), np.asarray(points[best]), False)


def path_insertion(network: AbstractNetwork, objective: Objective) -> Insertion:
    r"""The largest $|E[(y - f) \cdot f_1(x)]|$ over networks $f_1$ with one unit in each hidden layer and every array of weights of length 1.

    In deep networks a saddle with spare units in all layers is left along such a path even where no single layer's unit sees anything and the Hessian
    is blind: by as many small factors as the path has. For a single layer it is `insertion`. `u` holds all weights of the path.

    **Holds** as a lower bound, from 32 random starts. A positive one shows a way down; zero says nothing of paths that use units in
    place.
    """
    with jax.enable_x64(True):
        path = network
        for layer in range(len(network.lenses())):
            lens = path.lenses()[layer]
            u, v = (np.asarray(part) for part in lens.get())
            path = lens.put(u[:1], v[:1])
        rng = np.random.Generator(np.random.PCG64(0))
        starts = {name: rng.standard_normal((STARTS, *np.shape(a))) for name, a in path.arrays().items()}
        values, relative, points = _along_paths(
            jax.tree.map(jnp.asarray, network),
            jax.tree.map(jnp.asarray, objective),
            jax.tree.map(jnp.asarray, path),
            jax.tree.map(jnp.asarray, starts),
        )
        best = int(np.argmax(np.asarray(values)))
        weights = np.concatenate([np.asarray(part[best]).ravel() for part in points.values()])
        return Insertion(float(relative[best]), float(values[best]), weights, False)


def global_optimum(network: AbstractNetwork, objective: Objective, seen: Insertion | None) -> bool | None:
    r"""Whether no network of such units, of any width, has a lower loss.

    The loss is convex in the sum over units, so that $E[(y - f)\,\phi(x; u)] = 0$ for all $u$ is enough; for homogeneous units $|u| = 1$ stands
    for all. True where that maximum is known and zero, or the loss is at a lower bound of all; False where one more unit, of any kind, would lower
    the loss, as some $u$ with a correlation proves; None where a lower bound of the maximum is zero, which proves nothing, and in deep networks.
    """
    loss = float(objective.loss_of(_outputs(network, objective)))
    scale = float(objective.loss_of(np.zeros_like(np.asarray(objective.y))))
    if loss - objective.lower_bound() <= OPTIMUM * scale:
        return True
    lens = network.lenses()[0]
    if seen is None or not lens.direct:
        return None
    if seen.relative > NOT_ZERO:
        return False
    return True if lens.facts.degree is not None and seen.exact and seen.relative <= ZERO else None


def _candidates(lens: AbstractLens, objective: Objective, size: int) -> np.ndarray | None:
    """Directions [candidates, weights] of which one is the maximiser, or None where none are known to be enough."""
    facts = lens.facts
    v = lens.get()[1]
    if facts.linear:
        slope = np.asarray(_slopes(lens, objective, jnp.zeros((1, size))))[0]
        return np.linalg.svd(slope.reshape(-1, size))[2][:1]
    if facts.degree == 2 and lens.unit.psi_name is not None and v.shape[1] * v.shape[2] == 1:
        vectors = np.linalg.eigh(np.asarray(_curvature(lens, objective, jnp.zeros(size))))[1]
        return vectors[:, [0, -1]].T
    if facts.kinks and facts.degree == 1 and size == 2:
        return _on_arcs(lens, objective)
    return None


def _on_arcs(lens: AbstractLens, objective: Objective) -> np.ndarray | None:
    """Per arc between kinks, where the correlation is linear in u: its stationary directions that lie on the arc, and the ends."""
    rows = np.asarray(_kinks(lens, objective)).reshape(-1, 2)
    rows = rows[np.any(rows != 0.0, axis=1)]
    angles = np.unique(np.mod(np.arctan2(rows[:, 1], rows[:, 0])[:, None] + np.pi * np.array([0.5, 1.5]), 2 * np.pi))
    if not 0 < angles.size <= MOST_ARCS:
        return None
    ends = np.append(angles, angles[0] + 2 * np.pi)
    middle = 0.5 * (ends[1:] + ends[:-1])
    slopes = np.asarray(_slopes(lens, objective, jnp.asarray(_direction(middle)))).reshape(len(middle), -1, 2)
    right = np.linalg.svd(slopes)[2].reshape(len(middle), 2, 2)
    turned = np.arctan2(right[..., 1], right[..., 0])[..., None] + np.array([0.0, np.pi])
    turned = ends[:-1, None, None] + np.mod(turned - ends[:-1, None, None], 2 * np.pi)
    inside = turned[turned <= ends[1:, None, None]]
    return _direction(np.concatenate([angles, inside]))


def _direction(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _correlation(lens, objective, error, u):
    phi = objective.unit_features(lens, u)
    return jnp.einsum("k,kf,ko->fo", objective.weight, phi, error), phi


def _error(lens, objective):
    return objective.y - objective.outputs(lens.network)


def _measured(lens, objective, error, u):
    target = jnp.sqrt(objective.mean_square(objective.y) + 2 * objective.irreducible)
    seen, phi = _correlation(lens, objective, error, u)
    value = jnp.linalg.norm(seen)
    size = jnp.sqrt(objective.mean_square(phi)) * target
    return value, value / jnp.where(size > 0, size, 1.0)


@eqx.filter_jit
def _outputs_of(network, objective):
    return objective.outputs(network)


def _outputs(network, objective):
    with jax.enable_x64(True):
        return np.asarray(_outputs_of(jax.tree.map(jnp.asarray, network), jax.tree.map(jnp.asarray, objective)))


@eqx.filter_jit
def _kinks(lens, objective):
    return jax.vmap(lens.unit.kink_rows)(objective.x)


@eqx.filter_jit
def _seen(lens, objective, points):
    error = _error(lens, objective)
    return jax.vmap(lambda u: _measured(lens, objective, error, u))(points)


@eqx.filter_jit
def _slopes(lens, objective, points):
    error = _error(lens, objective)
    return jax.vmap(jax.jacfwd(lambda u: _correlation(lens, objective, error, u)[0]))(points)


@eqx.filter_jit
def _curvature(lens, objective, point):
    error = _error(lens, objective)
    return jax.hessian(lambda u: _correlation(lens, objective, error, u)[0][0, 0])(point)


@eqx.filter_jit
def _climb_layer(lens, objective, starts):
    u, v = lens.get()
    target = jnp.sqrt(objective.mean_square(objective.y) + 2 * objective.irreducible)

    def seen(new):
        def loss(extra):
            return objective.loss(lens.put(u.at[-1].set(new), v.at[-1].set(extra)))

        return jnp.linalg.norm(jax.grad(loss)(jnp.zeros_like(v[-1])))

    def size(new):
        # |f| that the unit's features make, were they read out as its layer is: what the value is relative to
        changed = lens.of(lens.put(u.at[-1].set(new), v))
        phi = objective.features(changed)[:, -1]
        reach = jax.jacfwd(
            lambda s: objective.outputs(lens.put(u.at[-1].set(new), v.at[-1].set(s * jnp.ones_like(v[-1]))))
        )(0.0)
        return jnp.maximum(jnp.sqrt(objective.mean_square(reach)), 1e-6 * jnp.sqrt(objective.mean_square(phi))) * target

    def climb(new):
        def once(_, new):
            slope = jax.grad(seen)(new)
            slope = jnp.where(jnp.all(jnp.isfinite(slope)), slope, 0.0)
            moved = new + slope / jnp.maximum(jnp.linalg.norm(slope), 1e-300)
            return moved / jnp.linalg.norm(moved)

        new = jax.lax.fori_loop(0, 100, once, new)
        return seen(new), seen(new) / jnp.maximum(size(new), 1e-300), new

    return jax.vmap(climb)(starts)


@eqx.filter_jit
def _along_paths(network, objective, path, starts):
    error = objective.y - objective.outputs(network)
    target = jnp.sqrt(objective.mean_square(objective.y) + 2 * objective.irreducible)

    def unit_length(arrays):
        return {name: a / jnp.maximum(jnp.linalg.norm(a), 1e-300) for name, a in arrays.items()}

    def seen(arrays):
        outputs = objective.outputs(path.with_arrays(arrays))
        value = jnp.einsum("k,ko,ko->", objective.weight, error, outputs)
        return value, jnp.sqrt(objective.mean_square(outputs)) * target

    def climb(arrays):
        def once(_, arrays):
            slope = jax.grad(lambda a: seen(a)[0])(arrays)
            # each array turns towards its own slope: the power method, one factor of the product after the other in spirit
            return unit_length({name: a + 0.5 * unit_length(slope)[name] for name, a in arrays.items()})

        arrays = jax.lax.fori_loop(0, ITERATIONS, once, unit_length(arrays))
        value, size = seen(arrays)
        return value, value / jnp.where(size > 0, size, 1.0), arrays

    return jax.vmap(climb)(starts)


@eqx.filter_jit
def _climb(lens, objective, starts):
    error = _error(lens, objective)

    def value_of(u):
        return _measured(lens, objective, error, u)[0]

    def climb(u):
        def once(state):
            count, u, value, length, _ = state
            slope = jax.grad(value_of)(u)
            slope = jnp.where(jnp.all(jnp.isfinite(slope)), slope, 0.0)  # the norm of exactly nothing
            size, along = jnp.linalg.norm(slope), jnp.abs(slope @ u)
            # for a homogeneous correlation and length 1 a shifted power iteration, which cannot overshoot; shorter where it does
            tangent = slope - (slope @ u) * u
            moved = u + length * tangent / jnp.where(size > 0, size + along, 1.0)
            moved = moved / jnp.linalg.norm(moved)
            new = value_of(moved)
            better = new >= value
            change = jnp.where(better, jnp.linalg.norm(moved - u), length)
            length = jnp.where(better, jnp.minimum(1.5 * length, 1.0), 0.5 * length)
            return count + 1, jnp.where(better, moved, u), jnp.where(better, new, value), length, change

        def goes_on(state):
            return (state[0] < ITERATIONS) & (state[4] > AT_REST)

        _, u, *_ = jax.lax.while_loop(goes_on, once, (0, u, value_of(u), 1.0, jnp.inf))
        return *_measured(lens, objective, error, u), u

    return jax.vmap(climb)(starts)
