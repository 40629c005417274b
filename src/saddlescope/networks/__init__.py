"""f: one layer of units, deep ones, and the lenses that show their hidden layers."""

from ._base import AbstractLens, AbstractNetwork
from .build import ARCHITECTURES, build, form, neuron
from .deep import Deep
from .layer import Layer

__all__ = ["ARCHITECTURES", "AbstractLens", "AbstractNetwork", "Deep", "Layer", "build", "form", "neuron"]
