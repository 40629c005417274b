"""Products of more than two factors: waits are powers of the initial scale."""

from .linear import DeepLinear
from .scalar_chain import ScalarChain

__all__ = ["DeepLinear", "ScalarChain"]
