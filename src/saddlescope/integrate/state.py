"""What goes into a compiled segment and comes out of it.

Both cross the border of compiled code as a few long vectors: every array that crosses it alone costs as much as several gradients of a small network.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

#: Fields of a state that are one number, in the order in which they are packed.
NUMBERS = ("t", "loss", "step_size", "last_error")
COUNTS = ("accepted", "rejected", "evaluations", "events", "failed", "hessians")


class Packed(NamedTuple):
    """A state as two vectors."""

    floats: Float[Array, " numbers"]
    integers: Int[Array, " counts"]


class Folded(NamedTuple):
    """A state as it goes round a compiled loop: single numbers side by side, since each that travels alone is a program of its own to compile and to call."""

    numbers: Float[Array, " numbers"]
    counts: Int[Array, " counts"]
    mode: Int[Array, " m"]
    y: Float[Array, " n"]
    velocity: Float[Array, " n"]

    @classmethod
    def of(cls, packed: Packed) -> "Folded":
        floats, integers = packed
        k, c = len(NUMBERS) + 3, len(COUNTS) + 4
        n = (floats.shape[0] - k) // 2
        return cls(floats[:k], integers[:c], integers[c:].astype(np.int32), floats[k : k + n], floats[k + n :])

    def packed(self) -> Packed:
        """In compiled code."""
        floats = jnp.concatenate([self.numbers, self.y, self.velocity])
        return Packed(floats, jnp.concatenate([self.counts, self.mode.astype(jnp.int64)]))


class State(NamedTuple):
    """Everything that the next step depends on; saving and reloading it loses nothing."""

    t: Float[Array, ""]
    y: Float[Array, " n"]
    mode: Int[Array, " m"]
    loss: Float[Array, ""]
    velocity: Float[Array, " n"]
    step_size: Float[Array, ""]
    last_error: Float[Array, ""]
    accepted: Int[Array, ""]
    rejected: Int[Array, ""]
    evaluations: Int[Array, ""]
    events: Int[Array, ""]
    failed: Array  # bool: the step size has fallen to rounding
    hessians: Int[Array, ""]
    switch: Int[Array, " 4"]  # see `switching.Switch`
    before: Float[Array, " 3"]  # see `sampling.follows`

    def packed(self) -> Packed:
        """NumPy or JAX, as it is given."""
        xp = jnp if isinstance(self.y, jax.Array) else np
        numbers = xp.asarray([getattr(self, name) for name in NUMBERS])
        counts = xp.asarray([getattr(self, name) for name in COUNTS], xp.int64)
        floats = xp.concatenate([numbers, self.before, self.y, self.velocity])
        return Packed(floats, xp.concatenate([counts, self.switch, self.mode], dtype=xp.int64))

    @classmethod
    def of(cls, packed: Packed) -> "State":
        return cls.unfolded(Folded.of(packed))

    def folded(self) -> Folded:
        """In compiled code."""
        numbers = jnp.stack([getattr(self, name) for name in NUMBERS])
        counts = jnp.stack([jnp.asarray(getattr(self, name), jnp.int64) for name in COUNTS])
        numbers, counts = jnp.concatenate([numbers, self.before]), jnp.concatenate([counts, self.switch])
        return Folded(numbers, counts, self.mode, self.y, self.velocity)

    @classmethod
    def unfolded(cls, folded: Folded) -> "State":
        numbers, counts, mode, y, velocity = folded
        found = {name: numbers[i] for i, name in enumerate(NUMBERS)}
        found |= {name: counts[i] for i, name in enumerate(COUNTS)}
        found["failed"] = found["failed"] != 0
        before, switch = numbers[len(NUMBERS) :], counts[len(COUNTS) :]
        return cls(**found, before=before, switch=switch, mode=mode, y=y, velocity=velocity)


class Controls(NamedTuple):
    """What a run asks for; all of it traced, so that one compiled loop serves every tolerance and stop.

    - `rtol`, `atol` [n]: error control, componentwise.
    - `t_stop`: the exact last time. `loss_stop`, `speed_stop`: stop after the first step at or below.
    - `loss_scale`: the loss at t = 0, against which the curve's interpolation error is measured.
    - `steps`: stop after so many accepted steps of this call.
    """

    rtol: Float[Array, ""]
    atol: Float[Array, " n"]
    t_stop: Float[Array, ""]
    loss_stop: Float[Array, ""]
    speed_stop: Float[Array, ""]
    loss_scale: Float[Array, ""]
    steps: Int[Array, ""]

    def packed(self) -> np.ndarray:
        return np.concatenate([np.stack([*self[:1], *self[2:]]), self.atol], dtype=np.float64)

    @classmethod
    def of(cls, packed: Float[Array, " n + 6"]) -> "Controls":
        rtol, *others, steps = (packed[i] for i in range(6))
        return cls(rtol, packed[6:], *others, steps=steps.astype(jnp.int64))


class Segment(NamedTuple):
    """One call's output: the curve from after the state given, and the states after each accepted step."""

    t: np.ndarray
    loss: np.ndarray
    speed: np.ndarray
    states: np.ndarray  # [steps, n]
    curve_index: np.ndarray  # [steps]: position in this segment's curve of each state

    @classmethod
    def of(cls, curve: Array, states: Array, index: Array, sizes: Array) -> "Segment":
        """From the buffers of a compiled segment, which are longer than what is in them."""
        count, size = np.asarray(sizes).tolist()
        kept = np.asarray(states)
        t, loss, speed = np.ascontiguousarray(np.asarray(curve)[:size].T)
        return cls(t, loss, speed, kept[: min(count, len(kept))], np.asarray(index)[:count])
