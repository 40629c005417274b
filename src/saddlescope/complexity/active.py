"""Active units: those that are left when the ones that contribute least are dropped."""

import numpy as np

from ._base import LayerView, Reduced, fewest


def by_activity(view: LayerView, tau: float) -> Reduced:
    """Drops units in increasing root mean square of phi v while the function changes by at most tau."""
    order = np.argsort(-view.contribution, kind="stable")

    def fits(n: int) -> bool:
        kept = order[:n]
        return view.change(view.u[kept], view.v[kept], view.phi[:, kept]) <= tau

    width = fewest(len(order), fits)
    kept = order[: len(order) if width is None else width]
    labels = np.full(len(order), -1)
    labels[kept] = np.arange(len(kept))
    return Reduced(view.u[kept], view.v[kept], "active", labels)
