r"""One gradient flow in progress: what it asks of the integrator next, what it keeps of the answer, and whether it has ended.

The same object serves a run alone and a member of a batch, so that both take the same steps.
"""

import copy
import functools
import time
from collections.abc import Callable

import jax
import numpy as np

from ..integrate import AbstractField, Controls, Segment, State
from ..networks import AbstractNetwork
from ..objective import Objective
from ..results import RESULTS, ComputationError
from ..series import insert_samples
from .compression import Compression, weights_of
from .compression import compress as find_compression
from .field import field_of
from .trajectory import Keeper, Trajectory

#: A flow is asked whether it can rest only where its speed is below this part of the fastest so far ...
REST_SPEED = 1e-6
#: ... or below this many times rtol: explicit methods at their stability limit hover there.
REST_RTOL = 30.0
#: "settled": within this part of L(0) of a known optimum.
SETTLED = 1e-6
#: A piecewise linear flow that advances by less than this part of t in a whole segment slides where it cannot be followed.
SLIDING_ADVANCE = 1e-8
#: Up to so many weights a dense Hessian and its factorisation are allowed: there a step costs some 130 explicit ones (`integrate.switching.worth`).
LARGEST_STIFF = 400
#: A flow without a time to stop at is at rest where it is, if nothing has come of it for so many times the time of its fastest motion so far: stiff
#: steps would otherwise go on for ever on an exact saddle.
HORIZON = 1e9
#: Lines between the samples of a finished curve are within this part of the loss at t = 0 of the cubics that the integrator has sampled for. Files promise
#: 1e-4, and the cubics 1e-6.
LINEAR_TOLERANCE = 4e-5
#: Results that are raised unless the caller says otherwise.
FAILURES = (RESULTS.nonfinite, RESULTS.stalled, RESULTS.max_steps)


def error_scale(network: AbstractNetwork) -> np.ndarray:
    """For each weight the root mean square of its block at the start; of all weights where a block is zero.

    **Raises:** `ValueError` where every weight is zero, or so small that the products the network is made of underflow.
    """
    weights, block, sizes = weights_of(network), *_blocks(network)
    largest = float(np.max(np.abs(weights), initial=0.0))
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
    square = np.bincount(block, (weights / largest) ** 2, len(sizes))
    every = largest * float(np.sqrt(np.sum(square) / weights.size))
    rms = largest * np.sqrt(square / np.maximum(sizes, 1))
    return np.where(rms > 0, rms, every)[block]


def _blocks(network: AbstractNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Of every weight, in the order of `weights_of`, the number of its named array, and how many weights each has."""
    leaves, structure = jax.tree.flatten(network)
    return _blocks_of(structure, tuple(np.shape(leaf) for leaf in leaves))


@functools.lru_cache(maxsize=256)
def _blocks_of(structure, shapes: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, np.ndarray]:
    network = jax.tree.unflatten(structure, [np.zeros(shape) for shape in shapes])
    arrays = network.arrays()
    numbered = network.with_arrays({name: np.full(a.shape, float(k)) for k, (name, a) in enumerate(arrays.items())})
    block = weights_of(numbered).astype(np.int64)
    return block, np.bincount(block, minlength=len(arrays))


class Motion:
    """A flow from the weights of a network; arguments as `gradient_flow`, which says what they mean."""

    def __init__(
        self,
        network: AbstractNetwork,
        objective: Objective,
        *,
        until: str | float,
        rtol: float,
        stiff: bool | None,
        compress: bool,
        max_steps: int,
        can_rest: Callable[[AbstractNetwork], bool] | None,
        loss_stop: float | None,
        keep_states: bool,
    ):
        if until == "converged" and can_rest is None:
            raise ValueError('until = "converged" needs can_rest, a test of escape (fixed_points.certify); found none.')
        if isinstance(until, str) and until not in ("converged", "settled"):
            raise ValueError(f'until = "{until}" is not "converged", "settled" or a time.')
        scale = error_scale(network)  # whatever is wrong with the weights is said of those that were given
        self.way = find_compression(network) if compress else Compression(network, network)
        scale = error_scale(self.way.narrow) if self.way.steps else scale
        self.kinked = any(lens.facts.kinks for lens in network.lenses())
        self.objective, self.until, self.rtol, self.can_rest = objective, until, rtol, can_rest
        self.max_steps, self.loss_stop, self.keep_states = max_steps, loss_stop, keep_states
        self.atol = (np.maximum(rtol, 1e-12) if self.kinked else rtol) * scale
        with jax.enable_x64(True):
            self.field: AbstractField = field_of(objective, self.way.narrow, self.way.shares)
        self.start = weights_of(self.way.narrow)
        n = self.start.size
        self.stiff = n <= LARGEST_STIFF and not self.field.has_modes if stiff is None else stiff
        self.segment_steps = int(np.clip(32 * 2**20 // (8 * n), 8, 256))
        self.t_stop = np.inf if isinstance(until, str) else float(until)
        self.rest = max(REST_SPEED, REST_RTOL * rtol)
        self.settled, self.stop = None, -np.inf
        self.ended: str | None = None
        self.result = RESULTS.successful
        self.began = time.monotonic()

    def first_controls(self) -> Controls:
        return self._controls(0.0, 1, 1.0)

    def begin(self, state: State, resume: dict[str, np.ndarray] | None = None) -> None:
        """Takes the state at t = 0, or goes on from the checkpoint of an interrupted run."""
        self.loss0 = float(state.loss)
        if not np.isfinite(self.loss0):
            raise ValueError(
                f"The loss at the initial weights is {self.loss0}: data or weights are too large to square."
            )
        if self.until == "settled":
            self.settled = self.objective.lower_bound() + SETTLED * self.loss0
        self.stop = max([s for s in (self.settled, self.loss_stop) if s is not None], default=-np.inf)
        self.keeper = Keeper(self.loss0, self.start.size)
        self.state = state
        if resume is None:
            speed = float(np.linalg.norm(state.velocity))
            self.curve = [np.array([[0.0], [self.loss0], [speed]])]
            self.keeper.add(0, self.loss0, speed, self.start)
            self.watch = Watch(peak=speed)
        elif missing := [k for k in (*State._fields, "curve", "watch") if k not in resume]:
            raise ValueError(
                f"resume needs a checkpoint of this version: {', '.join(missing)} is missing, as in one that an earlier version saved. Start again without it."
            )
        else:
            self.state = State(**{k: np.asarray(resume[k]) for k in State._fields})
            self.curve = [resume["curve"]]
            self.keeper.unpack(resume)
            self.watch = Watch(*(float(v) for v in resume["watch"]))
        speed0 = float(self.curve[0][2, 0])
        self.first_time = float(np.linalg.norm(self.start)) / speed0 if speed0 > 0 else 0.0
        self.length = sum(part.shape[1] for part in self.curve)
        if float(np.linalg.norm(self.state.velocity)) == 0.0:
            # an exact fixed point: it stays here for ever, and still only a minimum is an end
            self.ended = "time"
            if isinstance(self.until, str):
                at_rest = self.can_rest is None or self.can_rest(self.way.at_rest(self.start))
                self.ended = "converged" if at_rest else "on_plateau"

    def controls(self) -> Controls:
        """What the next segment is asked to respect."""
        asks = isinstance(self.until, str) and self.can_rest is not None
        self.threshold = self.watch.threshold(self.rest) if asks else -1.0
        left = self.max_steps - int(self.state.accepted)
        return self._controls(self.threshold, min(self.segment_steps, left), self.loss0)

    @property
    def horizon(self) -> float:
        """The last time that is of interest."""
        return self.t_stop if np.isfinite(self.t_stop) else HORIZON * max(self.watch.peak_time, self.first_time)

    def _controls(self, speed_stop: float, steps: int, loss_scale: float) -> Controls:
        t_stop = self.horizon if hasattr(self, "watch") else self.t_stop
        values = (self.rtol, self.atol, t_stop, self.stop, speed_stop, loss_scale)
        return Controls(*(np.asarray(v, np.float64) for v in values), steps=np.asarray(steps, np.int64))

    def take(self, following: State, part: Segment) -> None:
        """Keeps what a segment brought, and decides whether the flow has ended."""
        before = float(self.state.t), int(self.state.accepted) + int(self.state.rejected)
        kept, seen = self.keeper.copy(), copy.copy(self.watch)
        for j in range(part.states.shape[0] if self.keep_states else 0):
            i = int(part.curve_index[j])
            kept.add(self.length + i, part.loss[i], part.speed[i], part.states[j])
        if not self.keep_states and part.t.shape[0]:
            kept.last = (self.length + part.t.shape[0] - 1, part.loss[-1], part.speed[-1], np.array(following.y))
            kept.slowest = kept.last
        seen.see(part.t, part.loss, part.speed, self.loss0)
        longer = [*self.curve, np.stack([part.t, part.loss, part.speed])]
        # at once: wherever Ctrl-C strikes, state and bookkeeping are those of one moment
        self.state, self.curve, self.length, self.keeper, self.watch = (
            following,
            longer,
            self.length + part.t.shape[0],
            kept,
            seen,
        )
        self._decide()
        tried = int(self.state.accepted) + int(self.state.rejected) - before[1]
        still = float(self.state.t) - before[0] < SLIDING_ADVANCE * float(self.state.t)
        if self.ended is None and still and tried >= self.segment_steps and self.kinked:
            self.ended, self.result = "sliding_failed", RESULTS.stalled

    def _decide(self) -> None:
        state = self.state
        loss, speed = float(state.loss), float(np.linalg.norm(state.velocity))
        if not np.isfinite(loss) or not np.isfinite(speed):
            self.ended, self.result = "nonfinite", RESULTS.nonfinite
        elif loss > 1e6 * self.loss0:
            self.ended, self.result = "diverged", RESULTS.diverged
        elif float(state.t) >= self.t_stop:
            self.ended = "time"
        elif self.settled is not None and loss <= self.settled:
            self.ended = "settled"
        elif loss <= self.stop:
            self.ended = "loss"
        elif bool(state.failed):
            self.ended, self.result = (
                ("sliding_failed", RESULTS.stalled) if self.kinked else ("nonfinite", RESULTS.nonfinite)
            )
        else:
            if self.can_rest is not None and speed <= self.threshold:
                if self.can_rest(self.way.at_rest(np.asarray(state.y))):
                    self.ended = "converged"
                    return
                self.watch.ask(loss, speed)
            if float(state.t) >= self.horizon or (speed == 0.0 and isinstance(self.until, str)):
                rests = self.can_rest is not None and self.can_rest(self.way.at_rest(np.asarray(state.y)))
                self.ended = "converged" if rests else "on_plateau"
            elif int(state.accepted) >= self.max_steps:
                self.ended, self.result = "max_steps", RESULTS.max_steps

    def trajectory(self, throw: bool) -> Trajectory:
        """What the run leaves behind. Raises `ComputationError` where it went wrong and `throw`."""
        state = self.state
        curve = np.concatenate(self.curve, axis=1)
        checkpoint = {k: np.asarray(v) for k, v in state._asdict().items()}
        checkpoint |= {"curve": curve, "watch": np.array(self.watch.pack())} | self.keeper.pack()
        index, kept = self.keeper.states()
        *dense, place = insert_samples(*curve, LINEAR_TOLERANCE * self.loss0)
        cost = {
            "gradient_evaluations": int(state.evaluations),
            "hessian_evaluations": int(state.hessians),
            "steps": int(state.accepted),
            "rejected": int(state.rejected),
            "events": int(state.events),
            "seconds": time.monotonic() - self.began,
        }
        if throw and self.result in FAILURES:
            raise ComputationError(self.result, f"It ended at t = {curve[0, -1]:.6g}, loss {curve[1, -1]:.6g}.")
        ended = self.ended or "interrupted"
        return Trajectory(*dense, kept, place[index], self.way, ended, self.result, cost, self.rtol, None, checkpoint)


class Watch:
    """Decides at which speed the next question "can it rest here?" is asked: not again and again on one plateau."""

    def __init__(self, peak: float, asked_loss: float = np.inf, asked_speed: float = np.inf, peak_time: float = 0.0):
        self.peak, self.asked_loss, self.asked_speed, self.peak_time = peak, asked_loss, asked_speed, peak_time

    def threshold(self, rest: float) -> float:
        return min(rest * self.peak, self.asked_speed / 10)

    def see(self, t: np.ndarray, loss: np.ndarray, speed: np.ndarray, loss0: float) -> None:
        if loss.size:
            fastest = int(np.argmax(speed))
            if speed[fastest] > self.peak:
                self.peak, self.peak_time = float(speed[fastest]), float(t[fastest])
            if loss[-1] < self.asked_loss - 1e-4 * loss0:
                self.asked_loss, self.asked_speed = np.inf, np.inf

    def ask(self, loss: float, speed: float) -> None:
        self.asked_loss, self.asked_speed = loss, speed

    def pack(self) -> tuple[float, float, float, float]:
        return self.peak, self.asked_loss, self.asked_speed, self.peak_time
