"""Adaptive ODE drivers and methods; knows no network."""

from ._base import AbstractField, AbstractMethod, Attempt
from .batch import advance_many, shape_of, start_many
from .driver import Program, advance, start
from .methods import EXPLICIT, METHODS
from .state import Controls, Segment, State

__all__ = [
    "EXPLICIT",
    "METHODS",
    "AbstractField",
    "AbstractMethod",
    "Attempt",
    "Controls",
    "Program",
    "Segment",
    "State",
    "advance",
    "advance_many",
    "shape_of",
    "start",
    "start_many",
]
