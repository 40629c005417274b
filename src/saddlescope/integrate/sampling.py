r"""Looking inside a step: samples of the curve, and the moment at which a mode ends."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ._base import AbstractField

#: Errors allowed in interpolating the curve, as parts of the loss at t = 0: linear, and cubic Hermite with dL/dt = -speed^2.
#: Files promise 1e-4 and 1e-6; the margin is for the estimate being one.
LINEAR_TOLERANCE = 8e-6
HERMITE_TOLERANCE = 3e-8
#: At most this many decades of speed between two samples, so that a slowest point is seen.
SPEED_DECADES = 0.3
#: At most this many samples a step.
MAX_SAMPLES = 64
#: Samples computed side by side: as cheap as two one after the other where networks are small.
BLOCK = 8
#: ... of at most so many weights.
NARROW = 2000
#: Where in a stretch the first look is.
FIRST_LOOK = 1 / 3
#: Halvings of a step to find where a guard is crossed: to 1e-10 of the step, below every tolerance allowed to it.
HALVINGS = 34


class Curve(NamedTuple):
    """A buffer of samples of (t, loss, speed); its last slot is scratch."""

    t: Float[Array, " samples"]
    loss: Float[Array, " samples"]
    speed: Float[Array, " samples"]
    size: Array

    @classmethod
    def empty(cls, samples: int) -> "Curve":
        return cls(jnp.zeros(samples), jnp.zeros(samples), jnp.zeros(samples), jnp.zeros((), jnp.int64))

    def add(self, t: Array, loss: Array, speed: Array, when: Array | bool = True) -> "Curve":
        i = jnp.where(when, self.size, self.t.shape[0] - 1)
        size = self.size + jnp.where(when, 1, 0)
        return Curve(self.t.at[i].set(t), self.loss.at[i].set(loss), self.speed.at[i].set(speed), size)

    def add_some(self, t: Array, loss: Array, speed: Array, count: Array) -> "Curve":
        """Adds the first `count` of several; what is written beyond them is overwritten by what comes next."""
        parts = zip((self.t, self.loss, self.speed), (t, loss, speed), strict=True)
        written = (lax.dynamic_update_slice(old, new, (self.size,)) for old, new in parts)
        return Curve(*written, self.size + count)


class Ends(NamedTuple):
    """What is known at the two ends of a stretch of solution that starts at `t` and lasts `width`."""

    t: Array
    width: Array
    loss: tuple[Array, Array]
    speed: tuple[Array, Array]


def sample(values, ends: Ends, curve: Curve, loss_scale: Array, block: int = BLOCK) -> tuple[Curve, Array]:
    """Adds samples strictly inside a stretch, as many as the interpolation error of the curve asks for.

    **Arguments:**

    - `values`: fraction of the stretch -> (loss, speed).
    - `loss_scale`: against which errors are measured.
    - `block`: so many samples are computed side by side.

    Returns the curve and how many samples were computed, the first look and the last block's spare ones included. The first look decides how many follow. It is off the middle, where the bend of a
    stretch that is steepest half way would vanish by symmetry.
    """
    (loss0, loss1), (speed0, speed1) = ends.loss, ends.speed
    slope0, slope1 = -(speed0**2) * ends.width, -(speed1**2) * ends.width

    first = jnp.asarray(FIRST_LOOK)
    loss, speed = values(first)
    straight = jnp.abs(loss - ((1 - first) * loss0 + first * loss1))
    straight = jnp.maximum(straight, jnp.abs(slope1 - slope0) / 8) / (LINEAR_TOLERANCE * loss_scale)
    cubic = (1 + 2 * first) * (1 - first) ** 2 * loss0 + first**2 * (3 - 2 * first) * loss1
    cubic = cubic + first * (1 - first) ** 2 * slope0 - first**2 * (1 - first) * slope1
    hermite = jnp.abs(loss - cubic) / (HERMITE_TOLERANCE * loss_scale)
    decades = jnp.maximum(jnp.abs(jnp.log10(speed / speed0)) / first, jnp.abs(jnp.log10(speed1 / speed)) / (1 - first))
    # errors go with powers 2 and 4 of the spacing; a third of the way they show at least 3/4 of their largest value
    wanted = jnp.maximum(jnp.sqrt(1.34 * straight), 1.2 * (1.34 * hermite) ** 0.25)
    wanted = jnp.ceil(jnp.maximum(wanted, decades / SPEED_DECADES))
    wanted = jnp.where(jnp.isfinite(wanted), jnp.clip(wanted, 1, MAX_SAMPLES), 1).astype(jnp.int64)

    def body(carry):
        i, curve = carry
        place = i + jnp.arange(block)
        loss, speed = jax.vmap(values)(place / wanted)
        within = jnp.minimum(block, wanted - i)
        return i + within, curve.add_some(ends.t + place / wanted * ends.width, loss, speed, within)

    start = (jnp.ones((), jnp.int64), curve)
    _, curve = lax.while_loop(lambda c: c[0] < wanted, body, start)
    return curve, 1 + block * ((wanted - 1 + block - 1) // block)


def first_crossing(field: AbstractField, at, mode: Array, crossed: Array) -> Array:
    """The fraction of a step at which the first of the crossed guards becomes negative, by halving."""

    def body(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        passed = jnp.any(crossed & (field.guards(at(middle), mode) < 0))
        return jnp.where(passed, low, middle), jnp.where(passed, middle, high)

    return lax.fori_loop(0, HALVINGS, body, (jnp.zeros(()), jnp.ones(())))[1]
