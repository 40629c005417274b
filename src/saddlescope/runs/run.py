"""One run, from spec to record."""

import datetime
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..fixed_points import certify
from ..flow import Trajectory, gradient_descent, gradient_flow
from ..results import RESULTS
from ..series import PlateauConstants, crossing_time, slowest_point
from ..specs import GradientDescentSpec, GradientFlowSpec, Spec, read_spec
from ..stages import End, Run, Stage, find_stages
from .checkpoint import read_checkpoint
from .expected import Expected, expect
from .prepare import Problem, prepare
from .record import make_record

Progress = Callable[[float | None, str], None]

#: Above this rtol a companion at ten times it is too far from the truth to say how far this run is: a tighter one does.
LOOSE = 3e-7


def run(
    spec: "str | os.PathLike[str] | Mapping[str, Any] | Spec | Problem",
    *,
    progress: Progress | None = None,
    resume: "str | os.PathLike[str] | None" = None,
    certificates: bool = True,
) -> xr.Dataset:
    """Simulates one spec and finds its stages.

    **Arguments:**

    - `spec`: the path of a TOML file, a dict with the same keys, a `Spec`, or a `Problem` that `prepare` made of one.
    - `progress`: called as progress(fraction or None, text).
    - `certificates`: whether stages get theirs (index, escape, match, stay): most of the work of small deep networks, and of no use where heights, times and widths are asked for.
    - `resume`: a directory in which an interrupted run of the same spec was saved; the result equals an uninterrupted one bit for bit.

    Returns the record. A run that goes wrong is a record too: its `ended` says how, and what was computed is kept.

    **Raises:** `SpecError`, `ValueError`, `tasks.DataError` and `OSError` where the spec or its files will not do.
    """
    began = datetime.datetime.now(datetime.UTC)
    problem = spec if isinstance(spec, Problem) else prepare(read_spec(spec))
    flow = problem.spec.flow
    if resume is not None and not isinstance(flow, GradientFlowSpec):
        raise ValueError(
            "resume needs a gradient flow: gradient descent starts again from its first step. Leave it out."
        )
    saved = None if resume is None else read_checkpoint(Path(resume), problem)
    products = [0]

    def can_rest(network) -> bool:
        certificate = certify(network, problem.objective)
        products[0] += certificate.products
        return certificate.rests

    if isinstance(flow, GradientFlowSpec):
        trajectory = gradient_flow(
            problem.network,
            problem.objective,
            until=flow.until,
            rtol=flow.rtol,
            order=flow.order,
            max_steps=flow.max_steps,
            can_rest=can_rest if isinstance(flow.until, str) else None,
            progress=progress,
            resume=saved,
            throw=False,
        )
    else:
        trajectory = gradient_descent(
            problem.network,
            problem.objective,
            learning_rate=flow.learning_rate,
            steps=flow.steps,
            progress=progress,
            throw=False,
        )
    networks = [trajectory.network(i) for i in range(len(trajectory.states))]
    constants = PlateauConstants()
    seen = Run(
        trajectory.t,
        trajectory.loss,
        trajectory.speed,
        networks,
        trajectory.state_index,
        problem.objective,
        trajectory.ended,
        cards=certificates,
    )
    ended, companion_cost = trajectory.ended, 0
    stages: tuple[Stage, ...] = ()
    end = End(float(trajectory.loss[-1]), None, "none", None, None)
    expected = Expected(None, "interrupted")
    try:
        expected = expect(problem)
        if progress is not None and ended != "interrupted":
            progress(None, "finding stages")
        stages, end = find_stages(seen, constants)
        if isinstance(flow, GradientDescentSpec):
            # its times are multiples of the learning rate; crossings are interpolated between two
            stages = tuple(s.with_error(flow.learning_rate if s.t_end is not None else None) for s in stages)
        elif flow.estimate_error and ended != "interrupted":
            stages, companion_cost = with_errors(stages, trajectory, problem, flow.order, progress)
    except KeyboardInterrupt:
        ended = "interrupted"  # the flow itself is kept, and going on from its end costs nothing
    if ended == "max_steps" and stages and stages[-1].stopped_on:
        ended = "on_plateau"
    cost = dict(trajectory.cost)
    cost["hessian_evaluations"] += products[0]
    cost["error_estimate_gradient_evaluations"] = companion_cost
    cost["seconds"] = (datetime.datetime.now(datetime.UTC) - began).total_seconds()
    return make_record(problem, trajectory, networks, stages, end, ended, cost, constants, began, expected)


def with_errors(
    stages: tuple[Stage, ...], trajectory: Trajectory, problem: Problem, order: int, progress: Progress | None
) -> tuple[tuple[Stage, ...], int]:
    """Twice the difference of each stage end from a companion at 10 x rtol (rtol / 100 where rtol is loose), which stops after the last."""
    levels = [s.level for s in stages if s.level is not None]
    if not levels or trajectory.rtol is None:
        return stages, 0
    if progress is not None:
        progress(None, "companion run for the errors of the times")
    last = max(s.t_end for s in stages if s.t_end is not None)
    read_off = any(s.height_source == "curve" for s in stages)
    companion = gradient_flow(
        problem.network,
        problem.objective,
        until=float(trajectory.t[-1]) if read_off else 2.0 * last,
        rtol=10 * trajectory.rtol if trajectory.rtol <= LOOSE else trajectory.rtol / 100,
        order=order,
        max_steps=2 * int(trajectory.cost["steps"]) + 1000,
        loss_stop=None if read_off else min(levels) - 1e-6 * abs(float(trajectory.loss[0])),
        keep_states=False,
        throw=False,
    )
    if companion.ended == "interrupted":
        raise KeyboardInterrupt
    if companion.result not in (RESULTS.successful, RESULTS.max_steps):
        return stages, int(companion.cost["gradient_evaluations"])

    seen = _levels_seen(stages, trajectory, companion)

    def error(stage: Stage, level: float | None) -> float | None:
        if stage.t_end is None or level is None:
            return None
        other = crossing_time(companion.t, companion.loss, companion.speed, level)
        if other is None:
            return None
        # the last term is what interpolating the curve may add: its tolerance over the slope there
        near = int(np.searchsorted(trajectory.t, stage.t_end))
        slope = float(trajectory.speed[min(near, len(trajectory.t) - 1)]) ** 2
        read = 1e-7 * float(trajectory.loss[0]) / slope if slope > 0 else 0.0
        return 2 * abs(other - stage.t_end) + min(read, 1e-6 * stage.t_end) + 4e-16 * stage.t_end

    stages = tuple(s.with_error(error(s, level)) for s, level in zip(stages, seen, strict=True))
    return stages, int(companion.cost["gradient_evaluations"])


def _levels_seen(stages: tuple[Stage, ...], trajectory: Trajectory, companion: Trajectory) -> list[float | None]:
    """The levels that the companion would have crossed: heights read off a curve are read off its own."""
    heights = []
    for stage in stages:
        height: float | None = stage.height
        if stage.height_source == "curve":
            around = float(trajectory.t[trajectory.state_index[stage.snapshot]])
            last = np.inf if stage.t_end is None else stage.t_end
            low, high = max(stage.t_start, 0.8 * around), min(last, 1.25 * around)
            inside = np.flatnonzero((companion.t >= low) & (companion.t <= high))
            height = None
            if inside.size:
                slowest = int(inside[np.argmin(companion.speed[inside])])
                height = slowest_point(companion.t, companion.loss, companion.speed, slowest)[1]
        heights.append(height)
    levels: list[float | None] = []
    for k, stage in enumerate(stages):
        following = heights[k + 1] if k + 1 < len(stages) else None
        if stage.level is not None and k + 1 == len(stages):
            following = 2 * stage.level - stage.height
        here = heights[k]
        levels.append(None if here is None or following is None else 0.5 * (here + following))
    return levels
