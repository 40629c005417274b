"""SciPy: DOP853, LSODA and Radau, the last two with the exact Hessian, on gradients compiled by JAX.

The solver objects are stepped one by one, and the dense output is asked for only where a stage ends: less work than `solve_ivp` with events or
`dense_output` would do.
"""

import math
import time
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from scipy.optimize import brentq

from ._base import AbstractContender, Reading, Solve


class AbstractSciPy(AbstractContender):
    solver_type: ClassVar[type]
    uses_hessian: ClassVar[bool] = False

    def refuses(self, problem) -> str | None:
        if self.uses_hessian and not problem.has_hessian():
            return f"a Hessian of {problem.num_weights()} x {problem.num_weights()}"
        return None

    def solver(self, problem, form: str) -> Solve:
        loss = problem.loss(form)
        value_and_grad, value, hessian = jax.jit(jax.value_and_grad(loss)), jax.jit(loss), jax.jit(jax.hessian(loss))
        start = problem.start()
        with jax.enable_x64(True):  # compiles what a solve may not need before its first stage end
            value_and_grad(start), value(jnp.asarray(start))
            if self.uses_hessian:
                hessian(start)

        def solve(setting, until, levels, deadline=math.inf):
            count = {"gradients": 0, "hessians": 0}
            latest = {}

            def velocity(t, y):
                count["gradients"] += 1
                at, slope = value_and_grad(y)
                latest["loss"] = at
                return -np.asarray(slope)

            def jacobian(t, y):
                count["hessians"] += 1
                return -np.asarray(hessian(y))

            def loss_at(y):
                count["gradients"] += 1  # a loss alone costs less; counted as one all the same
                return float(value(jnp.asarray(y)))

            # where a loose tolerance lets a solve run away its numbers overflow; the missing ends tell
            with jax.enable_x64(True), np.errstate(all="ignore"):
                options = {"jac": jacobian} if self.uses_hessian else {}
                steps, ends = 0, np.full(len(levels), np.nan)
                flow = self.solver_type(
                    velocity, 0.0, start, until, rtol=setting, atol=setting * problem.scale, **options
                )
                before, began = np.inf, time.monotonic()
                while flow.status == "running" and np.isnan(ends).any() and time.monotonic() - began < deadline:
                    flow.step()
                    steps += 1
                    # an explicit method's last evaluation is at the end of its step
                    after = loss_at(flow.y) if self.uses_hessian else float(latest["loss"])
                    fallen = [i for i in np.flatnonzero(np.isnan(ends)) if before >= levels[i] > after]
                    if fallen:
                        inside = flow.dense_output()
                        for i in fallen:
                            left = [loss_at(inside(t)) - levels[i] for t in (flow.t_old, flow.t)]
                            if left[0] > 0 > left[1]:
                                ends[i] = brentq(
                                    lambda t, i=i, inside=inside: loss_at(inside(t)) - levels[i],
                                    flow.t_old,
                                    flow.t,
                                    xtol=1e-13 * flow.t,
                                )
                            else:  # within the interpolation's own error of an end of the step
                                ends[i] = flow.t if left[1] >= 0 else flow.t_old
                    before = after
            reached = 1.0 if not np.isnan(ends).any() else flow.t / until
            return Reading(ends, count["gradients"], count["hessians"], steps, reached)

        return solve


class DOP853(AbstractSciPy):
    name: ClassVar[str] = "SciPy DOP853"
    solver_type: ClassVar[type] = scipy.integrate.DOP853


class LSODA(AbstractSciPy):
    name: ClassVar[str] = "SciPy LSODA, Hessian"
    solver_type: ClassVar[type] = scipy.integrate.LSODA
    uses_hessian: ClassVar[bool] = True


class Radau(AbstractSciPy):
    name: ClassVar[str] = "SciPy Radau, Hessian"
    solver_type: ClassVar[type] = scipy.integrate.Radau
    uses_hessian: ClassVar[bool] = True
