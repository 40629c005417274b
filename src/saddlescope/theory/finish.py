"""What holds of every prediction, whichever theory made it: when there is a cause at all, and that no saddle on the way goes unmentioned."""

from dataclasses import replace

import numpy as np

from ._base import AbstractPredictor, PredictedStage, Prediction, Problem, Width
from .visible import root_mean_square, visible_factor

#: Of the loss of f = 0: known to rounding.
ROUNDING = 1e-12
#: The origin's plateau is looked for down to this part of the initial weights, and by no more evaluations than these (`work`): about as many as for the changes by a factor 10.
SMALLEST, MOST_WORK = 1e-4, 100_000


def finished(
    prediction: Prediction, problem: Problem, predictor: AbstractPredictor, *, look: bool = True
) -> Prediction:
    """The prediction with its cause `none` where no plateau but the origin's is expected, and with the origin in `merged` where its plateau is not.

    Something separates timescales wherever the loss rests at a saddle that has learned a part: what it is, is the predictor's to say.

    **Arguments:** `predictor`: who made it; `look`: whether to look for the scale at which the origin's plateau shows, by asking again at smaller ones.
    """
    if not prediction.stages and prediction.outside:
        return prediction
    learned = any(stage.kind != "origin" for stage in prediction.stages)
    listed = [stage.kind for stage in (*prediction.stages, *prediction.merged)]
    merged = prediction.merged
    silent = all(lens.facts.silent for lens in problem.network.lenses())  # otherwise zero weights are no fixed point
    if silent and "origin" not in listed and prediction.end.kind != "origin":
        merged = (_origin(prediction, problem, predictor if look else None), *merged)
    return replace(prediction, cause=prediction.cause if learned else "none", merged=merged)


class _Enough(Exception):
    """The work that looking may take is done."""


def _visible(prediction: Prediction, problem: Problem, predictor: AbstractPredictor) -> tuple[float | None, str]:
    """The root mean square of the initial weights below which the origin's plateau shows, by the same theory at other scales; or None. And what is to be said of it."""
    arrays = {name: np.asarray(a, np.float64) for name, a in problem.network.arrays().items()}
    spent, shown = prediction.work, []

    def shows(factor: float) -> bool:
        nonlocal spent
        if spent > MOST_WORK:
            raise _Enough
        network = problem.network.with_arrays({name: factor * a for name, a in arrays.items()})
        rests, cost = predictor.rests_at_origin(problem._replace(network=network))
        spent += cost
        if rests:
            shown.append(factor)
        return rests

    scale, words = root_mean_square(arrays.values()), "the weights are too large for the loss to rest at f = 0"
    try:
        factor = visible_factor(shows, lambda factor: 0.1 * factor, SMALLEST)
    except _Enough:
        if not shown:
            return None, f"{words}; from which scale on it would was not looked for beyond {MOST_WORK:.0e} evaluations"
        return scale * max(shown), f"{words}; it may show above that scale too, where theory was not asked"
    if factor is None:
        return None, f"{words}, and theory expects no rest there at {SMALLEST:.0e} of them either"
    return scale * factor, words


def _origin(prediction: Prediction, problem: Problem, predictor: AbstractPredictor | None) -> PredictedStage:
    objective = problem.objective
    square = np.asarray(objective.weight) @ np.sum(np.asarray(objective.y) ** 2, axis=1)
    height = 0.5 * float(square) + float(objective.irreducible)
    widths = [*(stage.effective_width for stage in prediction.stages), prediction.end.effective_width]
    width: Width = next(([0] * len(w) for w in widths if isinstance(w, list)), 0)
    scale, words = None, "the weights are too large for the loss to rest at f = 0; smaller ones would show it"
    if predictor is not None:
        scale, words = _visible(prediction, problem, predictor)
    return PredictedStage(
        height,
        None,
        None,
        "theorem",
        "origin",
        width,
        height_error=ROUNDING * height,
        separable=False,
        visible_scale=scale,
        reason=f"not separable at this scale: {words}",
    )
