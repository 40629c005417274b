"""Ours: `gradient_flow` as a user calls it, and with each method that may be asked for."""

import inspect
import math
import time
from typing import ClassVar

from saddlescope.flow import gradient_flow
from saddlescope.integrate import EXPLICIT

from ._base import AbstractContender, Reading, Solve, read_curve

#: gradient_flow takes no looser tolerance
LOOSEST = 1e-4


class Ours(AbstractContender):
    """`gradient_flow` on its default method. Data are compressed as `objective.build` does it, which is timed apart."""

    name: ClassVar[str] = "saddlescope"
    ours: ClassVar[bool] = True
    settings: ClassVar[tuple[float, ...]] = tuple(s for s in AbstractContender.settings if s <= LOOSEST * 1.01)
    options: ClassVar[dict] = {}

    def forms(self, problem) -> tuple[str, ...]:
        return problem.forms[-1:]

    def solver(self, problem, form: str) -> Solve:
        goal = problem.objective(form)

        def solve(setting, until, levels, deadline=math.inf):
            began = time.monotonic()

            def look(_, text):
                # an interrupted run keeps what it has
                if time.monotonic() - began > deadline:
                    raise KeyboardInterrupt

            run = gradient_flow(
                problem.network, goal, until=until, rtol=setting, keep_states=False, progress=look, **self.options
            )
            ends = read_curve(run.t, run.loss, run.speed, levels)
            cost = run.cost
            steps = int(cost["steps"] + cost["rejected"])
            reached = float(run.t[-1]) / until
            return Reading(ends, int(cost["gradient_evaluations"]), int(cost["hessian_evaluations"]), steps, reached)

        return solve


def by_method() -> dict[str, AbstractContender]:
    """One contender for each explicit method alone; beside them the default shows what switching between methods is worth."""
    known = inspect.signature(gradient_flow).parameters
    alone = {"stiff": False} if "stiff" in known else {}
    orders = list(EXPLICIT)
    made = [
        type(
            f"Order{order}",
            (Ours,),
            {"name": f"saddlescope, order {order} alone", "options": {"order": order, **alone}},
        )()
        for order in orders
    ]
    return {contender.name: contender for contender in made}
