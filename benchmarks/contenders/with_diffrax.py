"""diffrax: its solvers with its PID controller, stage ends found by its events, which cost one loss a step and no memory."""

import math
import time
from typing import ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix

from ._base import AbstractContender, Reading, Solve

#: One implicit step factorises matrices of this size in a compiled loop that nobody can interrupt.
LARGEST_IMPLICIT = 1_000
MAX_STEPS = 10_000_000


class AbstractDiffrax(AbstractContender):
    """Each stage end is an event with a root found in the step's own interpolation; the next solve starts there.

    The controller is proportional-integral (0.3, 0.3), which is never much slower than diffrax's default here and four times faster
    for Kvaerno5.
    """

    solver_type: ClassVar[type]
    interruptible: ClassVar[bool] = False

    def solver(self, problem, form: str) -> Solve:
        loss = problem.loss(form)
        gradient = jax.grad(loss)
        method = self.solver_type()
        term = diffrax.ODETerm(lambda t, y, args: -gradient(y))
        stop = [math.inf]

        def late(t):
            return np.asarray(time.monotonic() > stop[0])

        def at_level(t, y, args, **_):
            return loss(y) - args

        def at_deadline(t, y, args, **_):
            return jax.pure_callback(late, jax.ShapeDtypeStruct((), bool), jax.lax.stop_gradient(t))

        # asking the clock costs about 20 microseconds a step: nothing beside a factorisation, too much for explicit methods
        ends = [at_level, at_deadline] if self.interruptible else at_level

        @jax.jit
        def to_level(rtol, t0, until, y, level):
            solution = diffrax.diffeqsolve(
                term,
                method,
                t0,
                until,
                None,
                y,
                args=level,
                stepsize_controller=diffrax.PIDController(rtol, rtol * problem.scale, pcoeff=0.3, icoeff=0.3),
                event=diffrax.Event(ends, optimistix.Newton(rtol=1e-12, atol=1e-12)),
                max_steps=MAX_STEPS,
                throw=False,
            )
            return solution.ts[-1], solution.ys[-1], solution.stats["num_steps"]

        start = problem.start()

        def solve(setting, until, levels, deadline=math.inf):
            stop[0] = time.monotonic() + deadline
            with jax.enable_x64(True):
                t, y = jnp.zeros(()), jnp.asarray(start)
                found, steps = np.full(len(levels), np.nan), 0
                for i, level in enumerate(levels):
                    t, y, count = to_level(setting, t, until, y, level)
                    steps += int(count)
                    if not np.isfinite(float(t)) or float(t) >= until or time.monotonic() > stop[0]:
                        break
                    found[i] = float(t)
            reached = 1.0 if not np.isnan(found).any() else float(t) / until
            return Reading(found, self.gradients(steps, len(levels)), self.hessians(steps), steps, reached)

        return solve

    def gradients(self, steps: int, solves: int) -> int | None:
        """Evaluations of `steps` tried steps: the last stage is the first of the next, and two more start a solve."""
        return (self.solver_type.tableau.num_stages - 1) * steps + 3 * solves

    def hessians(self, steps: int) -> int | None:
        return 0


class Tsit5(AbstractDiffrax):
    name: ClassVar[str] = "diffrax Tsit5"
    solver_type: ClassVar[type] = diffrax.Tsit5


class Dopri8(AbstractDiffrax):
    name: ClassVar[str] = "diffrax Dopri8"
    solver_type: ClassVar[type] = diffrax.Dopri8


class Kvaerno5(AbstractDiffrax):
    """Implicit: one Hessian a step, and a number of gradients that only its Newton iteration knows."""

    name: ClassVar[str] = "diffrax Kvaerno5"
    solver_type: ClassVar[type] = diffrax.Kvaerno5
    interruptible: ClassVar[bool] = True

    def refuses(self, problem) -> str | None:
        size = problem.num_weights()
        return f"dense factorisations of {size} x {size}" if size > LARGEST_IMPLICIT else None

    def gradients(self, steps: int, solves: int) -> int | None:
        return None

    def hessians(self, steps: int) -> int | None:
        return steps
