"""The explicit methods, with the coefficients of their authors as SciPy publishes them.

- Order 8: DOP853 of Hairer, Norsett & Wanner, *Solving Ordinary Differential Equations I* (1993), section II.5; dense output of order 7.
- Order 5: Dormand & Prince (1980), dense output of order 4 by Shampine (1986).
"""

import functools

import numpy as np

from ._base import Method


@functools.cache
def dormand_prince_8() -> Method:
    """Order 8 with an error estimate made of orders 5 and 3: 12 gradients a step."""
    from scipy.integrate import DOP853

    s = DOP853.n_stages
    stages = np.zeros((s + 1, s + 1))
    stages[:s, :s] = DOP853.A
    stages[s, :s] = DOP853.B
    extra = np.zeros((3, s + 4))
    extra[:, : DOP853.A_EXTRA.shape[1]] = DOP853.A_EXTRA
    return Method(8, stages, np.stack([DOP853.E5, DOP853.E3]), extra, np.asarray(DOP853.D), "hairer")


@functools.cache
def dormand_prince_5() -> Method:
    """Order 5 with an error estimate of order 4: 6 gradients a step."""
    from scipy.integrate import RK45

    s = RK45.n_stages
    stages = np.zeros((s + 1, s + 1))
    stages[:s, : s - 1] = RK45.A
    stages[s, :s] = RK45.B
    return Method(5, stages, np.asarray(RK45.E)[None], np.zeros((0, s + 1)), np.asarray(RK45.P), "polynomial")


METHODS = {8: dormand_prince_8, 5: dormand_prince_5}
