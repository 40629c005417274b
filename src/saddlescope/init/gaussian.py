"""Independent normal weights, the init of the theory: its scale decides how long plateaus last."""

from ..networks import AbstractNetwork
from ._base import generator, put, scales


def gaussian(network: AbstractNetwork, *, scale: float, convention: str = "weight", seed: int = 0) -> AbstractNetwork:
    """Every weight normal with mean 0; see `scales` for the conventions."""
    draw = generator(seed)
    sizes = scales(network, scale, convention)
    return put(network, {name: sizes[name] * draw.standard_normal(a.shape) for name, a in network.arrays().items()})
