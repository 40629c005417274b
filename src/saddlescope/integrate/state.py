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

    def packed(self) -> "Packed":
        """NumPy or JAX, as it is given."""
        xp = jnp if isinstance(self.y, jax.Array) else np
        numbers = xp.asarray([getattr(self, name) for name in NUMBERS])
        counts = xp.asarray([getattr(self, name) for name in COUNTS], xp.int64)
        floats = xp.concatenate([numbers, self.before, self.y, self.velocity])
        return Packed(floats, xp.concatenate([counts, self.switch, self.mode], dtype=xp.int64))

    @classmethod
    def of(cls, packed: "Packed") -> "State":
        floats, integers = packed
        n, k, c = (floats.shape[0] - len(NUMBERS) - 3) // 2, len(NUMBERS) + 3, len(COUNTS)
        found = {name: floats[i] for i, name in enumerate(NUMBERS)} | {
            name: integers[i] for i, name in enumerate(COUNTS)
        }
        found["failed"] = found["failed"] != 0
        found |= {"before": floats[len(NUMBERS) : k], "y": floats[k : k + n], "velocity": floats[k + n :]}
        return cls(**found, switch=integers[c : c + 4], mode=integers[c + 4 :].astype(np.int32))


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
        return cls(*np.asarray(curve)[:, :size], kept[: min(count, len(kept))], np.asarray(index)[:count])
