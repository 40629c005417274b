"""Loss, gradient and residual correlations, whatever the form of the data."""

from ._base import Objective
from .build import build
from .curvature import hessian

__all__ = ["Objective", "build", "hessian"]
