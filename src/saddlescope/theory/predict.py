"""From a network with its initial weights and data to a prediction: the first theory whose assumptions hold speaks."""

from ..networks import AbstractNetwork
from ..objective import Objective
from ._base import AbstractPredictor, Prediction, Problem, outside
from .deep import DeepLinear
from .orthogonal import OrthogonalRays
from .scalar_chain import ScalarChain

#: In order: the firmest first, the general fallback last.
PREDICTORS: tuple[AbstractPredictor, ...] = (ScalarChain(), OrthogonalRays(), DeepLinear())


def predict(network: AbstractNetwork, objective: Objective, *, learning_rate: float | None = None) -> Prediction:
    """The stages of training `network`, which has its initial weights, on `objective`, without simulating.

    **Arguments:**

    - `learning_rate`: of gradient descent; None predicts gradient flow.

    Returns a prediction; where no theory applies it has no stages and says why in `outside`.
    """
    problem = Problem(network, objective, learning_rate)
    reasons = []
    for predictor in PREDICTORS:
        reason = predictor.refuses(problem)
        if reason is None:
            return predictor.predict(problem)
        reasons.append(f"{predictor.name}: {reason}")
    return outside(problem, tuple(reasons))
