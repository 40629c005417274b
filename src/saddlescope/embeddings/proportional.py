r"""A unit becomes several along its own ray."""

import equinox as eqx
import numpy as np

from ..units import Facts
from ._base import AbstractEmbedding
from .split import unit_of


class Proportional(AbstractEmbedding):
    r"""Splits unit $j$ into proportional ones (Theorem 1, iii).

    $$u_i = g_i\, u_j, \qquad v_i = h_i\, v_j, \qquad \sum_i g_i^d\, h_i = 1,$$

    for $\phi$ homogeneous of degree $d$. The theorem states $d = 1$; any degree does for the fixed point, though not for the manifold
    around it.

    **Arguments:**

    - `index`: the unit $j$, counted from 0.
    - `inputs`: $g_i$, two or more numbers; positive, or of any sign where $\phi$ is odd or even.
    - `outputs`: $h_i$, as many, of any sign.

    **Shapes:** the first of the parts takes the place of unit $j$, the others come last.

    **Holds** exactly, to rounding. Refused where $\phi$ is not homogeneous, or the shares do not add up.
    """

    index: int = eqx.field(static=True)
    inputs: tuple[float, ...]
    outputs: tuple[float, ...]

    def matrices(self, width: int, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
        one = unit_of(self, self.index, width)
        g, h = np.asarray(self.inputs, np.float64), np.asarray(self.outputs, np.float64)
        if g.shape != h.shape or g.ndim != 1 or g.size < 2 or np.any(g == 0.0):
            raise ValueError(
                f"Proportional needs as many inputs as outputs, at least two, the inputs nonzero: found inputs={self.inputs} and "
                f"outputs={self.outputs}. Silent adds units with u = 0."
            )
        a, b = np.eye(width), np.eye(width)
        a[self.index] *= g[0]
        b[self.index] *= h[0]
        return np.vstack([a, np.outer(g[1:], one)]), np.vstack([b, np.outer(h[1:], one)])
