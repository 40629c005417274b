r"""Any other factorisation of the same product, for linear units."""

import numpy as np

from ..units import Facts
from ._base import AbstractEmbedding


class Factorised(AbstractEmbedding):
    r"""Another factorisation of $\sum_i u_i v_i^\top$ (Theorem 1, iv).

    $$u \to G\,u, \qquad v \to G'^\top v, \qquad G' G = 1 .$$

    **Arguments:**

    - `g` [wide, narrow]: of full column rank.
    - `left` [narrow, wide]: any left inverse of it; the pseudo-inverse if left out.

    **Holds** exactly, to rounding, for $\phi$ linear in $u$ and any left inverse.
    """

    g: np.ndarray
    left: np.ndarray | None = None

    def matrices(self, width: int, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
        g = np.asarray(self.g, np.float64)
        if g.ndim != 2 or g.shape[1] != width or g.shape[0] < width or np.linalg.matrix_rank(g) < width:
            raise ValueError(
                f"Factorised needs g [wide, {width}] with {width} independent columns: found shape {list(g.shape)}"
                + (f" of rank {np.linalg.matrix_rank(g)}." if g.ndim == 2 else ".")
            )
        left = np.linalg.pinv(g) if self.left is None else np.asarray(self.left, np.float64)
        if left.shape != g.T.shape:
            raise ValueError(f"Factorised needs left {list(g.T.shape)}, a left inverse of g: found {list(left.shape)}.")
        return g, left.T
