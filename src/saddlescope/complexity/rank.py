r"""Rank: linear units, of which only $M = \sum_i u_i v_i^\top$ enters the function."""

import numpy as np

from ._base import LayerView, Reduced, fewest


def by_rank(view: LayerView, tau: float) -> Reduced | None:
    r"""The lowest rank whose truncation changes the function by at most tau.

    Truncated by the SVD of $\Sigma^{1/2} M$, with $\Sigma$ the second moment of the units' inputs on the data. For one feature and a layer that is
    read out directly this is the best truncation; with several features (overlapping patches) an upper bound.
    """
    if not view.lens.facts.linear:
        return None
    rows = view.rows()
    psi = rows.shape[2]
    m = np.einsum("hp,hfo->pfo", view.u, view.v).reshape(psi, -1)
    factor = np.linalg.qr(rows.reshape(-1, psi), mode="r")
    _, _, directions = np.linalg.svd(factor @ m, full_matrices=False)
    most = min(len(view.u), len(directions))

    def truncated(width: int) -> tuple[np.ndarray, np.ndarray]:
        v = directions[:width]
        u = (m @ v.T).T
        size = np.sqrt(np.linalg.norm(u, axis=1))[:, None]  # share the size between u and v, as balanced weights do
        size = np.where(size > 0, size, 1.0)
        return u / size, (v * size).reshape(width, *view.v.shape[1:])

    def fits(width: int) -> bool:
        u, v = truncated(width)
        return view.change(u, v, np.moveaxis(rows @ u.T, 1, 2)) <= tau

    width = fewest(most, fits)
    return None if width is None else Reduced(*truncated(width), "rank", None)
