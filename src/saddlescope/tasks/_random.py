r"""Random numbers that are the same on every machine and that stay the same when something else is changed.

Each purpose draws from a stream of its own, child number `purpose` of the seed: switching on noise or a rotation leaves
the inputs as they were, and weights initialised from the same seed share no numbers with the data (which they would if
both began the stream of the bare seed). Within a stream one sample follows another, so the first n samples do not
depend on how many are asked for. The streams are NumPy's PCG64; its normal numbers are fixed for a version of NumPy.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """The streams of a seed; these numbers are part of every data set ever drawn and must not change."""

    INPUTS = 0
    TASK_VECTORS = 1
    NOISE = 2
    INPUT_BASIS = 3
    OUTPUT_BASIS = 4


def stream(seed: int, purpose: Purpose) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose),))))


def orthogonal(seed: int, purpose: Purpose, size: int) -> np.ndarray:
    r"""Returns a random orthogonal matrix `[size, size]`, uniform over $O(size)$.

    **Holds** orthogonal to rounding; the draws are the same everywhere, the QR decomposition to its last digits.

    **Source:** Mezzadri (2007): the signs of R's diagonal make the QR decomposition unique, and Q uniform.
    """
    q, r = np.linalg.qr(stream(seed, purpose).standard_normal((size, size)))
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
