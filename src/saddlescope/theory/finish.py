"""What holds of every prediction, whichever theory made it: when there is a cause at all, and that no saddle on the way goes unmentioned."""

from dataclasses import replace

import numpy as np

from ._base import PredictedStage, Prediction, Problem, Width

#: Of the loss of f = 0: known to rounding.
ROUNDING = 1e-12


def finished(prediction: Prediction, problem: Problem) -> Prediction:
    """The prediction with its cause `none` where no plateau but the origin's is expected, and with the origin in `merged` where its plateau is not.

    Something separates timescales wherever the loss rests at a saddle that has learned a part: what it is, is the predictor's to say.
    """
    if not prediction.stages and prediction.outside:
        return prediction
    learned = any(stage.kind != "origin" for stage in prediction.stages)
    listed = [stage.kind for stage in (*prediction.stages, *prediction.merged)]
    merged = prediction.merged
    if "origin" not in listed and prediction.end.kind != "origin":
        merged = (_origin(prediction, problem), *merged)
    return replace(prediction, cause=prediction.cause if learned else "none", merged=merged)


def _origin(prediction: Prediction, problem: Problem) -> PredictedStage:
    objective = problem.objective
    square = np.asarray(objective.weight) @ np.sum(np.asarray(objective.y) ** 2, axis=1)
    height = 0.5 * float(square) + float(objective.irreducible)
    widths = [*(stage.effective_width for stage in prediction.stages), prediction.end.effective_width]
    width: Width = next(([0] * len(w) for w in widths if isinstance(w, list)), 0)
    return PredictedStage(
        height,
        None,
        None,
        "theorem",
        "origin",
        width,
        height_error=ROUNDING * height,
        separable=False,
        reason="not separable at this scale: the weights are too large for the loss to rest at f = 0; smaller ones would show it",
    )
