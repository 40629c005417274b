"""Index and nullity at a saddle."""

import numpy as np

from ..fixed_points import hessian


def index_of(saddle, objective):
    facts = saddle.network.lenses()[0].facts
    if saddle.network.num_weights() > 300 or facts.kinks:
        return None, None, None
    values = np.linalg.eigvalsh(hessian(saddle.network, objective))
    zero = 1e-6 * max(values[-1], -values[0], 0.0)
    return int(np.sum(values < -zero)), int(np.sum(np.abs(values) <= zero)), float(values[0])
