r"""Linear self-attention heads, on tokens or on the cubic features that in-context regression reduces to.

A head scores every token $x_j$ against the query $x_q$, the last token, with a bilinear form $x_q^\top A\, x_j$ and adds
the scored tokens. With separate key and query weights, $A = \sum_r q_r k_r^\top$ is quadratic in the weights, so heads separate in
time like quadratic neurons; merged into one matrix, $A$ is linear in its weights and directions separate instead.
"""

import abc
from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._base import AbstractUnit, Dims


class AbstractHead(AbstractUnit):
    r"""A head: $\phi$ is bilinear in a form $A(u)$ and in features of the tokens.

    **Arguments:**

    - `rank`: number of key-query pairs of a head; ignored where merged.
    - `merged`: one matrix `key_query` in place of separate `key` and `query`.
    """

    rank: int = eqx.field(static=True, default=1)
    merged: bool = eqx.field(static=True, default=False)

    @property
    def degree(self) -> int:
        return 1 if self.merged else 2

    @property
    def linear(self) -> bool:
        return self.merged

    @property
    def silent(self) -> bool:
        return True

    @property
    def order(self) -> int:
        return 1 if self.merged else 2

    @property
    def parity(self) -> Literal["odd", "even", "none"]:
        return "odd" if self.merged else "even"

    def score_schema(self, size: int) -> dict[str, Dims]:
        if self.merged:
            return {"key_query": {"embedding": size, "embedding_2": size}}
        return {
            "key": {"rank": self.rank, "embedding": size},
            "query": {"rank": self.rank, "embedding": size},
        }

    def form_matrix(self, u: Float[Array, " weights"], size: int) -> Float[Array, "size size"]:
        """$A$ with score $= x_q^\\top A\\, x_j$."""
        if self.merged:
            return u.reshape(size, size)
        key, query = u.reshape(2, self.rank, size)
        return query.T @ key

    def inner_rank(self, u: np.ndarray, tau: float) -> int | None:
        if self.merged or self.rank == 1:
            return None
        key, query = np.asarray(u).reshape(2, self.rank, -1)
        values = np.linalg.svd(query.T @ key, compute_uv=False)
        return int(np.sum(values > tau * values[0])) if values[0] > 0 else 0

    @abc.abstractmethod
    def psi(self, x: Float[Array, "..."]) -> Float[Array, "features psi"]: ...

    def __call__(self, x: Float[Array, "..."], u: Float[Array, " weights"]) -> Float[Array, " features"]:
        return self.psi(x) @ self.lift(u)


class TokenHead(AbstractHead):
    r"""$\phi_e(x; u) = \sum_j (x_q^\top A x_j)\, x_{j e}$, over all tokens $j$, the query included.

    **Arguments:**

    - `outputs`: number of target entries at the end of an embedding row; those of the query are set to zero, so
        that a head cannot read the answer.
    - `normalise`: divide by the number of context tokens (tokens - 1).

    **Shapes:** `x` [tokens, embedding]; one feature an embedding row.
    """

    normalise: bool = eqx.field(static=True, default=True)
    outputs: int = eqx.field(static=True, default=1)

    form: ClassVar[str] = "tokens"

    def schema(self, x_shape: tuple[int, ...], outputs: int) -> dict[str, Dims]:
        if len(x_shape) != 2 or x_shape[0] < 2 or x_shape[1] <= outputs:
            raise ValueError(
                f"A head takes tokens of shape [tokens >= 2, embedding > outputs], a token being inputs then targets: the "
                f"task gives {list(x_shape)} for one sample, with {outputs} outputs."
            )
        return self.score_schema(x_shape[1]) | {"value": {"embedding": x_shape[1], "outputs": outputs}}

    @property
    def psi_name(self) -> str:
        return "token pairs"

    def psi(self, x: Float[Array, "tokens embedding"]) -> Float[Array, "embedding psi"]:
        tokens, size = x.shape
        x = jnp.asarray(x).at[-1, size - self.outputs :].set(0.0)
        pairs = x.T @ x / (tokens - 1 if self.normalise else 1)
        return jnp.einsum("q,je->eqj", x[-1], pairs).reshape(size, size * size)

    def lift(self, u: Float[Array, " weights"]) -> Float[Array, " psi"]:
        # key and query hold 2 x rank x size numbers, a merged form size x size
        size = round(u.shape[0] ** 0.5) if self.merged else u.shape[0] // (2 * self.rank)
        return self.form_matrix(u, size).reshape(-1)


class CubicHead(AbstractHead):
    r"""$\phi(x; u) = \sum_r (k_r \cdot \beta)(q_r \cdot x_q)$, one feature; merged $\beta^\top A\, x_q$.

    What a head computes on in-context regression once the blocks that stay zero in the population are left out, with
    $\beta = \frac1N \sum_n y_n x_n$.

    **Shapes:** `x` [2, inputs]: $\beta$, then $x_q$.
    """

    form: ClassVar[str] = "cubic"

    def schema(self, x_shape: tuple[int, ...], outputs: int) -> dict[str, Dims]:
        if len(x_shape) != 2 or x_shape[0] != 2 or outputs != 1:
            raise ValueError(
                f"A head on cubic features takes x of shape [2, inputs] (beta, then the query) and one output: the task "
                f'gives {list(x_shape)} with {outputs} outputs. Use input = "tokens" for sequences.'
            )
        return self.score_schema(x_shape[1]) | {"value": {"feature": 1, "outputs": 1}}

    @property
    def psi_name(self) -> str:
        return "cubic"

    def psi(self, x: Float[Array, "2 inputs"]) -> Float[Array, "1 psi"]:
        return jnp.outer(x[0], x[1]).reshape(1, -1)

    def lift(self, u: Float[Array, " weights"]) -> Float[Array, " psi"]:
        if self.merged:  # beta^T A x_q, stored as it is used
            return u
        key, query = u.reshape(2, self.rank, -1)
        return (key.T @ query).reshape(-1)
