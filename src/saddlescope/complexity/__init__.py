"""How much the function needs: effective width, by rank, rays, copies or active units."""

from ._base import TAU, LayerView, Reduced
from .measure import Complexity, NearReduction, effective_width, inner_ranks, reduce, reduce_layer

__all__ = [
    "TAU",
    "Complexity",
    "LayerView",
    "NearReduction",
    "Reduced",
    "effective_width",
    "inner_ranks",
    "reduce",
    "reduce_layer",
]
