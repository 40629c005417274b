r"""The Hessian of a wide network from that of the narrow one inside it, where the rest of the units are silent.

A silent unit ($u = v = 0$, $\phi(x; 0) = 0$) is coupled to nothing: its block of the Hessian is

$$\begin{pmatrix} 0 & C \\ C^\top & 0 \end{pmatrix}, \qquad C = E\big[(f - y) \otimes \partial_u \phi(x; 0)\big],$$

with eigenvalues $\pm\sigma_j(C)$. For linear units every embedding is a change of gauge away from such a one, and by Sylvester's law the counts stay.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..embeddings import Mixing
from ..networks import AbstractLens, AbstractNetwork
from ..objective import Objective
from .hessian import hessian
from .spectrum import DOUBT, ZERO_EIGENVALUE, Spectrum, of_matrix
from .symmetry import symmetries


class Counts(NamedTuple):
    """`index` and `nullity` of the wide network with their intervals, and the narrow network's own spectrum (None at the origin)."""

    index: int
    nullity: int
    index_interval: tuple[int, int]
    nullity_interval: tuple[int, int]
    narrow: Spectrum | None


def counts_by_structure(
    narrow: AbstractNetwork | None,
    wide: AbstractNetwork,
    embedding: Mixing | None,
    objective: Objective,
) -> Counts | str:
    r"""Index and nullity of a wide two-layer network from the narrow one's Hessian and the silent unit's block; the reason why not, where that
    is not possible.

    **Arguments:**

    - `narrow`: at its fixed point; None at the origin. `wide`: the network that embeds it, through `embedding`.

    **Holds** exactly for linear units, however they are embedded, and for smooth units of which the others are silent. Zero is relative to the
    largest eigenvalue of the balanced embedding (narrow weights and silent units), not of the wide weights' own gauge.
    """
    lens = wide.lenses()[0]
    facts = lens.facts
    if len(wide.lenses()) != 1:
        return "the output weights of one hidden layer are the input weights of the next"
    if facts.kinks:
        return "silent units of a piecewise linear network sit on kinks, where there is no Hessian"
    if not facts.silent:
        return "phi(x; 0) is not zero, so that no unit is silent"
    if narrow is not None and not facts.linear:
        assert embedding is not None
        made = (embedding.a != 0.0).sum(axis=0)
        if np.any(made > 1):
            return "some units are copies of each other, not silent"
    u, v = (np.asarray(part) for part in lens.get())
    weights, features = u.shape[1], v[0].size
    silent = len(u) - (0 if narrow is None else len(narrow.lenses()[0].get()[0]))
    with jax.enable_x64(True):
        where = wide if narrow is None else narrow
        block = np.asarray(_silent_block(jax.tree.map(jnp.asarray, where).lenses()[0], _x64(objective)))
    seen = np.linalg.svd(block.reshape(features, weights), compute_uv=False)
    size = float(seen[0]) if silent and seen.size else 0.0
    inner = None
    if narrow is not None:
        inner = of_matrix(hessian(narrow, objective), symmetries(narrow).basis, size)
        size = max(size, inner.largest, -inner.lowest)
    zero = ZERO_EIGENVALUE * size
    own = weights + features
    rank = int(np.sum(seen > zero))
    low, high = int(np.sum(seen > DOUBT * zero)), int(np.sum(seen > zero / DOUBT))
    negative = (0, 0, 0) if inner is None else (inner.index, *inner.index_interval)
    flat = (0, 0, 0) if inner is None else (inner.nullity, *inner.nullity_interval)
    return Counts(
        negative[0] + silent * rank,
        flat[0] + silent * (own - 2 * rank),
        (negative[1] + silent * low, negative[2] + silent * high),
        (flat[1] + silent * (own - 2 * high), flat[2] + silent * (own - 2 * low)),
        inner,
    )


def _x64(objective: Objective) -> Objective:
    return jax.tree.map(jnp.asarray, objective)


@eqx.filter_jit
def _silent_block(lens: AbstractLens, objective: Objective):
    zero = jnp.zeros(lens.get()[0].shape[1])
    error = objective.outputs(lens.network) - objective.y

    def correlation(u):
        phi = objective.unit_features(lens, u)
        return jnp.einsum("k,kf,ko->fo", objective.weight, phi, error)

    return jax.jacfwd(correlation)(zero)
