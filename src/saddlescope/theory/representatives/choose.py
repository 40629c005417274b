r"""A few of a network's units, each with a multiplicity, that stand for all of them.

A layer's function and speed are sums over its units. To fourth order in their weights these sums are moments of the units, and so a subset with multiplicities $m_i \ge 0$ that has the
same moments moves as the whole layer does: exactly where units are linear, and up to sixth moments, $O(1/H^2)$ of f, where they bend. Such a subset exists with no more units than moments
(Caratheodory; Tchakaloff 1957), as a vertex of the polytope of all multiplicities, of which all ones are a point.
"""

from itertools import combinations_with_replacement

import numpy as np

#: Multiplicities below this are those of units that are left out.
NONE = 1e-9


def moments_of(coordinates: np.ndarray, degrees: tuple[int, ...]) -> np.ndarray:
    """All monomials of these degrees of units' coordinates [units, coordinates]: [monomials, units]."""
    rows = []
    for degree in degrees:
        for powers in combinations_with_replacement(range(coordinates.shape[1]), degree):
            rows.append(np.prod(coordinates[:, powers], axis=1))
    return np.array(rows)


def chosen(moments: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Which units [chosen] with which multiplicities have these moments [moments, units] of all, at the least `cost` [units]; None where the solver finds none."""
    from scipy.optimize import linprog

    size = np.maximum(np.linalg.norm(moments, axis=1, keepdims=True), 1e-300)
    _, values, right = np.linalg.svd(moments / size, full_matrices=False)
    kept = values > 1e-12 * values[0]
    # independent combinations of them, so that the solver meets no redundant row
    found = linprog(cost / np.max(np.abs(cost)), A_eq=right[kept], b_eq=right[kept].sum(axis=1), method="highs-ds")
    if found.status != 0:
        return None
    which = np.flatnonzero(found.x > NONE)
    # the solver's tolerance is 1e-7: the last digits by least squares
    system = right[kept][:, which]
    refined = found.x[which] + np.linalg.lstsq(system, right[kept].sum(axis=1) - system @ found.x[which], rcond=None)[0]
    return (which, refined) if np.all(refined > 0) else None
