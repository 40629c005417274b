"""A run's plateaus, each with the saddle it visits."""

from ._base import End, Stage
from .find import Run, find_stages

__all__ = ["End", "Run", "Stage", "find_stages"]
