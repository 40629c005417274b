"""f: one layer of units, deep ones, and the lenses that show their hidden layers, of any model."""

from ._base import AbstractLens, AbstractNetwork, require_lens
from .build import ARCHITECTURES, build, form, neuron
from .deep import Deep
from .foreign import Foreign, Hidden, wrong_lens
from .layer import Layer
from .skip import Skip
from .stack import Stack

__all__ = [
    "ARCHITECTURES",
    "AbstractLens",
    "AbstractNetwork",
    "Deep",
    "Foreign",
    "Hidden",
    "Layer",
    "Skip",
    "Stack",
    "build",
    "form",
    "neuron",
    "require_lens",
    "wrong_lens",
]
