r"""The adaptive driver: one compiled loop that takes steps, follows modes and writes the curve as densely as it bends.

Plateaus want long steps and transitions many samples, and the caller can know neither beforehand. So the loss curve is
sampled inside the steps, from the dense output, until interpolating it is accurate; steps across which nothing happens cost nothing extra.
The loop stops after a fixed number of steps and hands back its whole state, controller included: going on from there is
the same computation, bit for bit, whoever asks and however often it was interrupted.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from ._base import AbstractField, Method
from .methods import METHODS
from .sampling import MAX_SAMPLES, SPEED_DECADES, Curve, Ends, extra_stages, first_crossing, interpolate, sample

#: Steps that change the loss by less than this part of the loss at t = 0 satisfy both promises without a look inside.
QUIET = 1e-7
#: From this many weights on, combining stages is bound by memory.
WIDE = 50_000
#: A guard counts as crossed below minus this; guards are dimensionless, so this is rounding.
GUARD_TOLERANCE = 1e-13


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


class Segment(NamedTuple):
    """One call's output: the curve from after the state given, and the states after each accepted step."""

    t: np.ndarray
    loss: np.ndarray
    speed: np.ndarray
    states: np.ndarray  # [steps, n]
    curve_index: np.ndarray  # [steps]: position in this segment's curve of each state


def start(field: AbstractField, y: Float[Array, " n"], controls: Controls) -> State:
    """The state at t = 0, with a first step from the size of the velocity."""
    with jax.enable_x64(True):
        return _start(field, jnp.asarray(y), controls)


@eqx.filter_jit
def _start(field: AbstractField, y: Array, controls: Controls) -> State:
    mode = field.initial_mode(y)
    loss, velocity = field(y, mode)
    weight = 1 / (controls.atol + controls.rtol * jnp.abs(y))
    d0, d1 = _rms(y * weight), _rms(velocity * weight)
    # Hairer, Norsett & Wanner, II.4: a hundredth of the time in which y changes by its own size
    h = jnp.where(d1 > 0, 0.01 * d0 / jnp.where(d1 > 0, d1, 1.0), 1e-6)
    zero = jnp.zeros((), jnp.int64)
    one = jnp.ones(())
    return State(jnp.zeros(()), y, mode, loss, velocity, h, one, zero, zero, zero + 1, zero, jnp.zeros((), bool))


def advance(
    field: AbstractField, state: State, controls: Controls, *, order: int = 8, steps: int = 256
) -> tuple[State, Segment]:
    """Takes at most `steps` accepted steps, in 64 bits whatever the setting, and returns NumPy arrays.

    The result does not depend on how a run is cut into calls: steps are never clipped to fit one.
    """
    with jax.enable_x64(True):
        state, curve, states, index, count = _advance(field, state, controls, order, steps)
        n, size = int(count), int(curve.size)
        return state, Segment(
            np.asarray(curve.t)[:size],
            np.asarray(curve.loss)[:size],
            np.asarray(curve.speed)[:size],
            np.asarray(states)[:n],
            np.asarray(index)[:n],
        )


@eqx.filter_jit
def _advance(field: AbstractField, state: State, controls: Controls, order: int, steps: int):
    method = METHODS[order]()
    samples = 8 * steps + 2 * MAX_SAMPLES
    curve = Curve.empty(samples)
    states = jnp.zeros((steps, state.y.shape[0]))
    index = jnp.zeros((steps,), jnp.int64)
    count = jnp.zeros((), jnp.int64)

    def going(carry):
        s, curve, _, _, count = carry
        return (
            (count < jnp.minimum(steps, controls.steps))
            & (curve.size < samples - MAX_SAMPLES - 3)
            & (s.t < controls.t_stop)
            & (s.loss > controls.loss_stop)
            & (jnp.linalg.norm(s.velocity) > controls.speed_stop)
            & jnp.isfinite(s.loss)
            & ~s.failed
        )

    def step(carry):
        s, curve, states, index, count = carry
        new, curve, accepted = _step(field, method, s, controls, curve)
        slot = jnp.where(accepted, count, steps - 1)
        states = states.at[slot].set(jnp.where(accepted, new.y, states[slot]))
        index = index.at[slot].set(jnp.where(accepted, curve.size - 1, index[slot]))
        return new, curve, states, index, count + jnp.where(accepted, 1, 0)

    return lax.while_loop(going, step, (state, curve, states, index, count))


def _step(field: AbstractField, method: Method, s: State, controls: Controls, curve: Curve):
    last = method.stages.shape[0] - 1
    clipped = s.t + s.step_size >= controls.t_stop
    h = jnp.where(clipped, controls.t_stop - s.t, s.step_size)

    def stage(i, carry):
        k, _ = carry
        loss, velocity = field(s.y + h * _combined(method, i, k), s.mode)
        return k.at[i].set(velocity), loss

    k = jnp.zeros((last + 1, s.y.shape[0])).at[0].set(s.velocity)
    k, loss = lax.fori_loop(1, last + 1, stage, (k, s.loss))
    y = s.y + h * (method.stages[last] @ k)
    error = _error(method, k, h, controls.atol + controls.rtol * jnp.maximum(jnp.abs(s.y), jnp.abs(y)))
    finite = jnp.isfinite(error) & jnp.isfinite(loss) & jnp.all(jnp.isfinite(k[last]))
    accepted = finite & (error <= 1)

    # proportional-integral control (Hairer & Wanner, IV.2), which keeps steps steady at the stability limit
    q = method.order
    safe = jnp.where(finite, jnp.maximum(error, 1e-10), 1.0)
    grow = jnp.clip(0.9 * safe ** (-0.7 / q) * s.last_error ** (0.4 / q), 0.33, 6.0)
    shrink = jnp.where(finite, jnp.clip(0.9 * safe ** (-1 / q), 0.2, 0.9), 0.1)
    proposed = h * jnp.where(accepted, grow, shrink)
    size = jnp.where(accepted & clipped, jnp.maximum(proposed, s.step_size), proposed)
    failed = ~accepted & (size <= 4 * jnp.finfo(h.dtype).eps * s.t)

    t = jnp.where(clipped, controls.t_stop, s.t + h)
    full = State(
        t,
        y,
        s.mode,
        loss,
        k[last],
        size,
        jnp.maximum(error, 1e-4),
        s.accepted + 1,
        s.rejected,
        s.evaluations + last,
        s.events,
        failed,
    )
    kept = s._replace(step_size=size, rejected=s.rejected + 1, evaluations=s.evaluations + last, failed=failed)

    moved = jnp.abs(s.loss - loss) > QUIET * controls.loss_scale
    turned = jnp.abs(jnp.log10(jnp.linalg.norm(k[last]) / jnp.linalg.norm(s.velocity))) > SPEED_DECADES
    if field.has_modes:
        before, after = field.guards(s.y, s.mode), field.guards(y, s.mode)
        crossed = (after < -GUARD_TOLERANCE) & (after < before)
        event = jnp.any(crossed)
    else:
        crossed, event = jnp.zeros((0,), bool), jnp.zeros((), bool)

    def look_inside(curve):
        stages = extra_stages(field, method, s.y, s.mode, k, h)
        looked = full._replace(evaluations=full.evaluations + stages.shape[0] - k.shape[0])

        def at(x):
            return interpolate(method, s.y, y, stages, h, x)

        if not field.has_modes:
            return _sampled(field, s, looked, at, jnp.ones(()), h, curve, controls)
        return lax.cond(
            event,
            lambda curve: _ended(field, s, looked, at, crossed, h, curve, controls),
            lambda curve: _sampled(field, s, looked, at, jnp.ones(()), h, curve, controls),
            curve,
        )

    def take(curve):
        return lax.cond(event | moved | turned, look_inside, lambda curve: (full, curve), curve)

    new, curve = lax.cond(accepted, take, lambda curve: (kept, curve), curve)
    return new, curve.add(new.t, new.loss, jnp.linalg.norm(new.velocity), when=accepted), accepted


def _sampled(field, s: State, end: State, at, span, h, curve: Curve, controls: Controls) -> tuple[State, Curve]:
    """Samples the curve inside the first part `span` of a step that ends at `end`."""

    def values(x):
        loss, velocity = field(at(x * span), s.mode)
        return loss, jnp.linalg.norm(velocity)

    speeds = jnp.linalg.norm(s.velocity), jnp.linalg.norm(end.velocity)
    curve, calls = sample(values, Ends(s.t, span * h, (s.loss, end.loss), speeds), curve, controls.loss_scale)
    return end._replace(evaluations=end.evaluations + calls), curve


def _ended(field, s: State, full: State, at, crossed, h, curve: Curve, controls: Controls) -> tuple[State, Curve]:
    """Cuts a step where its mode ends and changes the mode; the curve gets the speed before and after."""
    span = first_crossing(field, at, s.mode, crossed)
    y = at(span)
    loss, velocity = field(y, s.mode)
    before = full._replace(t=s.t + span * h, y=y, loss=loss, velocity=velocity, evaluations=full.evaluations + 2)
    before, curve = _sampled(field, s, before, at, span, h, curve, controls)
    curve = curve.add(before.t, before.loss, jnp.linalg.norm(before.velocity))
    mode = field.transition(y, s.mode, crossed & (field.guards(y, s.mode) < 0))
    loss, velocity = field(y, mode)
    return before._replace(mode=mode, loss=loss, velocity=velocity, events=s.events + 1), curve


def _combined(method: Method, i, k):
    """Stage i's combination of the velocities before it."""
    if k.shape[1] < WIDE:
        return jnp.asarray(method.stages)[i] @ k
    # memory decides here: read only the rows that are there
    rows = [lambda k, j=j: method.stages[j, :j] @ k[:j] for j in range(1, len(method.stages))]
    return lax.switch(i - 1, rows, k)


def _error(method: Method, k, h, tolerance):
    """The error of a step in units of its tolerance, as a root mean square over components."""
    weights = jnp.asarray(method.errors)
    estimates = (weights @ k) / tolerance
    squares = jnp.sum(estimates**2, axis=1)
    n = k.shape[1]
    if squares.shape[0] == 1:
        return h * jnp.sqrt(squares[0] / n)
    # DOP853 (Hairer, Norsett & Wanner, II.10): the fifth-order estimate, damped by the third-order one
    total = squares[0] + 0.01 * squares[1]
    return jnp.where(total > 0, h * squares[0] / jnp.sqrt(jnp.where(total > 0, total, 1.0) * n), 0.0)


def _rms(values):
    return jnp.sqrt(jnp.mean(values**2))
