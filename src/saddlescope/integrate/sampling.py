r"""Looking inside a step: samples of the curve, and the moment at which a mode ends."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ._base import AbstractField

#: Error allowed in interpolating the curve by cubics with dL/dt = -speed^2, as a part of the loss at t = 0: this part of rtol, so that reading a time from
#: the curve adds nothing to the error of the run ...
HERMITE_PART = 0.02
#: ... but at least this, where samples that are made from the cubics (`series.insert_samples`) do not tell from those that were computed ...
LEAST_HERMITE = 2e-9
#: ... and at most this: files promise 1e-6, and the estimate may be three times too small.
MOST_HERMITE = 3e-7
#: A stretch that is not looked into has a cubic whose error is estimated to be smaller than allowed by this factor.
FOLLOWING = 4.0
#: At most this many decades of speed between two samples, so that a slowest point is seen.
SPEED_DECADES = 0.3
#: ... and at most this many where it goes on as it did.
STEADY_DECADES = 0.6
#: At most this many samples a step.
MAX_SAMPLES = 64
#: The first look at a stretch is where it is cut in so many parts: not half way, where the bend of a stretch that is steepest there would vanish by symmetry.
FIRST_LOOK = 3
#: Where a guard is crossed is found to this part of the step, below every tolerance allowed to it; in at most so many looks, whatever happens.
CROSSING = 2.0**-35
MOST_LOOKS = 80


class Curve(NamedTuple):
    """A buffer of samples, each a row of t, loss and speed; rows from `size` on are scratch."""

    rows: Float[Array, "samples 3"]
    size: Array

    @classmethod
    def empty(cls, samples: int) -> "Curve":
        return cls(jnp.zeros((samples, 3)), jnp.zeros((), jnp.int64))

    def add(self, t: Array, loss: Array, speed: Array, when: Array | bool = True) -> "Curve":
        return Curve(put(self.rows, self.size, jnp.stack([t, loss, speed])), self.size + jnp.where(when, 1, 0))

    def joined(self, more: "Curve") -> "Curve":
        """With the samples of another, smaller one."""
        zero = jnp.zeros((), self.size.dtype)
        return Curve(lax.dynamic_update_slice(self.rows, more.rows, (self.size, zero)), self.size + more.size)

    def last(self) -> Float[Array, " 3"]:
        """t, loss and speed of the latest sample."""
        return lax.dynamic_index_in_dim(self.rows, jnp.maximum(self.size - 1, 0), keepdims=False)


def put(buffer: Array, i: Array, row: Array) -> Array:
    """The buffer with another row i, in place where that is possible. (`.at[i].set` is a scatter, which takes several times as long.)"""
    return lax.dynamic_update_index_in_dim(buffer, row, i, 0)


class Ends(NamedTuple):
    """What is known at the two ends of a stretch of solution that starts at `t` and lasts `width`."""

    t: Array
    width: Array
    loss: tuple[Array, Array]
    speed: tuple[Array, Array]


def hermite_tolerance(rtol: Array) -> Array:
    """The error of the curve's cubics that a run of this tolerance is allowed, as a part of the loss at t = 0."""
    return jnp.clip(HERMITE_PART * rtol, LEAST_HERMITE, MOST_HERMITE)


def follows(before: Array, ends: Ends, allowed: Array) -> Array:
    """Whether a stretch goes on as the curve did: then its cubic is accurate without a look inside, and no slowest point hides in it.

    One cubic over the last stretch of the curve and this one together knows nothing of the loss and the slope where they meet: how far it misses them
    says how far the cubic of this stretch alone is off, which is smaller by a power of the lengths.

    **Arguments:** `before`: t, loss and speed of the sample before this stretch, at its start where there is none; `allowed` as in `sample`.
    """
    first, width = ends.t - before[0], ends.width
    both = first + width
    x = first / both
    slopes = tuple(-(speed**2) * both for speed in (before[2], *ends.speed))
    rise = ends.loss[1] - before[1]
    value = before[1] + x**2 * (3 - 2 * x) * rise
    value = value + x * (1 - x) ** 2 * slopes[0] - x**2 * (1 - x) * slopes[2]
    slope = 6 * x * (1 - x) * rise + (1 - x) * (1 - 3 * x) * slopes[0] + x * (3 * x - 2) * slopes[2]
    # of a fourth derivative c the joint cubic is off by c/24 first^2 width^2 there, and by c/12 first width (width - first) in the slope, which says nothing
    # between stretches of one length; the cubic of this stretch by c/384 width^4
    ratio = width / first
    unlike = jnp.maximum(jnp.abs(ratio - 1), 0.5)
    part = jnp.abs(slope - slopes[1]) * width / both / unlike
    off = ratio**2 * jnp.maximum(jnp.abs(value - ends.loss[0]) / 16, part / 32)
    # the speed goes on falling, or rising, by as many decades a unit of time: one that turned inside would not
    decades = jnp.log10(ends.speed[1] / ends.speed[0])
    turned = decades - ratio * jnp.log10(ends.speed[0] / before[2])
    steady = (jnp.abs(turned) < SPEED_DECADES) & (jnp.abs(decades) < STEADY_DECADES)
    return (first > 0) & (FOLLOWING * off <= allowed) & steady


def sample(at, values, ends: Ends, curve: Curve, allowed: Array) -> tuple[Curve, Array]:
    """Adds samples strictly inside a stretch, as many as the interpolation error of the curve asks for.

    **Arguments:**

    - `at`: fraction of the stretch -> state.
    - `values`: state -> (loss, speed).
    - `allowed`: error of the cubics, in units of the loss.

    Returns the curve and how many samples were computed, the first look included. The first look decides how many follow.
    """

    # both looks by one loop, so that the field is compiled once
    def look(_, carry):
        filled, wanted = carry
        filled = _divided(at, values, ends, filled._replace(size=curve.size), wanted)
        return filled, _wanted(lax.dynamic_slice_in_dim(filled.rows, curve.size, FIRST_LOOK - 1), ends, allowed)

    first = jnp.asarray(FIRST_LOOK, jnp.int64)
    filled, _ = lax.fori_loop(0, 2, look, (curve, first))
    return filled, FIRST_LOOK - 1 + filled.size - curve.size


def _divided(at, values, ends: Ends, curve: Curve, parts: Array) -> Curve:
    """With samples where a stretch is cut in so many parts."""

    # one after the other: side by side costs more than it saves (measured: 8 take 30 times as long as one for 225 linear weights, 5 times for 60). Each
    # state travels in the carry, so that it is computed once and not in every sum over it
    def body(i, carry):
        curve, state = carry
        loss, speed = values(state)
        return curve.add(ends.t + i / parts * ends.width, loss, speed), at((i + 1) / parts)

    return lax.fori_loop(1, parts, body, (curve, at(1 / parts)))[0]


def _wanted(looked: Float[Array, "looks 3"], ends: Ends, allowed: Array) -> Array:
    """In how many parts a stretch has to be cut, judged by a first look at it."""
    (loss0, loss1), (speed0, speed1) = ends.loss, ends.speed
    slope0, slope1 = -(speed0**2) * ends.width, -(speed1**2) * ends.width
    first = jnp.arange(1, FIRST_LOOK) / FIRST_LOOK
    loss, speed = looked[:, 1], looked[:, 2]
    cubic = (1 + 2 * first) * (1 - first) ** 2 * loss0 + first**2 * (3 - 2 * first) * loss1
    cubic = cubic + first * (1 - first) ** 2 * slope0 - first**2 * (1 - first) * slope1
    slope = 6 * first * (1 - first) * (loss1 - loss0)
    slope = slope + (1 - first) * (1 - 3 * first) * slope0 + first * (3 * first - 2) * slope1
    # an error c x^2 (1 - x)^2, of a fourth derivative that stays, has its largest value c / 16 half way: looked at there is 0.79 of it, and 2.4 of it in
    # the slope. Where the derivative changes its sign the one or the other may vanish at a place, not both at both
    off = jnp.maximum(jnp.max(jnp.abs(loss - cubic)) / 0.79, jnp.max(jnp.abs(-(speed**2) * ends.width - slope)) / 2.4)
    hermite = off / allowed
    speeds = jnp.log10(jnp.concatenate([speed0[None], speed, speed1[None]]))
    decades = 3 * jnp.max(jnp.abs(jnp.diff(speeds)))
    # errors go with power 4 of the spacing
    wanted = jnp.ceil(jnp.maximum(1.2 * hermite**0.25, decades / SPEED_DECADES))
    return jnp.where(jnp.isfinite(wanted), jnp.clip(wanted, 1, MAX_SAMPLES), 1).astype(jnp.int64)


def first_crossing(
    field: AbstractField, at, mode: Array, crossed: Array, guards: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The fraction of a step at which the first of the crossed guards becomes negative, to `CROSSING`, and the state there; `guards` at both ends of the step.

    Inverse quadratic steps within a bracket, halving where they would not help (Chandrupatla 1997): a quarter of the looks that halving takes.
    """

    def lowest(guards):
        return jnp.min(jnp.where(crossed, guards, jnp.inf))

    def going(carry):
        _, x1, x2, *_, looks = carry
        return (jnp.abs(x2 - x1) > 2 * CROSSING) & (looks < MOST_LOOKS)

    # as in `sample`, states travel in the carry
    def look(carry):
        state, x1, x2, x3, f1, f2, f3, x, looks = carry
        f = lowest(field.guards(state, mode))
        same = (f < 0) == (f1 < 0)
        x3, f3 = jnp.where(same, x1, x2), jnp.where(same, f1, f2)
        x2, f2 = jnp.where(same, x2, x1), jnp.where(same, f2, f1)
        x1, f1 = x, f
        part, fall = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
        quadratic = f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
        good = (fall**2 < part) & ((1 - fall) ** 2 < 1 - part) & jnp.isfinite(quadratic)
        least = jnp.minimum(CROSSING / jnp.abs(x2 - x1), 0.5)
        x = x1 + jnp.where(good, jnp.clip(quadratic, least, 1 - least), 0.5) * (x2 - x1)
        return at(x), x1, x2, x3, f1, f2, f3, x, looks + 1

    zero, one, half = jnp.zeros(()), jnp.ones(()), jnp.asarray(0.5)
    # a guard that is at zero where the step starts counts as passed from above
    first = lowest(guards[1]), jnp.maximum(lowest(guards[0]), jnp.finfo(half.dtype).tiny)
    carry = (at(half), one, zero, zero, *first, first[1], half, jnp.zeros((), jnp.int64))
    last, x1, x2, _, f1, *_, looks = lax.while_loop(going, look, carry)
    span = jnp.where(f1 < 0, x1, x2)
    # a loop whose end XLA cannot foresee: it would open one of a single round
    return span, lax.fori_loop(0, jnp.minimum(looks, 1), lambda *_: at(span), last)
