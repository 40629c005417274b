r"""Gradient flow, $\dot\theta = -\nabla L$: with error control tied to the scale at which the weights start.

From small weights an absolute tolerance that is not small against them decides when a plateau ends (a loose one moves it by tens of percent
without a word), so atol follows each block's own initial size.
"""

import copy
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ..integrate import Controls, State, advance, start
from ..networks import AbstractNetwork
from ..objective import Objective
from ..results import RESULTS, ComputationError
from .field import KinkedField, field_of
from .trajectory import Keeper, Trajectory, weights_of, with_weights

Progress = Callable[[float | None, str], None]

#: A flow is asked whether it can rest only where its speed is below this part of the fastest so far ...
REST_SPEED = 1e-6
#: ... or below this many times rtol: explicit methods at their stability limit hover there.
REST_RTOL = 30.0
#: "settled": within this part of L(0) of a known optimum.
SETTLED = 1e-6
#: A piecewise linear flow that advances by less than this part of t in a whole segment slides where it cannot be followed.
SLIDING_ADVANCE = 1e-8


def error_scale(network: AbstractNetwork) -> np.ndarray:
    """For each weight the root mean square of its block at the start; of all weights where a block is zero.

    **Raises:** `ValueError` where every weight is zero, or so small that the products the network is made of underflow.
    """
    arrays = {name: np.asarray(a, dtype=np.float64) for name, a in network.arrays().items()}
    largest = max(float(np.max(np.abs(a), initial=0.0)) for a in arrays.values())
    if largest == 0.0:
        raise ValueError(
            "All initial weights are zero, a fixed point of every such network: nothing moves. Give a scale > 0."
        )
    smallest = 10.0 ** (-290 / (2 * max((network.homogeneity or 2) - 1, 1)))
    if largest < smallest:
        raise ValueError(
            f"Initial weights of size {largest:.1e} need products below the smallest 64-bit number for this network, which "
            f"starts at {smallest:.1e}. Choose a larger scale: the times scale with its logarithm or power anyway."
        )
    # relative to the largest weight, so that squares of small weights do not underflow
    rms = {name: largest * float(np.sqrt(np.mean((a / largest) ** 2))) for name, a in arrays.items()}
    total = sum(a.size for a in arrays.values())
    every = largest * float(np.sqrt(sum(np.sum((a / largest) ** 2) for a in arrays.values()) / total))
    with jax.enable_x64(True):
        return weights_of(
            network.with_arrays({name: np.full(a.shape, rms[name] or every) for name, a in arrays.items()})
        )


def gradient_flow(
    network: AbstractNetwork,
    objective: Objective,
    *,
    until: str | float = "converged",
    rtol: float = 1e-8,
    order: int = 8,
    max_steps: int = 200_000,
    can_rest: Callable[[AbstractNetwork], bool] | None = None,
    loss_stop: float | None = None,
    keep_states: bool = True,
    progress: Progress | None = None,
    resume: dict[str, np.ndarray] | None = None,
    throw: bool = True,
) -> Trajectory:
    r"""Follows $\dot\theta = -\nabla L$ from the weights of `network`.

    **Arguments:**

    - `until`: "converged" (needs `can_rest`), "settled" (within 1e-6 L(0) of a lower bound of the loss; also stops where converged), or a time.
    - `rtol`: relative tolerance of a step, from 1e-13 to 1e-4. The absolute one is rtol times the initial root mean square of the
        weight's block.
    - `order`: 8 or 5.
    - `max_steps`: accepted steps.
    - `can_rest`: whether the flow can rest at a network: a claim about escape, made by `fixed_points.certify`.
    - `loss_stop`: stop after the first step at or below this loss.
    - `keep_states`: whether to keep more states than the first and last.
    - `progress`: called as progress(fraction or None, text) between segments.
    - `resume`: the `checkpoint` of an interrupted run with the same arguments. The result equals the uninterrupted one bit for bit.
    - `throw`: raise `ComputationError` where the flow goes wrong; otherwise `ended` and `result` say so.

    **Raises:** `ValueError` for a call that makes no sense, `ComputationError` as above.
    """
    if until == "converged" and can_rest is None:
        raise ValueError('until = "converged" needs can_rest, a test of escape (fixed_points.certify); found none.')
    if isinstance(until, str) and until not in ("converged", "settled"):
        raise ValueError(f'until = "{until}" is not "converged", "settled" or a time.')
    scale = error_scale(network)
    if _kinked(network):
        atol = np.maximum(rtol, 1e-12) * scale
    else:
        atol = rtol * scale
    began = time.monotonic()
    with jax.enable_x64(True):
        network = jax.tree.map(jnp.asarray, network)
        objective = jax.tree.map(jnp.asarray, objective)
        field = field_of(objective, network)
        y = jnp.asarray(weights_of(network))
        n = y.shape[0]
        t_stop = np.inf if isinstance(until, str) else float(until)
        settled, stop, loss0 = None, -np.inf, 1.0

        def controls(speed_stop: float, steps: int) -> Controls:
            values = (rtol, atol, t_stop, stop, speed_stop, loss0)
            return Controls(*(jnp.asarray(v, jnp.float64) for v in values), steps=jnp.asarray(steps, jnp.int64))

        state = start(field, y, controls(0.0, 1))
        loss0 = float(state.loss)
        if not np.isfinite(loss0):
            raise ValueError(f"The loss at the initial weights is {loss0}: data or weights are too large to square.")
        if until == "settled":
            settled = objective.lower_bound() + SETTLED * loss0
        stop = max([s for s in (settled, loss_stop) if s is not None], default=-np.inf)
        size = int(np.clip(32 * 2**20 // (8 * n), 8, 256))
        keeper = Keeper(loss0, n)
        if resume is None:
            speed = float(np.linalg.norm(state.velocity))
            curve = [np.array([[0.0], [float(state.loss)], [speed]])]
            keeper.add(0, float(state.loss), speed, np.asarray(y))
            watch = _Watch(peak=speed)
        else:
            state = State(**{k: jnp.asarray(resume[k]) for k in State._fields})
            curve = [resume["curve"]]
            keeper.unpack(resume)
            watch = _Watch(*(float(v) for v in resume["watch"]))

        length = sum(part.shape[1] for part in curve)
        rest = max(REST_SPEED, REST_RTOL * rtol)
        ended, result = None, RESULTS.successful
        if float(np.linalg.norm(state.velocity)) == 0.0:
            # an exact fixed point: it stays here for ever, and still only a minimum is an end
            ended = "time"
            if isinstance(until, str):
                ended = "converged" if can_rest is None or can_rest(network) else "on_plateau"
        while ended is None:
            left = max_steps - int(state.accepted)
            before = float(state.t), int(state.accepted) + int(state.rejected)
            threshold = watch.threshold(rest) if isinstance(until, str) and can_rest is not None else 0.0
            try:
                following, part = advance(field, state, controls(threshold, min(size, left)), order=order, steps=size)
                kept, seen = keeper.copy(), copy.copy(watch)
                for j in range(part.states.shape[0] if keep_states else 0):
                    i = int(part.curve_index[j])
                    kept.add(length + i, part.loss[i], part.speed[i], part.states[j])
                if not keep_states and part.states.shape[0]:
                    kept.last = (length + int(part.curve_index[-1]), part.loss[-1], part.speed[-1], part.states[-1])
                    kept.slowest = kept.last
                seen.see(part.loss, part.speed, loss0)
                longer = [*curve, np.stack([part.t, part.loss, part.speed])]
                # at once: wherever Ctrl-C strikes, state and bookkeeping are those of one moment
                state, curve, length, keeper, watch = following, longer, length + part.t.shape[0], kept, seen
                ended, result = _how_it_ended(
                    state, watch, t_stop, settled, stop, max_steps, threshold, can_rest, network, loss0
                )
                tried = int(state.accepted) + int(state.rejected) - before[1]
                still = float(state.t) - before[0] < SLIDING_ADVANCE * float(state.t)
                if ended is None and still and tried >= size and _kinked(network):
                    ended, result = "sliding_failed", RESULTS.stalled
                if progress is not None:
                    done = None if not np.isfinite(t_stop) else float(state.t) / t_stop
                    progress(
                        done, f"t = {float(state.t):.6g}, loss = {float(state.loss):.6g}, {int(state.accepted)} steps"
                    )
            except KeyboardInterrupt:
                ended = "interrupted"
        all_of_it = np.concatenate(curve, axis=1)
        checkpoint = {k: np.asarray(v) for k, v in state._asdict().items()}
        checkpoint |= {"curve": all_of_it, "watch": np.array(watch.pack())} | keeper.pack()
        index, states = keeper.states()
        cost = {
            "gradient_evaluations": int(state.evaluations),
            "hessian_evaluations": 0,
            "steps": int(state.accepted),
            "rejected": int(state.rejected),
            "events": int(state.events),
            "seconds": time.monotonic() - began,
        }
    if throw and result in (RESULTS.nonfinite, RESULTS.stalled, RESULTS.max_steps):
        raise ComputationError(result, f"It ended at t = {all_of_it[0, -1]:.6g}, loss {all_of_it[1, -1]:.6g}.")
    return Trajectory(*all_of_it, states, index, network, ended, result, cost, rtol, None, checkpoint)


class _Watch:
    """Decides at which speed the next question "can it rest here?" is asked: not again and again on one plateau."""

    def __init__(self, peak: float, asked_loss: float = np.inf, asked_speed: float = np.inf):
        self.peak, self.asked_loss, self.asked_speed = peak, asked_loss, asked_speed

    def threshold(self, rest: float) -> float:
        return min(rest * self.peak, self.asked_speed / 10)

    def see(self, loss: np.ndarray, speed: np.ndarray, loss0: float) -> None:
        if loss.size:
            self.peak = max(self.peak, float(np.max(speed)))
            if loss[-1] < self.asked_loss - 1e-4 * loss0:
                self.asked_loss, self.asked_speed = np.inf, np.inf

    def ask(self, loss: float, speed: float) -> None:
        self.asked_loss, self.asked_speed = loss, speed

    def pack(self) -> tuple[float, float, float]:
        return self.peak, self.asked_loss, self.asked_speed


def _how_it_ended(
    state, watch, t_stop, settled, stop, max_steps, threshold, can_rest, network, loss0
) -> tuple[str | None, RESULTS]:
    loss, speed = float(state.loss), float(np.linalg.norm(state.velocity))
    if not np.isfinite(loss) or not np.isfinite(speed):
        return "nonfinite", RESULTS.nonfinite
    if loss > 1e6 * loss0:
        return "diverged", RESULTS.diverged
    if float(state.t) >= t_stop:
        return "time", RESULTS.successful
    if settled is not None and loss <= settled:
        return "settled", RESULTS.successful
    if loss <= stop:
        return "loss", RESULTS.successful
    if bool(state.failed):
        return ("sliding_failed", RESULTS.stalled) if _kinked(network) else ("nonfinite", RESULTS.nonfinite)
    if can_rest is not None and speed <= threshold:
        if can_rest(with_weights(network, np.asarray(state.y))):
            return "converged", RESULTS.successful
        watch.ask(loss, speed)
    if int(state.accepted) >= max_steps:
        return "max_steps", RESULTS.max_steps
    return None, RESULTS.successful


def _kinked(network: AbstractNetwork) -> bool:
    return any(lens.facts.kinks for lens in network.lenses())


__all__ = ["KinkedField", "error_scale", "gradient_flow"]
