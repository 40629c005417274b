r"""From data to an objective, compressed where that loses nothing.

Where $f$ is linear in $\psi(x)$, the loss depends on the data through second moments of $(\psi, y)$ alone. A QR of the stacked
$[\Psi, Y]$ leaves at most $\dim\psi$ rows with the same moments, without ever forming a square of the data; exact population moments
give such rows by an eigendecomposition.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ..networks import AbstractNetwork
from ..tasks import Moments, PopulationMoments, Samples
from ._base import Objective

#: psi of all samples is computed in slices of at most this many numbers
CHUNK = 2**24


def build(data: Samples | PopulationMoments, network: AbstractNetwork, *, compress: bool | None = None) -> Objective:
    r"""The objective of `network` on `data`.

    **Arguments:**

    - `data`: samples, or exact moments of a population.
    - `network`: its form decides which $\psi$ there is; its weights do not matter.
    - `compress`: None compresses where dim psi + outputs < samples; True and False insist.

    **Holds** exactly: loss and gradient equal those of the samples to rounding.

    **Raises:** `ValueError` if moments are given for no $\psi$ of this network, or compression is asked for and there is none.
    """
    # numbers too large to square are told by the flow, in one line, when the loss is not finite
    with jax.enable_x64(True), np.errstate(over="ignore", invalid="ignore"):
        if isinstance(data, PopulationMoments):
            return _from_moments(data, network)
        if compress is True and network.psi_name is None:
            raise ValueError(
                f"compress = true needs a network linear in a fixed psi(x): {network.title} has none. Leave it out."
            )
        if network.psi_name is not None and compress is not False:
            dim = int(np.prod(jax.eval_shape(network.psi, jnp.asarray(data.x[0])).shape))
            if compress or dim + data.y.shape[1] < data.x.shape[0]:
                return _compressed(data, network, dim)
    return Objective(data.x, data.y, data.weight, np.float64(0.0))


def _compressed(data: Samples, network: AbstractNetwork, dim: int) -> Objective:
    psi_of = jax.jit(jax.vmap(network.psi))
    outputs = data.y.shape[1]
    size = max(CHUNK // (dim + outputs), dim + outputs)
    factor = np.zeros((0, dim + outputs))
    for start in range(0, data.x.shape[0], size):
        part = slice(start, start + size)
        root = np.sqrt(data.weight[part])[:, None]
        rows = np.hstack([root * np.asarray(psi_of(jnp.asarray(data.x[part]))), root * data.y[part]])
        factor = np.linalg.qr(np.vstack([factor, rows]), mode="r")
    psi, y = factor[:dim, :dim], factor[:dim, dim:]
    irreducible = 0.5 * np.sum(factor[dim:, dim:] ** 2)
    if irreducible < 1e-28 * np.sum(factor[:, dim:] ** 2):  # rounding of a target that psi explains exactly
        irreducible = 0.0
    return _lifted(psi, y, irreducible, network)


def _from_moments(data: PopulationMoments, network: AbstractNetwork) -> Objective:
    moments: Moments | None = data.moments.get(network.psi_name or "")
    if moments is None:
        known = ", ".join(f'"{name}"' for name in data.moments) or "none"
        needed = f'"{network.psi_name}"' if network.psi_name else "none: f is linear in no fixed features"
        raise ValueError(
            f'samples = "population" does not go with {network.title}: the task knows exact moments of {known}, and this network\'s features are {needed}. '
            f"Give [task] a number of samples, such as samples = 200."
        )
    values, vectors = np.linalg.eigh(moments.psi_psi)
    kept = values > 1e-14 * values[-1]
    root = np.sqrt(values[kept])
    psi = root[:, None] * vectors[:, kept].T
    y = (vectors[:, kept].T @ moments.psi_y) / root[:, None]
    total = np.trace(moments.y_y)
    irreducible = 0.5 * (total - np.sum(y**2))
    if irreducible < 1e-14 * total:  # rounding of a target that psi explains exactly
        irreducible = 0.0
    return _lifted(psi, y, irreducible, network)


def _lifted(psi: np.ndarray, y: np.ndarray, irreducible: float, network: AbstractNetwork) -> Objective:
    weight, psi, y = np.ones(psi.shape[0]), np.ascontiguousarray(psi), np.ascontiguousarray(y)
    return Objective(psi, y, weight, np.float64(irreducible), lifted=True, psi_name=network.psi_name)
