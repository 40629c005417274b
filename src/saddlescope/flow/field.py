r"""Gradient flow of a network on an objective, as a field that the integrator can follow."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..integrate import AbstractField
from ..networks import AbstractNetwork, Layer
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

    def _parts(self, y: Array, mode: Array) -> tuple[Array, Array, Array, Array, Array]:
        """loss, velocity of u and of v, and for each pair the pull towards its active side and how much of it is used."""
        u, v = self._split(y)
        pattern = self._shape(mode)
        low, high = self.template.unit.kink_slopes
        slope = jnp.where(pattern == 1, high, low)
        samples, features = self.objective.x.shape[0], v.shape[1]
        phi = (slope * (u @ self.rows.T)).reshape(-1, samples, features)
        error = jnp.einsum("hkf,hfo->ko", phi, v) - self.objective.y
        loss = 0.5 * jnp.sum(self.objective.weight * jnp.sum(error**2, axis=1)) + self.objective.irreducible
        force = -self.objective.weight[:, None] * error
        pull = jnp.einsum("ko,hfo->hkf", force, v).reshape(pattern.shape)
        du = (slope * pull) @ self.rows
        dv = jnp.einsum("hkf,ko->hfo", phi, force)
        sliding = pattern == 2
        used = jax.lax.cond(
            jnp.any(sliding), lambda s, d: self._used(s, d), lambda s, d: jnp.zeros(pattern.shape), sliding, du
        )
        return loss, du + used @ self.rows, dv, (high - low) * pull, used

    def _used(self, sliding: Array, du: Array) -> Array:
        """What each sliding pair adds along its row so that u stays on the kinks: one small linear system a unit."""
        ridge = 1e-14 * jnp.trace(self.gram) / self.gram.shape[0]

        both = sliding[:, :, None] & sliding[:, None, :]
        system = jnp.where(both, self.gram, 0.0) + jnp.where(sliding, ridge, 1.0)[:, :, None] * jnp.eye(len(self.gram))
        return eliminated(system, jnp.where(sliding, -du @ self.rows.T, 0.0))

    def __call__(self, y: Float[Array, " n"], mode: Int[Array, " m"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        loss, du, dv, _, _ = self._parts(y, mode)
        return loss, jnp.concatenate([du.reshape(-1), dv.reshape(-1)])

    def guards(self, y: Float[Array, " n"], mode: Int[Array, " m"]) -> Float[Array, " m"]:
        u, _ = self._split(y)
        pattern = self._shape(mode)
        size = jnp.linalg.norm(u, axis=1)[:, None] * jnp.linalg.norm(self.rows, axis=1)[None, :]
        side = (u @ self.rows.T) / jnp.where(size > 0, size, 1.0)
        sliding = pattern == 2
        # where nothing slides, which side a pair is on is all that counts, and forces need not be known
        share = jax.lax.cond(
            jnp.any(sliding), lambda y, mode: self._share(y, mode), lambda y, mode: jnp.zeros(pattern.shape), y, mode
        )
        return jnp.where(sliding, share, jnp.where(pattern == 1, side, -side)).reshape(-1)

    def _share(self, y: Array, mode: Array) -> Array:
        """For each pair that slides, how far the share of its active side is inside [0, 1]."""
        _, _, _, pull, used = self._parts(y, mode)
        # the share used / pull of the active side; products avoid dividing by a pull that vanishes
        share = jnp.minimum(used * pull, (pull - used) * pull)
        total = used**2 + pull**2
        return share / jnp.where(total > 0, total, 1.0)

    def transition(self, y: Float[Array, " n"], mode: Int[Array, " m"], crossed: Array) -> Int[Array, " m"]:
        pattern = self._shape(mode)
        hit = self._shape(crossed)
        below = self._parts(y, jnp.where(hit, 0, pattern).reshape(-1))[1] @ self.rows.T
        above = self._parts(y, jnp.where(hit, 1, pattern).reshape(-1))[1] @ self.rows.T
        _, _, _, pull, used = self._parts(y, mode)
        # pushed up from below and down from above: it slides; pushed the same way from both sides: it crosses
        through = jnp.where((below > 0) & (above < 0), 2, 1 - pattern)
        released = jnp.where(used * pull < 0, 0, 1)
        changed = jnp.where(hit, jnp.where(pattern == 2, released, through), pattern)
        return self._consistent(y, changed.astype(jnp.int32), hit | (pattern == 2)).reshape(-1)

    def _consistent(self, y: Array, pattern: Array, on_kink: Array) -> Array:
        """Settles the modes of pairs on a kink after one of a unit's others has changed: its velocity has jumped for all of them.

        A slide must use a share in [0, 1] of its active side, and a pair that has left must move to its own side. In each round the worst
        offender of every unit changes; a pair is attracted by its kink, and can slide, where its active side pulls back.
        """

        def worst(pattern):
            _, du, _, pull, used = self._parts(y, pattern.reshape(-1))
            drift = du @ self.rows.T
            size = jnp.linalg.norm(du, axis=1)[:, None] * jnp.linalg.norm(self.rows, axis=1)[None, :]
            drift = drift / jnp.where(size > 0, size, 1.0)
            total = used**2 + pull**2
            share = jnp.minimum(used * pull, (pull - used) * pull) / jnp.where(total > 0, total, 1.0)
            offence = jnp.where(pattern == 2, -share, jnp.where(pattern == 1, -drift, drift))
            offence = jnp.where(on_kink, offence, -1.0)
            left = jnp.where(used * pull < 0, 0, 1)
            other = jnp.where(pattern == 2, left, jnp.where(pull < 0, 2, 1 - pattern))
            chosen = jnp.arange(pattern.shape[1])[None, :] == jnp.argmax(offence, axis=1)[:, None]
            return chosen & (offence > ON_KINK_TOLERANCE), other

        def going(carry):
            _, wrong, _, rounds = carry
            return jnp.any(wrong) & (rounds < ROUNDS)

        def once(carry):
            pattern, wrong, other, rounds = carry
            pattern = jnp.where(wrong, other, pattern).astype(jnp.int32)
            return pattern, *worst(pattern), rounds + 1

        # most events leave nothing to be settled
        return jax.lax.while_loop(going, once, (pattern, *worst(pattern), jnp.zeros((), jnp.int32)))[0]


@jax.jit
def _rows_and_gram(unit, x: Array) -> tuple[Array, Array]:
    """Compiled, because one by one these operations take longer than a short flow."""
    rows = jax.vmap(unit.kink_rows)(x)
    rows = rows.reshape(-1, rows.shape[-1])
    return rows, rows @ rows.T


def eliminated(systems: Float[Array, "units pairs pairs"], right: Float[Array, "units pairs"]) -> Array:
    """Solutions of many small positive definite systems, side by side: Gauss-Jordan without pivots, which such systems do not need.

    A library's solver, which takes one after the other, costs ten times as much for four pairs (measured); from `LARGEST_ELIMINATED` on it is called.
    """
    pairs = right.shape[1]
    if pairs > LARGEST_ELIMINATED:
        return jax.vmap(jnp.linalg.solve)(systems, right)
    whole = jnp.concatenate([systems, right[:, :, None]], axis=2)
    for k in range(pairs):
        row = whole[:, k, :] / whole[:, k, k, None]
        others = whole - whole[:, :, k, None] * row[:, None, :]
        whole = jnp.where((jnp.arange(pairs) == k)[None, :, None], row[:, None, :], others)
    return whole[:, :, -1]


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
