r"""Gradient flow of a network on an objective, as a field that the integrator can follow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..integrate import AbstractField
from ..networks import AbstractNetwork, Layer
from ..networks.layer import SMALL
from ..objective import Objective, hessian

#: Kinks are followed exactly while the pattern of active units, and the linear systems that sliding needs, stay small.
LARGEST_PATTERN = 20_000
LARGEST_SYSTEM = 4_000_000
#: Systems of up to so many pairs are eliminated side by side.
LARGEST_ELIMINATED = 16
#: After an event the modes of a unit's kinks are settled in at most this many rounds, each of which changes one of them.
ROUNDS = 8
#: A share or a direction counts as wrong beyond this; both are dimensionless, so this is rounding of small linear systems.
ON_KINK_TOLERANCE = 1e-9
#: Rows whose angle has a cosine below this are orthogonal: rounding of sums over up to some thousand inputs.
ORTHOGONAL = 1e-14


class Share(eqx.Module):
    """How much larger the coordinates of each unit of hidden layer `place` are than its weights (see `compression`)."""

    place: int = eqx.field(static=True)
    size: Float[Array, " units"]


class SmoothField(AbstractField):
    r"""$\dot\theta = -\nabla L$ by automatic differentiation.

    **Arguments:**

    - `objective`: L.
    - `template`: the network whose weights move; only its structure counts.
    - `shares`: of layers whose coordinates are not their weights.
    """

    objective: Objective
    template: AbstractNetwork
    shares: tuple[Share, ...] = ()

    def __call__(self, y: Float[Array, " n"], mode: Int[Array, " 0"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        if not self.shares:
            _, unravel = ravel_pytree(self.template)
            loss, gradient = self.objective.loss_and_gradient(unravel(y))
            return loss, -ravel_pytree(gradient)[0]
        loss, gradient = jax.value_and_grad(lambda y: self.objective.loss(self._network(y)))(y)
        return loss, -gradient

    def _network(self, y: Float[Array, " n"]) -> AbstractNetwork:
        return scaled(ravel_pytree(self.template)[1](y), self.shares)

    def jacobian(self, y: Float[Array, " n"], mode: Int[Array, " 0"]) -> Float[Array, "n n"]:
        if not self.shares:
            return -hessian(self.objective, self._network(y))
        return -jax.hessian(lambda y: self.objective.loss(self._network(y)))(y)


class KinkedField(AbstractField):
    r"""Gradient flow of one layer of piecewise linear units, with kinks crossed and slid along exactly.

    Every pair of a unit $i$ and a row $x_m$ (an input, or a patch of one) has a mode: 0 where $u_i \cdot x_m < 0$, 1 where it is
    positive, 2 where the flow slides along $u_i \cdot x_m = 0$ because it is pushed towards that kink from both sides. For a fixed
    pattern of modes the flow is smooth. While it slides, the velocity of $u_i$ is the combination of its two one-sided
    velocities that stays on the kink (Filippov 1988), which is the gradient projected on the kinks in use; the share of the active
    side leaves [0, 1] where sliding ends.

    **Arguments:** as `SmoothField`; the template is a `Layer` whose unit declares `kink_rows`.
    """

    objective: Objective
    template: Layer
    rows: Float[Array, "pairs weights"]
    gram: Float[Array, "pairs pairs"]

    @classmethod
    def of(cls, objective: Objective, template: Layer) -> "KinkedField":
        return cls(objective, template, *_rows_and_gram(template.unit, objective.x))

    @property
    def has_modes(self) -> bool:
        return True

    def _split(self, y: Array) -> tuple[Array, Array]:
        size = self.template.u.size
        return y[:size].reshape(self.template.u.shape), y[size:].reshape(self.template.v.shape)

    def _shape(self, mode: Array) -> Array:
        return mode.reshape(self.template.u.shape[0], self.rows.shape[0])

    def initial_mode(self, y: Float[Array, " n"]) -> Int[Array, " m"]:
        u, _ = self._split(y)
        return (u @ self.rows.T > 0).astype(jnp.int32).reshape(-1)

    def _slope(self, pattern: Array) -> Array:
        low, high = self.template.unit.kink_slopes
        return jnp.where(pattern == 1, high, low)

    def _forces(self, y: Array, pattern: Array) -> tuple[Array, Array, Array]:
        """loss, for each pair the force along its row if its slope were 1, and the velocity of v."""
        u, v = self._split(y)
        samples, features = self.objective.x.shape[0], v.shape[1]
        phi = (self._slope(pattern) * _product(u, self.rows.T)).reshape(-1, samples, features)
        error = _summed("hkf,hfo->ko", phi, v) - self.objective.y
        loss = 0.5 * jnp.sum(self.objective.weight * jnp.sum(error**2, axis=1)) + self.objective.irreducible
        force = -self.objective.weight[:, None] * error
        along = _summed("ko,hfo->hkf", force, v).reshape(pattern.shape)
        return loss, along, _summed("hkf,ko->hfo", phi, force)

    def _pushes(self, along: Array, pattern: Array) -> tuple[Array, Array]:
        """How fast each pair moves u along its row, and how much of that is what keeps sliding units on their kinks."""
        sliding, push = pattern == 2, self._slope(pattern) * along
        used = jax.lax.cond(
            jnp.any(sliding), lambda s, p: self._used(s, p), lambda s, p: jnp.zeros(pattern.shape), sliding, push
        )
        return push + used, used

    def _pull(self, along: Array) -> Array:
        """For each pair the pull towards its active side."""
        low, high = self.template.unit.kink_slopes
        return (high - low) * along

    def _used(self, sliding: Array, push: Array) -> Array:
        """What each sliding pair adds along its row so that u stays on the kinks: one small linear system a unit."""
        ridge = 1e-14 * jnp.trace(self.gram) / self.gram.shape[0]

        both = sliding[:, :, None] & sliding[:, None, :]
        system = jnp.where(both, self.gram, 0.0) + jnp.where(sliding, ridge, 1.0)[:, :, None] * jnp.eye(len(self.gram))
        return eliminated(system, jnp.where(sliding, -push @ self.gram, 0.0))

    def __call__(self, y: Float[Array, " n"], mode: Int[Array, " m"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        pattern = self._shape(mode)
        loss, along, dv = self._forces(y, pattern)
        push, _ = self._pushes(along, pattern)
        return loss, jnp.concatenate([_product(push, self.rows).reshape(-1), dv.reshape(-1)])

    def guards(self, y: Float[Array, " n"], mode: Int[Array, " m"]) -> Float[Array, " m"]:
        u, _ = self._split(y)
        pattern = self._shape(mode)
        size = jnp.linalg.norm(u, axis=1)[:, None] * jnp.linalg.norm(self.rows, axis=1)[None, :]
        side = _product(u, self.rows.T) / jnp.where(size > 0, size, 1.0)
        sliding = pattern == 2
        # where nothing slides, which side a pair is on is all that counts, and forces need not be known
        share = jax.lax.cond(
            jnp.any(sliding), lambda y, mode: self._share(y, mode), lambda y, mode: jnp.zeros(pattern.shape), y, mode
        )
        return jnp.where(sliding, share, jnp.where(pattern == 1, side, -side)).reshape(-1)

    def _share(self, y: Array, mode: Array) -> Array:
        """For each pair that slides, how far the share of its active side is inside [0, 1]."""
        pattern = self._shape(mode)
        _, along, _ = self._forces(y, pattern)
        _, used = self._pushes(along, pattern)
        return _share_of(self._pull(along), used)

    def transition(self, y: Float[Array, " n"], mode: Int[Array, " m"], crossed: Array) -> Int[Array, " m"]:
        pattern = self._shape(mode)
        hit = self._shape(crossed)
        # the pairs whose modes may change are on their kinks, where either slope gives the same function: forces stay
        _, along, _ = self._forces(y, pattern)
        pull = self._pull(along)
        # one after the other by one loop, which is compiled once: a push is a large program
        tried = jnp.stack([jnp.where(hit, 0, pattern), jnp.where(hit, 1, pattern), pattern])
        pushes, uses = jax.lax.map(lambda pattern: self._pushes(along, pattern), tried)
        below, above, used = pushes[0] @ self.gram, pushes[1] @ self.gram, uses[2]
        # pushed up from below and down from above: it slides; pushed the same way from both sides: it crosses
        through = jnp.where((below > 0) & (above < 0), 2, 1 - pattern)
        released = jnp.where(used * pull < 0, 0, 1)
        changed = jnp.where(hit, jnp.where(pattern == 2, released, through), pattern)
        return self._consistent(along, changed.astype(jnp.int32), hit | (pattern == 2)).reshape(-1)

    def _consistent(self, along: Array, pattern: Array, on_kink: Array) -> Array:
        """Settles the modes of pairs on a kink after one of a unit's others has changed: its velocity has jumped for all of them.

        A slide must use a share in [0, 1] of its active side, and a pair that has left must move to its own side. In each round the worst
        offender of every unit changes; a pair is attracted by its kink, and can slide, where its active side pulls back.
        """
        pull = self._pull(along)

        def worst(pattern):
            push, used = self._pushes(along, pattern)
            drift = push @ self.gram
            size = jnp.linalg.norm(push @ self.rows, axis=1)[:, None] * jnp.linalg.norm(self.rows, axis=1)[None, :]
            drift = drift / jnp.where(size > 0, size, 1.0)
            offence = jnp.where(pattern == 2, -_share_of(pull, used), jnp.where(pattern == 1, -drift, drift))
            offence = jnp.where(on_kink, offence, -1.0)
            left = jnp.where(used * pull < 0, 0, 1)
            other = jnp.where(pattern == 2, left, jnp.where(pull < 0, 2, 1 - pattern))
            chosen = jnp.arange(pattern.shape[1])[None, :] == jnp.argmax(offence, axis=1)[:, None]
            return chosen & (offence > ON_KINK_TOLERANCE), other

        def going(carry):
            _, wrong, _, rounds = carry
            return (rounds < 0) | (jnp.any(wrong) & (rounds < ROUNDS))

        def once(carry):
            pattern, wrong, other, rounds = carry
            pattern = jnp.where(wrong, other, pattern).astype(jnp.int32)
            return pattern, *worst(pattern), rounds + 1

        # most events leave nothing to be settled: the first time round only looks
        nothing = jnp.zeros(pattern.shape, bool)
        return jax.lax.while_loop(going, once, (pattern, nothing, pattern, jnp.full((), -1, jnp.int32)))[0]


def _share_of(pull: Array, used: Array) -> Array:
    """How far the share used / pull of the active side is inside [0, 1]; products avoid dividing by a pull that vanishes."""
    share = jnp.minimum(used * pull, (pull - used) * pull)
    total = used**2 + pull**2
    return share / jnp.where(total > 0, total, 1.0)


@jax.jit
def _rows_and_gram(unit, x: Array) -> tuple[Array, Array]:
    """Compiled, because one by one these operations take longer than a short flow."""
    rows = jax.vmap(unit.kink_rows)(x)
    rows = rows.reshape(-1, rows.shape[-1])
    gram = rows @ rows.T
    # rows that are orthogonal but for rounding push nobody towards each other's kinks: no unit slides along such a kink, which it would do with a share of rounding
    size = jnp.sqrt(jnp.diag(gram))
    return rows, jnp.where(jnp.abs(gram) > ORTHOGONAL * size[:, None] * size[None, :], gram, 0.0)


def _product(a: Array, b: Array) -> Array:
    """a @ b."""
    return _summed("ij,jk->ik", a, b)


def _summed(form: str, a: Array, b: Array) -> Array:
    """`einsum` of two: few products as a sum, which is faster than a call of a matrix product because it fuses with what is around it."""
    names, result = form.split("->")
    first, second = names.split(",")
    every = sorted({*names} - {","})
    sizes = dict(zip(first + second, a.shape + b.shape, strict=True))
    if np.prod([sizes[name] for name in every]) > SMALL:
        return jnp.einsum(form, a, b)
    order = result + "".join(name for name in every if name not in result)
    spread = [
        jnp.transpose(x, np.argsort([order.index(n) for n in own])).reshape(
            [sizes[n] if n in own else 1 for n in order]
        )
        for own, x in ((first, a), (second, b))
    ]
    return jnp.sum(spread[0] * spread[1], axis=tuple(range(len(result), len(order))))


def eliminated(systems: Float[Array, "units pairs pairs"], right: Float[Array, "units pairs"]) -> Array:
    """Solutions of many small positive definite systems, side by side: Gauss-Jordan without pivots, which such systems do not need.

    A library's solver, which takes one after the other, costs ten times as much for four pairs (measured); from `LARGEST_ELIMINATED` on it is called.
    """
    pairs = right.shape[1]
    if pairs > LARGEST_ELIMINATED:
        return jax.vmap(jnp.linalg.solve)(systems, right)
    whole = jnp.concatenate([systems, right[:, :, None]], axis=2)

    def step(k, whole):
        row = jax.lax.dynamic_index_in_dim(whole, k, 1)
        row = row / jax.lax.dynamic_index_in_dim(row, k, 2)
        others = whole - jax.lax.dynamic_index_in_dim(whole, k, 2) * row
        return jnp.where((jnp.arange(pairs) == k)[None, :, None], row, others)

    # written out for two, which fuse with what is around them: a loop is a smaller program from there on, and as fast
    return jax.lax.fori_loop(0, pairs, step, whole, unroll=pairs <= 2)[:, :, -1]


def scaled(network: AbstractNetwork, shares: tuple[Share, ...]) -> AbstractNetwork:
    """The network that computes the function, from coordinates in which a unit that stands for m copies is sqrt(m) times as large."""
    for share in shares:
        lens = network.lenses()[share.place]
        u, v = lens.get()
        network = lens.put(u / share.size[:, None], v * share.size[:, None, None])
    return network


def field_of(objective: Objective, network: AbstractNetwork, shares: tuple[Share, ...] = ()) -> AbstractField:
    """The field of gradient flow: with exact kinks where the units have them and there are not too many."""
    if isinstance(network, Layer) and network.unit.kinks:
        pairs = objective.x.shape[0] * network.v.shape[1]
        units = network.u.shape[0]
        if units * pairs <= LARGEST_PATTERN and units * pairs**2 <= LARGEST_SYSTEM:
            return KinkedField.of(objective, network)
    return SmoothField(objective, network, shares)
