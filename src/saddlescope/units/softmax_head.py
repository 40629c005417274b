r"""Softmax attention heads: the scores of all tokens compete before they weigh them.

With $u = 0$ every token weighs the same and a head puts out the mean token: it is not silent, and no power of its weights is special. What a head adds
to that mean is of the order of its form $A$, as in a linear head, but it competes with a constant.
"""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractUnit, Dims
from .head import TokenHead


class SoftmaxHead(AbstractUnit):
    r"""$\phi_e(x; u) = \sum_j p_j\, x_{j e}$ with $p = \mathrm{softmax}_j(x_q^\top A\, x_j)$ over all tokens $j$, the query included.

    **Arguments:**

    - `rank`, `merged`: as of `TokenHead`, which says what $A$ is.
    - `outputs`: number of target entries at the end of an embedding row; those of the query are set to zero, as in a linear head.

    Scores enter the softmax as they are: no division by a root of a dimension, and, as the weights add up to 1, none by the number of tokens.

    **Shapes:** `x` [tokens, embedding]; one feature an embedding row. Weights are named and shaped as those of linear heads.
    """

    rank: int = eqx.field(static=True, default=1)
    merged: bool = eqx.field(static=True, default=False)
    outputs: int = eqx.field(static=True, default=1)

    form: ClassVar[str] = "tokens"
    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = False
    order: ClassVar[int] = 0

    @property
    def parity(self) -> Literal["odd", "even", "none"]:
        return "none" if self.merged else "even"

    @property
    def _scoring(self) -> TokenHead:
        return TokenHead(self.rank, self.merged, normalise=False, outputs=self.outputs)

    def schema(self, x_shape: tuple[int, ...], outputs: int) -> dict[str, Dims]:
        return self._scoring.schema(x_shape, outputs)

    def __call__(self, x: Float[Array, "tokens embedding"], u: Float[Array, " weights"]) -> Float[Array, " embedding"]:
        size = x.shape[1]
        x = jnp.asarray(x).at[-1, size - self.outputs :].set(0.0)
        scores = x @ (x[-1] @ self._scoring.form_matrix(u, size))
        return jax.nn.softmax(scores) @ x
