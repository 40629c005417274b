"""How weights move: gradient flow, and discrete methods beside it."""

from .batch import gradient_flows
from .compression import Compression, compress, weights_of, with_weights
from .field import KinkedField, SmoothField, field_of
from .gradient_descent import gradient_descent
from .gradient_flow import gradient_flow
from .motion import error_scale
from .trajectory import Trajectory

__all__ = [
    "Compression",
    "KinkedField",
    "SmoothField",
    "Trajectory",
    "compress",
    "error_scale",
    "field_of",
    "gradient_descent",
    "gradient_flow",
    "gradient_flows",
    "weights_of",
    "with_weights",
]
