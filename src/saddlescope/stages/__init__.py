"""A run's plateaus, each with the saddle it visits."""

from ._base import End, Stage
from .find import Run, find_stages
from .saddle import Saddle, saddle_near

__all__ = ["End", "Run", "Saddle", "Stage", "find_stages", "saddle_near"]
