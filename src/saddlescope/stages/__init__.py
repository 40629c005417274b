"""A run's plateaus, each with the saddle it visits."""

from ._base import End, Stage
from .card import Card, as_json
from .find import Run, find_stages

__all__ = ["Card", "End", "Run", "Stage", "as_json", "find_stages"]
