"""Adaptive ODE drivers and methods; knows no network."""

from ._base import AbstractField, Method
from .driver import Controls, Segment, State, advance, start
from .methods import METHODS

__all__ = ["METHODS", "AbstractField", "Controls", "Method", "Segment", "State", "advance", "start"]
