"""Number, height and end of every plateau, from data and initial weights alone: it imports neither `flow` nor `stages`."""

from ._base import (
    AbstractPredictor,
    Cost,
    PredictedEnd,
    PredictedStage,
    Prediction,
    Problem,
    outside,
)
from .predict import PREDICTORS, predict

__all__ = [
    "PREDICTORS",
    "AbstractPredictor",
    "Cost",
    "PredictedEnd",
    "PredictedStage",
    "Prediction",
    "Problem",
    "outside",
    "predict",
]
