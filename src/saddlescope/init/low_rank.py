"""Weights in which all units share a few directions: large, and yet near an invariant manifold."""

import numpy as np

from ..networks import AbstractNetwork
from ._base import generator, put, scales


def low_rank(
    network: AbstractNetwork, *, scale: float, rank: int = 1, convention: str = "weight", seed: int = 0
) -> AbstractNetwork:
    r"""Each array, flattened to [first axis, the rest], is a product of normal factors of inner dimension `rank`.

    Arrays that have the units of one layer among their axes share the factor on these units, so that u and v together have this rank. An array between two
    layers, [units, units of the layer before, ...], has both factors, and a third on the axes that are left: $\sum_r l_{ir}\, l_{jr}\, m_{rf}$.
    The root mean square of a weight is about the scale.

    **Raises:** `ValueError` where an array has no such rank.
    """
    draw = generator(seed)
    sizes = scales(network, scale, convention)
    arrays, dims = network.arrays(), network.dims()
    factors: dict[str, np.ndarray] = {}
    made = {}
    for name, a in arrays.items():
        axes = list(dims[name])
        rows, columns = a.shape[0], int(np.prod(a.shape[1:]))
        if rank > min(rows, columns) and rank > 1:
            raise ValueError(
                f"rank = {rank} needs {name} to have at least so many rows and columns: it is {rows} x {columns}."
            )
        left = _factor(factors, axes[0], rows, rank, draw)
        if len(axes) > 1 and axes[1].startswith("hidden"):
            between = _factor(factors, axes[1], a.shape[1], rank, draw).T
            rest = columns // a.shape[1]
            own = draw.standard_normal((rank, rest)) if rest > 1 else np.ones((rank, 1))
            right = (between[:, :, None] * own[:, None, :]).reshape(rank, columns)
        else:
            right = draw.standard_normal((rank, columns))
        made[name] = (sizes[name] / np.sqrt(rank) * left @ right).reshape(a.shape)
    return put(network, made)


def _factor(factors: dict[str, np.ndarray], axis: str, size: int, rank: int, draw: np.random.Generator) -> np.ndarray:
    if axis not in factors:
        factors[axis] = draw.standard_normal((size, rank))
    return factors[axis]
