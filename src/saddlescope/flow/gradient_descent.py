r"""Gradient descent, $\theta \leftarrow \theta - \eta \nabla L$: exactly so many steps, with t = (learning rate) x (steps)."""

import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from ..networks import AbstractNetwork
from ..objective import Objective
from ..results import RESULTS, ComputationError
from .compression import Compression
from .compression import compress as find_compression
from .field import SmoothField
from .trajectory import Keeper, Trajectory

#: The loss is followed step by step up to this many samples; beyond, the curve is thinned where it is straight.
LONGEST_CURVE = 200_000


def gradient_descent(
    network: AbstractNetwork,
    objective: Objective,
    *,
    learning_rate: float,
    steps: int,
    compress: bool = True,
    progress: Callable[[float | None, str], None] | None = None,
    throw: bool = True,
) -> Trajectory:
    r"""Takes exactly `steps` steps of size `learning_rate`.

    The curve has every step up to 200000 of them, then evenly chosen ones. `ended` is "steps", "diverged" (the loss exceeded 1e6 times its
    initial value; it stops there) or "nonfinite". `compress` leaves out units that need not be carried, as in `gradient_flow`.

    **Raises:** `ComputationError` where it diverges, unless `throw` is False: what was computed is then kept.
    """
    began = time.monotonic()
    with jax.enable_x64(True):
        way = find_compression(network) if compress else Compression(network, network)
        narrow = jax.tree.map(jnp.asarray, way.narrow)
        objective = jax.tree.map(jnp.asarray, objective)
        field = SmoothField(objective, narrow, jax.tree.map(jnp.asarray, way.shares))
        y = ravel_pytree(narrow)[0]
        n = y.shape[0]
        block = int(np.clip(32 * 2**20 // (8 * n), 4, 64))  # states handed back a call
        stride = max(1, -(-steps // LONGEST_CURVE))
        loss0, velocity = _value(field, y)
        loss0 = float(loss0)
        keeper = Keeper(float(loss0), n)
        speed0 = float(jnp.linalg.norm(velocity))
        keeper.add(0, float(loss0), speed0, np.asarray(y))
        curve, done, ended, length = [np.array([[0.0], [float(loss0)], [speed0]])], 0, None, 1
        while done < steps:
            try:
                todo = min(block * stride, steps - done)
                count = -(-todo // stride)
                y, velocity, out = _descend(
                    field, y, velocity, jnp.asarray(learning_rate), jnp.asarray(done), jnp.asarray(steps), stride, block
                )
                loss, speed, states = (np.asarray(a)[:count] for a in out)
                done += todo
                at = np.minimum(done - todo + stride * np.arange(1, count + 1), steps)
                bad = ~np.isfinite(loss) | (loss > 1e6 * loss0) | ~np.isfinite(speed)
                if np.any(bad):
                    keep = int(np.argmax(bad))
                    ended = "diverged" if not np.isfinite(loss[keep]) or loss[keep] > loss0 else "nonfinite"
                    loss, speed, states, at = loss[:keep], speed[:keep], states[:keep], at[:keep]
                for j in range(loss.size):
                    keeper.add(length + j, float(loss[j]), float(speed[j]), states[j])
                curve.append(np.stack([at * learning_rate, loss, speed]))
                length += loss.size
                if ended:
                    break
                if progress is not None:
                    progress(done / steps, f"step {done}, loss = {loss[-1]:.6g}")
            except KeyboardInterrupt:
                ended = "interrupted"
                break
        index, kept = keeper.states()
        whole = np.concatenate(curve, axis=1)
    result = {"diverged": RESULTS.diverged, "nonfinite": RESULTS.nonfinite}.get(ended or "", RESULTS.successful)
    if throw and result is not RESULTS.successful:
        raise ComputationError(result, f"It ended at step {round(whole[0, -1] / learning_rate)}.")
    cost = {
        "gradient_evaluations": done + 1,
        "hessian_evaluations": 0,
        "steps": round(float(whole[0, -1]) / learning_rate),
        "rejected": 0,
        "events": 0,
        "seconds": time.monotonic() - began,
    }
    return Trajectory(*whole, kept, index, way, ended or "steps", result, cost, None, learning_rate)


@eqx.filter_jit
def _value(field, y):
    return field(y, jnp.zeros((0,), jnp.int32))


@eqx.filter_jit
def _descend(field, y, velocity, rate, done, steps, stride: int, block: int):
    none = jnp.zeros((0,), jnp.int32)

    def once(carry, _):
        y, velocity, loss, i = carry
        y = jnp.where(i < steps, y + rate * velocity, y)
        loss, velocity = field(y, none)
        return (y, velocity, loss, i + 1), None

    def several(carry, _):
        carry, _ = lax.scan(once, carry, None, length=stride)
        y, velocity, loss, _ = carry
        return carry, (loss, jnp.linalg.norm(velocity), y)

    first = (y, velocity, jnp.zeros(()), jnp.asarray(done))
    (y, velocity, _, _), out = lax.scan(several, first, None, length=block)
    return y, velocity, out
