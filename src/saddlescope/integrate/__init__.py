"""Adaptive ODE drivers and methods; knows no network."""

from ._base import AbstractField, AbstractMethod, Attempt
from .batch import advance_many, shape_of, start_many
from .driver import Controls, Program, Segment, State, advance, start
from .methods import EXPLICIT, METHODS

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
