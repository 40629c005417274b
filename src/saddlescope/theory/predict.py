"""From a network with its initial weights and data to a prediction: the first theory whose assumptions hold speaks."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..init import put
from ..networks import AbstractNetwork
from ..objective import Objective, build
from ..tasks import AbstractTask, PopulationMoments, Samples
from ._base import AbstractPredictor, Prediction, Problem, outside
from .correlated import CorrelatedFeatures
from .crowds import Chain, UnitsByForm
from .deep import DeepLinear, ScalarChain
from .finish import finished
from .lines import Directions
from .rays import OrthogonalRays
from .representatives import Bending
from .what_if import what_if as variations

#: In order: the firmest first, the general fallback last.
PREDICTORS: tuple[AbstractPredictor, ...] = (
    ScalarChain(),
    Directions(),
    CorrelatedFeatures(),
    OrthogonalRays(),
    DeepLinear(),
    UnitsByForm(),
    Chain(),
    Bending(),
)

Data = Objective | AbstractTask | Samples | PopulationMoments
Init = Mapping[str, np.ndarray] | Callable[[AbstractNetwork], AbstractNetwork]


def predict(
    network: AbstractNetwork,
    task: Data,
    init: Init | None = None,
    *,
    learning_rate: float | None = None,
    what_if: bool = False,
) -> Prediction:
    """The stages of training, without simulating.

    **Arguments:**

    - `network`: a network; its weights are the initial ones unless `init` is given.
    - `task`: a task, its samples or moments, or an `Objective`.
    - `init`: the initial weights by name, or a function that gives the network its weights, such as those of `saddlescope.init`.
    - `learning_rate`: of gradient descent; None predicts gradient flow.
    - `what_if`: whether to predict also for scale, width and learning rate ten times larger and smaller.

    Returns a prediction; where no theory applies it has no stages and says why in `outside`.

    **Raises:** `ValueError` where the arguments do not fit together.
    """
    network = _with_weights(network, init)
    problem = Problem(network, _objective(task, network), learning_rate)
    prediction = _first_to_speak(problem)
    return replace(prediction, what_if=variations(problem, _of_a_change)) if what_if else prediction


def _of_a_change(problem: Problem) -> Prediction:
    """Number and ends are all that is asked of it."""
    return _first_to_speak(problem, look=False)


def _first_to_speak(problem: Problem, *, look: bool = True) -> Prediction:
    reasons = []
    for predictor in PREDICTORS:
        reason = predictor.refuses(problem)
        if reason is None:
            return finished(predictor.predict(problem), problem, predictor, look=look)
        reasons.append(f"{predictor.name}: {reason}")
    # steps are looked at last: a theory that refuses only those is the one that the network belongs to
    steps = [reason for reason in reasons if "learning_rate" in reason]
    return outside(problem, tuple(steps or reasons))


def _with_weights(network: AbstractNetwork, init: Init | None) -> AbstractNetwork:
    if not isinstance(network, AbstractNetwork):
        raise ValueError(
            f"predict needs a network first: found a {type(network).__name__}. A specification goes to saddlescope.predict."
        )
    if init is not None:
        network = put(network, dict(init)) if isinstance(init, Mapping) else init(network)
    sizes = [float(np.max(np.abs(np.asarray(a)), initial=0.0)) for a in network.arrays().values()]
    if not np.all(np.isfinite(sizes)) or max(sizes) == 0.0:
        raise ValueError(
            f"predict needs finite initial weights that are not all zero, a fixed point: the largest is {max(sizes)}. Give `init`, such as "
            "lambda network: saddlescope.init.gaussian(network, scale=1e-3)."
        )
    return network


def _objective(task: Data, network: AbstractNetwork) -> Objective:
    if isinstance(task, Objective):
        return task
    if isinstance(task, AbstractTask):
        task = task.data(network.form)
    if not isinstance(task, Samples | PopulationMoments):
        raise ValueError(
            f"predict needs a task, Samples, PopulationMoments or an Objective: found a {type(task).__name__}."
        )
    return build(task, network)
