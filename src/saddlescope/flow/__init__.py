"""How weights move: gradient flow, and discrete methods beside it."""

from .field import KinkedField, SmoothField, field_of
from .gradient_descent import gradient_descent
from .gradient_flow import error_scale, gradient_flow
from .trajectory import Trajectory, weights_of, with_weights

__all__ = [
    "KinkedField",
    "SmoothField",
    "Trajectory",
    "error_scale",
    "field_of",
    "gradient_descent",
    "gradient_flow",
    "weights_of",
    "with_weights",
]
