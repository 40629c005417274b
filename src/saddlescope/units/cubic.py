r"""Cubic units, $\phi(x; u) = (u \cdot x)^3$.

Like quadratic units they run away from one another, each at a rate set by its own size, but faster still: the wait at the origin grows
as the inverse square of the initial weights.
"""

from itertools import combinations_with_replacement
from math import factorial
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Array, Float

from ._base import AbstractNeuron


class Cubic(AbstractNeuron):
    r"""$\phi(x; u) = (u \cdot x)^3$."""

    degree: ClassVar[int | None] = 3
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 3
    parity: ClassVar[Literal["odd", "even", "none"]] = "odd"

    def activation(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return z**3

    @property
    def psi_name(self) -> str:
        return "triples"

    def psi(self, x: Float[Array, " inputs"]) -> Float[Array, "1 triples"]:
        a, b, c = _triples(x.shape[0])
        return (x[a] * x[b] * x[c])[None]

    def lift(self, u: Float[Array, " inputs"]) -> Float[Array, " triples"]:
        a, b, c = _triples(u.shape[0])
        # how often a product occurs in the cube of a sum: 1, 3 or 6
        return _times(a, b, c) * u[a] * u[b] * u[c]


def _triples(size: int) -> np.ndarray:
    """Indices a <= b <= c, [3, triples]. NumPy's: known when compiling."""
    return np.array(list(combinations_with_replacement(range(size), 3))).reshape(-1, 3).T


def _times(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    distinct = 1 + (a != b).astype(int) + (b != c)
    return np.where(distinct == 1, 1.0, np.where(distinct == 2, 3.0, float(factorial(3))))
