"""Where data come from: samples, or exact second moments where they are known. Knows no network."""

from ._base import FORMS, AbstractTask, DataError, Moments, PopulationMoments, Samples
from ._npz import read_npz
from .arrays import Arrays, ArrayTask
from .convolutional_teacher import ConvolutionalTeacher
from .digits import Digits
from .in_context_regression import InContextRegression
from .linear_teacher import LinearTeacher
from .orthogonal_relu import OrthogonalReLU
from .quadratic_teacher import QuadraticTeacher

# kind in a spec -> class; its fields are the other keys of [task]
TASKS: dict[str, type[AbstractTask]] = {
    task.kind: task
    for task in (
        Arrays,
        LinearTeacher,
        QuadraticTeacher,
        OrthogonalReLU,
        ConvolutionalTeacher,
        InContextRegression,
        Digits,
    )
}

__all__ = [
    "FORMS",
    "TASKS",
    "AbstractTask",
    "ArrayTask",
    "Arrays",
    "ConvolutionalTeacher",
    "DataError",
    "Digits",
    "InContextRegression",
    "LinearTeacher",
    "Moments",
    "OrthogonalReLU",
    "PopulationMoments",
    "QuadraticTeacher",
    "Samples",
    "read_npz",
]
