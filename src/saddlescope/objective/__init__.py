"""Loss, gradient and residual correlations, whatever the form of the data."""

from ._base import Objective
from .build import build

__all__ = ["Objective", "build"]
