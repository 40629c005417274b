r"""A unit becomes several with the same input weights, which share its output weights."""

import equinox as eqx
import numpy as np

from ..units import Facts
from ._base import AbstractEmbedding


class Split(AbstractEmbedding):
    r"""Splits unit $j$ in two (Theorem 1, i).

    $$u_{H+1} = u_j, \qquad v_j \to \lambda v_j, \qquad v_{H+1} = (1-\lambda)\, v_j .$$

    **Arguments:**

    - `index`: the unit $j$, counted from 0.
    - `share`: $\lambda$, the part of the output weights that unit $j$ keeps; any real number.
    - `flip`: the new unit has $-u_j$; for odd $\phi$ its output weights turn too.

    **Shapes:** `u` [H, weights] to [H+1, weights], `v` [H, features, outputs] to [H+1, ...]; the new unit is the last.

    **Holds** exactly, to rounding, for every $\phi$, task and $\lambda$; with `flip` for odd or even $\phi$.
    """

    index: int = eqx.field(static=True)
    share: float = 0.5
    flip: bool = eqx.field(static=True, default=False)

    def matrices(self, width: int, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
        one = unit_of(self, self.index, width)
        a, b = np.eye(width), np.eye(width)
        b[self.index] *= self.share
        sign = -1.0 if self.flip else 1.0
        turned = sign if facts.parity == "odd" else 1.0
        return np.vstack([a, sign * one]), np.vstack([b, turned * (1.0 - self.share) * one])


def unit_of(embedding: AbstractEmbedding, index: int, width: int) -> np.ndarray:
    """The unit vector of one unit. Raises `ValueError` if there is no such unit."""
    if not 0 <= index < width:
        raise ValueError(
            f"{type(embedding).__name__}(index={index}) needs a unit from 0 to {width - 1}: this layer has {width}."
        )
    return np.eye(width)[index]
