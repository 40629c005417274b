"""Theory beside a run: which predicted stage is which simulated one, found without looking at their times."""

from typing import Any, NamedTuple

import numpy as np

from ..stages import Stage
from ..theory import PredictedStage, Prediction, in_short
from .predict import of_problem
from .prepare import Problem

#: Two stages are the same if their heights differ by at most this part of the smallest drop beside either: as near as a fixed point must be to a plateau.
REACH = 0.25

SILENT = {"height": None, "t_end": None, "t_end_error": None, "status": None}


class Expected(NamedTuple):
    """A prediction, or the words in which it failed."""

    prediction: Prediction | None
    failed: str | None = None


def expect(problem: Problem) -> Expected:
    """Theory's word on a run. Whatever goes wrong in it is told and never stops the run."""
    try:
        return Expected(of_problem(problem))
    except Exception as error:  # a run that has taken an hour is not lost to a formula
        return Expected(None, f"{type(error).__name__}: {error}")


def beside(
    stages: tuple[Stage, ...], last: float, end: float | None, expected: Expected, t_last: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """For each simulated stage what was predicted of it, and the predicted stages that were not seen.

    Stages are matched by height alone, each with the nearest of the other kind if that is mutual and near (`REACH`). Times take no part: a wrong time is
    shown beside the true one, a stage that theory misses has nulls, and one that theory invents is listed.

    **Arguments:** `last`, `end`: the loss after the last simulated and the last predicted stage; `t_last`: when the run stopped.
    """
    prediction = expected.prediction
    if prediction is None:
        return [dict(SILENT) for _ in stages], []
    if not prediction.stages and prediction.outside:
        return [SILENT | {"status": "outside assumptions"} for _ in stages], []
    pairs = match([s.height for s in stages], last, [p.height for p in prediction.stages], end)
    beside_each = [in_short(prediction.stages[pairs[k]]) if k in pairs else dict(SILENT) for k in range(len(stages))]
    taken = set(pairs.values())
    unseen = [_unseen(p, t_last) for j, p in enumerate(prediction.stages) if j not in taken]
    return beside_each, unseen


def match(seen: list[float], last: float, predicted: list[float | None], end: float | None) -> dict[int, int]:
    """Pairs of positions in `seen` and in `predicted`: each the other's nearest in height, and near. A height of None matches nothing."""
    known = [j for j, height in enumerate(predicted) if height is not None]
    if not seen or not known:
        return {}
    heights = [float(predicted[j]) for j in known]  # type: ignore[arg-type]
    distance = np.abs(np.subtract.outer(seen, heights))
    reach = np.minimum.outer(_least_drops(seen, last), _least_drops(heights, heights[-1] if end is None else end))
    pairs = {}
    for i in range(len(seen)):
        j = int(np.argmin(distance[i]))
        if int(np.argmin(distance[:, j])) == i and distance[i, j] <= REACH * reach[i, j]:
            pairs[i] = known[j]
    return pairs


def _least_drops(heights: list[float], last: float) -> np.ndarray:
    """For each stage the smaller of the drops before and after it that are not nothing."""
    drops = np.abs(np.diff([*heights, last]))
    drops = np.where(drops > 0, drops, np.inf)
    least = np.minimum(drops, np.concatenate([[np.inf], drops[:-1]]))
    return np.where(np.isfinite(least), least, np.maximum(np.abs(heights), np.finfo(float).tiny))


def _unseen(stage: PredictedStage, t_last: float) -> dict[str, Any]:
    late = stage.t_start is not None and stage.t_start >= t_last
    return in_short(stage) | {
        "effective_width": stage.effective_width,
        "kind": stage.kind,
        "why": "the run stopped before" if late else "not seen",
    }
