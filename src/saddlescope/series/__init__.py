"""Plateaus of a training run, seen from three columns of numbers: time, loss and speed.

Knows no network and no solver, so that a simulated run and somebody else's training log are read by the same rules.
"""

from ._base import Plateau, PlateauConstants
from .hermite import crossing_time, insert_samples, interpolate_loss
from .plateaus import find_plateaus
from .slowest import slowest_point

__all__ = [
    "Plateau",
    "PlateauConstants",
    "crossing_time",
    "find_plateaus",
    "insert_samples",
    "interpolate_loss",
    "slowest_point",
]
