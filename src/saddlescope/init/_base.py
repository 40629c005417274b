"""Where the weights start: named arrays for a network of given dimensions, the same on every machine for the same seed."""

import numpy as np

from ..networks import AbstractNetwork
from ..tasks import DataError


def generator(seed: int) -> np.random.Generator:
    """The stream that initial weights are drawn from, array after array in the network's order."""
    return np.random.Generator(np.random.PCG64(seed))


def scales(network: AbstractNetwork, scale: float, convention: str) -> dict[str, float]:
    """Standard deviation of one weight, for each array.

    "weight": the scale itself. "layer": the scale divided by the square root of the array's size.
    """
    shapes = {name: a.shape for name, a in network.arrays().items()}
    return {
        name: scale if convention == "weight" else scale / np.sqrt(np.prod(shape)) for name, shape in shapes.items()
    }


def put(network: AbstractNetwork, arrays: dict[str, np.ndarray]) -> AbstractNetwork:
    """The network with these weights, after a look at names, shapes and values.

    **Raises:** `DataError` for what is missing or not finite, `ValueError` for shapes that disagree.
    """
    expected = network.arrays()
    dims = network.dims()
    for name, zero in expected.items():
        found = np.asarray(arrays[name]) if name in arrays else None
        wanted = f"{name} [{', '.join(f'{axis} = {size}' for axis, size in dims[name].items())}]"
        if found is None:
            raise DataError(f"These weights need {wanted}: found {', '.join(arrays) or 'nothing'}.")
        if found.shape != zero.shape:
            raise ValueError(
                f"These weights need {wanted}: found shape {list(found.shape)}. The task fixes inputs and outputs, "
                "[network] the rest."
            )
        if found.dtype.kind not in "fiub":
            raise DataError(f"These weights need real numbers in {name}: found {found.dtype}.")
        if not np.all(np.isfinite(found)):
            where = np.argwhere(~np.isfinite(found))[0]
            raise DataError(f"{name}{where.tolist()} is {found[tuple(where)]}: weights need to be finite.")
    return network.with_arrays({name: np.asarray(arrays[name], np.float64) for name in expected})
