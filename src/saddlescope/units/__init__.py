"""phi(x; u): what one unit computes, and the facts about it."""

from ._base import AbstractNeuron, AbstractUnit, Facts, features
from .check import wrong_facts
from .cubic import Cubic
from .head import AbstractHead, CubicHead, TokenHead
from .kernel import Kernel
from .linear import Linear
from .quadratic import Quadratic
from .relu import ReLU
from .sigmoid import Sigmoid
from .sine import Sine
from .softmax_head import SoftmaxHead
from .tanh import Tanh
from .xtanhx import XTanhX

#: Neurons by the name that a spec uses; a user's own is "module:Class".
NEURONS: dict[str, type[AbstractNeuron]] = {
    "linear": Linear,
    "relu": ReLU,
    "quadratic": Quadratic,
    "cubic": Cubic,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "sine": Sine,
    "xtanhx": XTanhX,
}

__all__ = [
    "NEURONS",
    "AbstractHead",
    "AbstractNeuron",
    "AbstractUnit",
    "Cubic",
    "CubicHead",
    "Facts",
    "Kernel",
    "Linear",
    "Quadratic",
    "ReLU",
    "Sigmoid",
    "Sine",
    "SoftmaxHead",
    "Tanh",
    "TokenHead",
    "XTanhX",
    "features",
    "wrong_facts",
]
