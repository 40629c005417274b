"""How much the function needs: effective width, by rank, rays, copies or active units."""

from ._base import TAU, LayerView, Reduced
from .measure import Complexity, effective_width, reduce, reduce_layer

__all__ = ["TAU", "Complexity", "LayerView", "Reduced", "effective_width", "reduce", "reduce_layer"]
