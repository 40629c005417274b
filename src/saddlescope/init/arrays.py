"""Weights from a file of named arrays, in the shapes that a record carries."""

from ..networks import AbstractNetwork
from ..tasks import read_npz
from ._base import put


def arrays(network: AbstractNetwork, *, file: str) -> AbstractNetwork:
    """Reads every array of the network from an npz file.

    **Raises:** `OSError` if the file cannot be opened, `DataError` if it lacks an array or one does not fit.
    """
    return put(network, read_npz(file, tuple(network.arrays())))
