"""How a narrow fixed point sits in a wide landscape, and back."""

from ._base import AbstractEmbedding, Mixing, refusal
from .factorised import Factorised
from .fitted import fitted
from .proportional import Proportional
from .reduce import Reduction, reduce
from .silent import Silent
from .split import Split

__all__ = [
    "AbstractEmbedding",
    "Factorised",
    "Mixing",
    "Proportional",
    "Reduction",
    "Silent",
    "Split",
    "fitted",
    "reduce",
    "refusal",
]
