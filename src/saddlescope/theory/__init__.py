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
from .as_json import as_json, in_short, stage_as_json
from .as_text import prediction_text
from .predict import PREDICTORS, predict
from .what_if import WhatIf

__all__ = [
    "PREDICTORS",
    "AbstractPredictor",
    "Cost",
    "PredictedEnd",
    "PredictedStage",
    "Prediction",
    "Problem",
    "WhatIf",
    "as_json",
    "in_short",
    "outside",
    "predict",
    "prediction_text",
    "stage_as_json",
]
