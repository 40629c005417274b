r"""Weights for which the quantities that gradient flow conserves are zero.

Linear layers conserve $W_{l+1}^\top W_{l+1} - W_l W_l^\top$; a unit of degree k conserves $|u|^2 - k |v|^2$. Closed forms are simplest where
these vanish.
"""

from itertools import pairwise

import numpy as np

from ..networks import AbstractNetwork, Deep, Layer
from ._base import generator, put, scales


def balanced(network: AbstractNetwork, *, scale: float, convention: str = "weight", seed: int = 0) -> AbstractNetwork:
    r"""Normal input weights, and output weights that balance them.

    Fully connected linear networks of any depth: $W_l = O_l\, d\, O_{l-1}^\top$ with random orthonormal columns and one diagonal d, the root mean
    square of a weight of $W_1$ being about the scale. Other units with a degree k: each v is scaled so that $|u|^2 = k |v|^2$.

    **Raises:** `ValueError` where nothing of the kind is conserved (units without a degree, deep nonlinear networks).
    """
    lenses = network.lenses()
    facts = lenses[0].facts
    draw = generator(seed)
    sizes = scales(network, scale, convention)
    if facts.linear and network.form == "vectors" and isinstance(network, Layer | Deep):
        arrays = network.arrays()
        matrices = list(arrays.values())
        if isinstance(network, Layer):
            matrices = [matrices[0], matrices[1].T]
        widths = [matrices[0].shape[1], *(m.shape[0] for m in matrices)]
        rank = min(widths)
        frames = [np.linalg.qr(draw.standard_normal((w, rank)))[0] for w in widths]
        first = next(iter(sizes.values()))
        # |W_1|^2 = sum of d^2: as many units of scale^2 as W_1 has weights
        strength = np.abs(draw.standard_normal(rank))
        strength *= first * np.sqrt(widths[0] * widths[1]) / np.linalg.norm(strength)
        made = [out @ np.diag(strength) @ into.T for into, out in pairwise(frames)]
        if isinstance(network, Layer):
            made[1] = made[1].T
        return put(network, dict(zip(arrays, made, strict=True)))
    if len(lenses) > 1 or facts.degree is None:
        raise ValueError(
            f'kind = "balanced" needs linear layers, or one layer of units with a degree: {network.title} conserves no such '
            'quantity. Use kind = "gaussian".'
        )
    drawn = put(network, {name: sizes[name] * draw.standard_normal(a.shape) for name, a in network.arrays().items()})
    u, v = (np.asarray(a) for a in lenses[0].__class__(drawn).get())
    target = np.linalg.norm(u, axis=1) / np.sqrt(facts.degree)
    v = v * (target / np.linalg.norm(v.reshape(len(v), -1), axis=1))[:, None, None]
    network = lenses[0].__class__(drawn).put(u, v)
    return put(network, {name: np.asarray(a) for name, a in network.arrays().items()})
