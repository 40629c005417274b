"""Where the weights start."""

from ._base import generator, put, scales
from .arrays import arrays
from .balanced import balanced
from .gaussian import gaussian
from .low_rank import low_rank

#: kind -> function(network with zero weights, **options of the spec) -> network
INITS = {"gaussian": gaussian, "balanced": balanced, "low_rank": low_rank, "arrays": arrays}

__all__ = ["INITS", "arrays", "balanced", "gaussian", "generator", "low_rank", "put", "scales"]
