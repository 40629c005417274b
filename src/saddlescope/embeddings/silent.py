r"""Units that say nothing: $\phi(x; 0) = 0$."""

import equinox as eqx
import numpy as np

from ..units import Facts
from ._base import AbstractEmbedding


class Silent(AbstractEmbedding):
    r"""Adds units with $u = 0$ and $v = 0$ (Theorem 1, ii).

    **Arguments:**

    - `count`: how many, at least 1. They come last.

    **Holds** exactly for every $\phi$ with $\phi(x; 0) = 0$. Where $\phi$ is of order 2 or more in $u$, output weights of a silent unit are free: `Mixing`
    takes them. For linear and tanh units they are not, and for ReLU only by the convention $\phi'(0) = 0$.
    """

    count: int = eqx.field(static=True, default=1)

    def matrices(self, width: int, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
        if self.count < 1:
            raise ValueError(f"Silent(count={self.count}) needs at least one unit to add.")
        nothing = np.zeros((self.count, width))
        return np.vstack([np.eye(width), nothing]), np.vstack([np.eye(width), nothing])
