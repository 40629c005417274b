"""The front door of theory: from a spec, or a network and a task, to what will happen."""

import datetime
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..networks import AbstractNetwork
from ..specs import GradientDescentSpec, GradientFlowSpec, Spec, read_spec
from ..theory import Prediction, as_json
from ..theory import predict as predict_stages
from .prepare import Problem, prepare
from .provenance import provenance


def predict(
    spec: "str | os.PathLike[str] | Mapping[str, Any] | Spec | Problem | AbstractNetwork",
    task: Any = None,
    init: Any = None,
    *,
    learning_rate: float | None = None,
    what_if: bool = True,
) -> Prediction:
    """The stages of a run, without simulating it: number, heights and ends of its plateaus, each number with its expected error and status.

    **Arguments:**

    - `spec`: the path of a TOML file, a dict with the same keys, a `Spec` or a `Problem`, as for `run`. Or a network, with
        `task`, `init` and `learning_rate` as in `saddlescope.theory.predict`.
    - `what_if`: whether to say also how the answer changes with a factor 10 in scale, width and learning rate.

    Returns a `Prediction`. Where theory's assumptions fail it gives no number and says in `outside` which.

    **Raises:** `SpecError`, `ValueError`, `tasks.DataError` and `OSError` where the spec or its files will not do.
    """
    if isinstance(spec, AbstractNetwork):
        return predict_stages(spec, task, init, learning_rate=learning_rate, what_if=what_if)
    if task is not None or init is not None or learning_rate is not None:
        raise ValueError(
            "predict takes task, init and learning_rate beside a network only: a specification names its own."
        )
    problem = spec if isinstance(spec, Problem) else prepare(read_spec(spec))
    prediction = of_problem(problem, what_if=what_if)
    stop = stops_at(problem)
    late = [k for k, s in enumerate(prediction.stages, start=1) if stop is not None and (s.t_end or 0.0) > stop]
    if late:
        which = f"stage{'s' * (len(late) > 1)} {', '.join(map(str, late))}"
        note = f"The run of this spec stops at t = {stop:.6g}, before the end of {which}."
        prediction = replace(prediction, notes=(*prediction.notes, note))
    return prediction


def of_problem(problem: Problem, *, what_if: bool = False) -> Prediction:
    flow = problem.spec.flow
    rate = flow.learning_rate if isinstance(flow, GradientDescentSpec) else None
    return predict_stages(problem.network, problem.objective, learning_rate=rate, what_if=what_if)


def stops_at(problem: Problem) -> float | None:
    """The time at which the spec stops the run, if it names one."""
    flow = problem.spec.flow
    if isinstance(flow, GradientDescentSpec):
        return flow.learning_rate * flow.steps
    return flow.until if isinstance(flow, GradientFlowSpec) and not isinstance(flow.until, str) else None


def prediction_summary(problem: Problem, prediction: Prediction, began: datetime.datetime) -> dict[str, Any]:
    """What `saddlescope predict --json` prints."""
    seconds = (datetime.datetime.now(datetime.UTC) - began).total_seconds()
    return as_json(prediction) | {"provenance": provenance(problem, None, began) | {"seconds": seconds}}
