r"""The squared loss of a network on data, in whatever form the data come.

$L = \frac12 E |y - f(x)|^2$. Data are rows: samples with weights that sum to 1, or, where $f$ is linear in a fixed $\psi(x)$, the few
pseudo-samples that have the same second moments of $(\psi, y)$. Downstream nobody knows which: compression is a
choice of objective.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..networks import AbstractLens, AbstractNetwork


class Objective(eqx.Module):
    r"""$L = \frac12 \sum_k w_k |y_k - f_k|^2 + $ `irreducible`.

    Its arrays are NumPy's outside compiled code: JAX would truncate them where the user's setting is 32 bits.

    **Arguments:**

    - `x` [rows, ...]: inputs, or rows of $\psi$ where `lifted`.
    - `y` [rows, outputs]: targets.
    - `weight` [rows]: non-negative. For samples they sum to 1.
    - `irreducible`: the part of the loss that no network of this kind can change; 0 for samples.
    - `lifted`: whether rows of `x` are $\psi$ in place of inputs.
    - `psi_name`: the name of $\psi$, or None. Records carry it.
    """

    x: Float[Array, "rows ..."]
    y: Float[Array, "rows outputs"]
    weight: Float[Array, " rows"]
    irreducible: Float[Array, ""]
    lifted: bool = eqx.field(static=True, default=False)
    psi_name: str | None = eqx.field(static=True, default=None)

    def outputs(self, network: AbstractNetwork) -> Float[Array, "rows outputs"]:
        """f on every row."""
        return jax.vmap(network.from_psi if self.lifted else network)(self.x)

    def residual(self, network: AbstractNetwork) -> Float[Array, "rows outputs"]:
        """sqrt(weight) (f - y): half its square plus `irreducible` is the loss."""
        return jnp.sqrt(self.weight)[:, None] * (self.outputs(network) - self.y)

    def loss(self, network: AbstractNetwork) -> Float[Array, ""]:
        return self.loss_of(self.outputs(network))

    def loss_of(self, outputs: Float[Array, "rows outputs"]) -> Float[Array, ""]:
        """L of a function given by its values on the rows, NumPy or JAX."""
        return 0.5 * (self.weight * ((outputs - self.y) ** 2).sum(axis=1)).sum() + self.irreducible

    def loss_and_gradient(self, network: AbstractNetwork) -> tuple[Float[Array, ""], AbstractNetwork]:
        """L and its gradient, shaped like the network."""
        return jax.value_and_grad(self.loss)(network)

    def features(self, lens: AbstractLens) -> Float[Array, "rows units features"]:
        """phi of every unit of a hidden layer on every row."""
        return jax.vmap(lambda x: lens.features(x, self.lifted))(self.x)

    def unit_features(self, lens: AbstractLens, u: Float[Array, " weights"]) -> Float[Array, "rows features"]:
        """phi of one further unit of a single layer, with input weights u, on every row."""
        if self.lifted:
            return jax.vmap(lambda x: lens.rows(x, True))(self.x) @ lens.unit.lift(u)
        return jax.vmap(lens.unit, in_axes=(0, None))(self.x, u)

    def correlation(self, lens: AbstractLens, u: Float[Array, " weights"]) -> Float[Array, "features outputs"]:
        r"""$E[\phi(x; u)\,(y - f)^\top]$: what a silent unit of a single layer with input weights u would see."""
        error = self.y - self.outputs(lens.network)
        return jnp.einsum("k,kf,ko->fo", self.weight, self.unit_features(lens, u), error)

    def mean_square(self, values: Float[Array, "rows ..."]) -> Float[Array, ""]:
        r"""$E |\cdot|^2$ of a function given by its values on the rows."""
        return jnp.sum(self.weight * jnp.sum(values.reshape(values.shape[0], -1) ** 2, axis=1))

    def scale_of(self, outputs: Float[Array, "rows outputs"]) -> Float[Array, ""]:
        """max(rms f, rms y): against this a change of the function counts as small."""
        target = self.mean_square(self.y) + 2 * self.irreducible
        return jnp.sqrt(jnp.maximum(self.mean_square(outputs), target))

    def lower_bound(self) -> float:
        """A loss that no network of this kind can be below; its optimum where it can express every function of psi."""
        if not self.lifted:
            return 0.0
        root = np.sqrt(np.asarray(self.weight))[:, None]
        fit, *_ = np.linalg.lstsq(root * self.x, root * self.y, rcond=None)
        return float(self.loss_of(np.asarray(self.x) @ fit))
