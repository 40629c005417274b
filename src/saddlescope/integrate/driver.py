r"""The adaptive driver: one compiled loop that takes steps, follows modes and writes the curve as densely as it bends.

Plateaus want long steps and transitions many samples, and the caller can know neither beforehand. So the loss curve is
sampled inside the steps, from the dense output, until cubics through losses and slopes are accurate; steps across which nothing happens cost nothing extra.
The loop stops after a fixed number of steps and hands back its whole state, controller included: going on from there is
the same computation, bit for bit, whoever asks and however often it was interrupted.

Where stiff steps are allowed, the loop also stops when its method no longer suits the motion: on a plateau where explicit steps are pressed against their
stability limit, a Rosenbrock method goes on; through transitions, where accuracy is what limits a step, the explicit one. Each is a program of
its own, compiled when it is first needed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from ._base import AbstractField, AbstractMethod, rms
from .methods import METHODS
from .sampling import MAX_SAMPLES, SPEED_DECADES, Curve, Ends, first_crossing, follows, hermite_tolerance, put, sample
from .state import Controls, Folded, Packed, Segment, State
from .switching import Switch

#: Steps that change the loss by less than this part of the loss at t = 0 satisfy both promises without a look inside.
QUIET = 1e-7
#: Loops of small operations are compiled for one thread: with the default, which lets independent operations run side by side, two threads are busy
#: passing on work that takes less time than that (measured: 1.3 times as long, and 1.7 times the processor time). Large products use threads all the same.
COMPILED_FOR = (
    {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"} if jax.__version_info__ >= (0, 10) else {}
)
#: The older way of writing fused loops takes half as long to compile. Small motions run as fast with it, or up to twice as fast; large ones, whose loops are long, up to 1.4 times
#: as long (measured with 10 to 100 units on 2 to 1000 samples, weights and data of 60 to 130 000 numbers). Other versions may have lost it, and refuse what they do not know.
COMPILED_SMALL = COMPILED_FOR | ({"xla_cpu_use_fusion_emitters": False} if jax.__version_info__[:2] == (0, 10) else {})
#: Up to so many numbers in weights and data a motion is small.
SMALL = 2_000
#: Up to so many numbers the states of a segment are kept whoever asks, for next to nothing: so that runs that keep them and runs that do not share programs.
FEW_NUMBERS = 2**18
#: A guard counts as crossed below minus this; guards are dimensionless, so this is rounding.
GUARD_TOLERANCE = 1e-13


def start(field: AbstractField, y: Float[Array, " n"], controls: Controls) -> State:
    """The state at t = 0 as NumPy arrays, with a first step from the size of the velocity."""
    with jax.enable_x64(True):
        return State.of(_read(_start(field)(field, np.asarray(y), controls.packed())))


def _first(field: AbstractField, y: Array, controls: Array) -> Packed:
    return first_state(field, y, Controls.of(controls)).packed()


def by_size(function: Callable[..., Any], **how: Any) -> Callable[[PyTree], Callable[..., Any]]:
    """The function compiled for small motions and for large ones: which, is decided by what it is given (fields of arrays) when it is called."""
    small, large = (jax.jit(function, compiler_options=of, **how) for of in (COMPILED_SMALL, COMPILED_FOR))

    def chosen(fields: PyTree) -> Callable[..., Any]:
        return small if sum(np.size(leaf) for leaf in jax.tree.leaves(fields)) <= SMALL else large

    return chosen


_start = by_size(_first)


def first_state(field: AbstractField, y: Array, controls: Controls) -> State:
    """`start`, to be compiled."""
    mode = field.initial_mode(y)
    loss, velocity = field(y, mode)
    weight = 1 / (controls.atol + controls.rtol * jnp.abs(y))
    d0, d1 = rms(y * weight), rms(velocity * weight)
    # Hairer, Norsett & Wanner, II.4: a hundredth of the time in which y changes by its own size
    h = jnp.where(d1 > 0, 0.01 * d0 / jnp.where(d1 > 0, d1, 1.0), 1e-6)
    zero = jnp.zeros((), jnp.int64)
    one = jnp.ones(())
    counts = (zero, zero, zero + 1, zero, jnp.zeros((), bool), zero)
    before = jnp.stack([jnp.zeros(()), loss, jnp.linalg.norm(velocity)])
    return State(jnp.zeros(()), y, mode, loss, velocity, h, one, *counts, Switch.start(y.shape[0]).packed(), before)


def advance(
    field: AbstractField,
    state: State,
    controls: Controls,
    *,
    order: int = 8,
    steps: int = 256,
    stiff: bool = False,
    keep_states: bool = True,
) -> tuple[State, Segment]:
    """Takes at most `steps` accepted steps, in 64 bits whatever the setting, and returns NumPy arrays.

    **Arguments:**

    - `order`: of the explicit method, 8 or 5.
    - `stiff`: whether long plateaus may be crossed with a Rosenbrock method, which takes a dense Hessian a step. Not for motions with modes.
    - `keep_states`: whether the segment has to carry the state after each step.

    The result does not depend on how a run is cut into calls: steps are never clipped to fit one.
    """
    if stiff and field.has_modes:
        raise ValueError(f"stiff = True needs a motion without modes: {type(field).__name__} has them. Leave it out.")
    with jax.enable_x64(True):
        keeps = keep_states or steps * np.asarray(state.y).shape[0] <= FEW_NUMBERS
        program = Program.of(state, order, steps, stiff, keeps)
        after, *written = _advance(field)(field, state.packed(), controls.packed(), program)
        return State.of(_read(after)), Segment.of(*written)


def _read(packed: Packed) -> Packed:
    return Packed(*(np.asarray(value) for value in packed))


class Program(NamedTuple):
    """What is compiled for, besides shapes: the method, the steps of a segment, the explicit method that a stiff one may change places with."""

    method: int | str
    steps: int
    explicit: int | None
    keep_states: bool

    @classmethod
    def of(cls, state: State, order: int, steps: int, stiff: bool, keep_states: bool) -> "Program":
        method = "rosenbrock" if stiff and np.asarray(state.switch)[0] else order
        return cls(method, steps, order if stiff else None, keep_states)


def run_segment(
    field: AbstractField, packed: Packed, asked: Array, program: Program
) -> tuple[Packed, Array, Array, Array, Array]:
    """One segment, to be compiled: the state, and what `Segment.of` reads."""
    controls = Controls.of(asked)
    method, steps, explicit = METHODS[program.method](), program.steps, program.explicit
    samples = 8 * steps + 2 * MAX_SAMPLES
    curve = Curve.empty(samples)
    first = Folded.of(packed)
    states = jnp.zeros((steps if program.keep_states else 0, first.y.shape[0]))
    index = jnp.zeros((steps,), jnp.int64)
    count = jnp.zeros((), jnp.int64)
    switched = State.unfolded(first).switch[0]

    def going(carry):
        folded, curve, _, _, count = carry
        s = State.unfolded(folded)
        suits = True if explicit is None else (s.switch[0] == switched)
        return (
            (count < jnp.minimum(steps, controls.steps))
            & (curve.size < samples - MAX_SAMPLES - 3)
            & (s.t < controls.t_stop)
            & (s.loss > controls.loss_stop)
            & (jnp.linalg.norm(s.velocity) > controls.speed_stop)
            & jnp.isfinite(s.loss)
            & ~s.failed
            & suits
        )

    def step(carry):
        folded, curve, states, index, count = carry
        new, curve, accepted = _step(field, method, State.unfolded(folded), controls, curve, explicit)
        # after a step that is not accepted, what stands there is overwritten or not read
        if program.keep_states:
            states = put(states, count, new.y)
        index = put(index, count, curve.size - 1)
        return new, curve, states, index, count + jnp.where(accepted, 1, 0)

    last, curve, states, index, count = lax.while_loop(going, step, (first, curve, states, index, count))
    return last.packed(), curve.rows, states, index, jnp.stack([count, curve.size])


_advance = by_size(run_segment, static_argnames="program")


def _step(
    field: AbstractField, method: AbstractMethod, s: State, controls: Controls, curve: Curve, explicit: int | None
) -> tuple[Folded, Curve, Array]:
    clipped = s.t + s.step_size >= controls.t_stop
    h = jnp.where(clipped, controls.t_stop - s.t, s.step_size)

    def tolerance(end):
        return controls.atol + controls.rtol * jnp.maximum(jnp.abs(s.y), jnp.abs(end))

    tried = method.attempt(field, s.y, s.mode, s.loss, s.velocity, h, tolerance)
    finite = jnp.isfinite(tried.error) & jnp.isfinite(tried.loss) & jnp.all(jnp.isfinite(tried.velocity))
    accepted = finite & (tried.error <= 1)

    # proportional-integral control (Hairer & Wanner, IV.2), which keeps steps steady at the stability limit
    q = method.order
    safe = jnp.where(finite, jnp.maximum(tried.error, 1e-10), 1.0)
    grow = jnp.clip(0.9 * safe ** (-0.7 / q) * s.last_error ** (0.4 / q), 0.33, 6.0)
    shrink = jnp.where(finite, jnp.clip(0.9 * safe ** (-1 / q), 0.2, 0.9), 0.1)
    proposed = h * jnp.where(accepted, grow, shrink)
    size = jnp.where(accepted & clipped, jnp.maximum(proposed, s.step_size), proposed)
    failed = ~accepted & ~(size > 4 * jnp.finfo(h.dtype).eps * s.t)  # also where size is no number
    counts = {"evaluations": s.evaluations + tried.evaluations, "hessians": s.hessians + tried.hessians}

    t = jnp.where(clipped, controls.t_stop, s.t + h)
    last_error = jnp.maximum(tried.error, 1e-4)
    full = s._replace(t=t, y=tried.y, loss=tried.loss, velocity=tried.velocity, step_size=size, last_error=last_error)
    full = full._replace(accepted=s.accepted + 1, failed=failed, **counts)
    if explicit is not None:
        # stiffness is a property of the motion: what a step that is cut short says of it counts as well
        reach = METHODS[explicit]().reach
        switch, size = Switch.of(s.switch).after(method, tried.stretch, h, size, reach, s.y.shape[0], s.accepted)
        full = full._replace(step_size=size, switch=switch.packed())
    kept = s._replace(step_size=proposed, rejected=s.rejected + 1, failed=failed, **counts)

    speeds = jnp.linalg.norm(s.velocity), jnp.linalg.norm(tried.velocity)
    ends = Ends(s.t, h, (s.loss, tried.loss), speeds)
    guards, crossed, event = None, jnp.zeros((0,), bool), jnp.zeros((), bool)
    if field.has_modes:
        guards = _both_guards(field, s, tried.y)
        crossed = (guards[1] < -GUARD_TOLERANCE) & (guards[1] < guards[0])
        event = jnp.any(crossed)

    # samples of one step go through a small buffer: the whole curve would be copied into and out of every branch
    some = Curve.empty(MAX_SAMPLES + 3)

    def look_inside():
        at, looks = tried.inside()
        end, part = full._replace(evaluations=full.evaluations + looks), some
        if guards is None:
            count, part = _sampled(field, s, end, at, jnp.ones(()), h, part, controls)
            return end._replace(evaluations=count).folded(), part
        end, span = _cut(field, s, end, at, crossed, event, guards, h)
        inside = Ends(s.t, span * h, (s.loss, end.loss), (speeds[0], jnp.linalg.norm(end.velocity)))
        count, part = lax.cond(
            _stirred(inside, controls),
            lambda: _sampled(field, s, end, at, span, h, part, controls),
            lambda: (end.evaluations, part),
        )
        end = end._replace(evaluations=count)
        return lax.cond(event, lambda: _changed(field, s, end, crossed, part), lambda: (end.folded(), part))

    bends = _stirred(ends, controls) & ~follows(s.before, ends, _allowed(controls))
    plain = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), full.folded(), kept.folded())
    folded, some = lax.cond(accepted & (event | bends), look_inside, lambda: (plain, some))
    new = State.unfolded(folded)
    last = jnp.where(some.size > 0, some.last(), jnp.stack([s.t, s.loss, speeds[0]]))
    speed = jnp.linalg.norm(new.velocity)
    if field.has_modes:
        last = jnp.where(event, jnp.stack([new.t, new.loss, speed]), last)
    new = new._replace(before=jnp.where(accepted, last, s.before))
    some = some.add(new.t, new.loss, speed, when=accepted)
    return new.folded(), curve.joined(some), accepted


def _allowed(controls: Controls) -> Array:
    return hermite_tolerance(controls.rtol) * controls.loss_scale


def _stirred(ends: Ends, controls: Controls) -> Array:
    """Whether loss or speed change enough over a stretch for a look inside."""
    (loss0, loss1), (speed0, speed1) = ends.loss, ends.speed
    moved = jnp.abs(loss0 - loss1) > QUIET * controls.loss_scale
    return moved | (jnp.abs(jnp.log10(speed1 / speed0)) > SPEED_DECADES)


def _sampled(field, s: State, end: State, at, span, h, curve: Curve, controls: Controls) -> tuple[Array, Curve]:
    """Evaluations by then, and the curve with samples inside the first part `span` of a step, which ends at `end`."""

    def values(y):
        loss, velocity = field(y, s.mode)
        return loss, jnp.linalg.norm(velocity)

    speeds = jnp.linalg.norm(s.velocity), jnp.linalg.norm(end.velocity)
    ends = Ends(s.t, span * h, (s.loss, end.loss), speeds)
    curve, calls = sample(lambda x: at(x * span), values, ends, curve, _allowed(controls))
    return end.evaluations + calls, curve


def _both_guards(field: AbstractField, s: State, end: Array) -> tuple[Array, Array]:
    """At the start and the end of a step, by one loop: guards are large programs."""
    both = lax.map(lambda y: field.guards(y, s.mode), jnp.stack([s.y, end]))
    return both[0], both[1]


def _cut(field, s: State, full: State, at, crossed, event, guards, h) -> tuple[State, Array]:
    """A step as far as its mode holds, and which part of it that is."""

    def where_it_ends():
        span, y = first_crossing(field, at, s.mode, crossed, guards)
        loss, velocity = field(y, s.mode)
        evaluations = full.evaluations + 2  # with that of `_changed`
        end = full._replace(t=s.t + span * h, y=y, loss=loss, velocity=velocity, evaluations=evaluations)
        return end.folded(), span

    folded, span = lax.cond(event, where_it_ends, lambda: (full.folded(), jnp.ones(())))
    return State.unfolded(folded), span


def _changed(field, s: State, end: State, crossed, curve: Curve) -> tuple[Folded, Curve]:
    """In the mode that follows; the curve gets the speed before the change, too."""
    curve = curve.add(end.t, end.loss, jnp.linalg.norm(end.velocity))
    mode = field.transition(end.y, s.mode, crossed & (field.guards(end.y, s.mode) < 0))
    loss, velocity = field(end.y, mode)
    return end._replace(mode=mode, loss=loss, velocity=velocity, events=s.events + 1).folded(), curve
