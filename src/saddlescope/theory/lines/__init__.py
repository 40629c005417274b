"""Units that are linear in their weights: directions of the data grow at rates of their own."""

from .directions import Directions

__all__ = ["Directions"]
