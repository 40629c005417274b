r"""Units with proportional features act as one: rays where $\phi$ is homogeneous of degree 1, copies elsewhere."""

import numpy as np

from ..units import Facts
from ._base import LayerView, Reduced, fewest
from .active import by_activity

#: Clustering looks at no more units than this, the ones that contribute most.
MOST_UNITS = 3000


def by_merging(view: LayerView, tau: float) -> Reduced | None:
    """Drops what contributes less than half of tau, then merges units whose features on the data are most nearly proportional.

    Features are compared by angle (average linkage). The units of a group become one: for degree 1 their mean direction,
    weighted by |u||v|, otherwise the one that contributes most; its output weights are fitted to the group's sum on the data.
    Groups whose members cancel each other are then dropped.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    left = by_activity(view, tau / 2)
    if left.width == 0:
        return left._replace(kind="merged")
    if left.width > MOST_UNITS:
        return None
    index = np.argsort(-view.contribution, kind="stable")[: left.width]
    phi = view.phi[:, index].transpose(1, 0, 2).reshape(left.width, -1)
    size = np.linalg.norm(phi, axis=1)
    direction = phi / np.where(size > 0, size, 1.0)[:, None]
    cosines = np.clip(np.abs(direction @ direction.T), 0.0, 1.0)
    upper = np.triu_indices(left.width, 1)
    tree = linkage(1 - cosines[upper], "average") if left.width > 1 else None

    def members(count: int) -> list[np.ndarray]:
        if tree is None or count in (0, left.width):
            return [np.array([i]) for i in range(count)]
        labels = fcluster(tree, count, "maxclust")
        return [np.flatnonzero(labels == label) for label in np.unique(labels)]

    def grouped(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        groups = members(count)
        if tree is None or count in (0, left.width):
            return left.u[:count], left.v[:count], view.phi[:, index[:count]]
        group = np.empty(left.width, int)
        for k, units in enumerate(groups):
            group[units] = k
        u = _together(left.u, left.v, group, view.lens.facts)
        phi = view.features_of(u)
        return u, _fit(phi, view.phi[:, index], left.v, group), phi

    width = fewest(left.width, lambda n: view.change(*grouped(n)) <= tau)
    if width is None:
        return None
    u, v, phi = grouped(width)
    order = np.argsort(-np.linalg.norm(np.einsum("khf,hfo->kho", phi, v), axis=(0, 2)), kind="stable")

    def left_of_groups(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return u[order[:count]], v[order[:count]], phi[:, order[:count]]

    width = fewest(len(u), lambda n: view.change(*left_of_groups(n)) <= tau)
    kept = order[: len(u) if width is None else width]
    labels, groups = np.full(len(view.u), -1), members(len(u))
    for k, group in enumerate(kept):
        labels[index[groups[group]]] = k
    return Reduced(u[kept], v[kept], "rays" if view.lens.facts.degree == 1 else "copies", labels)


def _sums(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sums over the units of each group, along the first axis; `group` [units] from 0, none empty."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return np.add.reduceat(values[order], starts, axis=0)


def _together(u: np.ndarray, v: np.ndarray, group: np.ndarray, facts: Facts) -> np.ndarray:
    """The input weights of one unit in place of each group; units are sorted by contribution."""
    first = u[np.unique(group, return_index=True)[1]]
    if facts.degree != 1:
        return first
    if facts.parity != "none":  # u and -u have proportional features: turned to one side, or their mean would vanish
        u = np.where(np.sum(u * first[group], axis=1) < 0, -1.0, 1.0)[:, None] * u
    norm_u, norm_v = np.linalg.norm(u, axis=1), np.linalg.norm(v.reshape(len(v), -1), axis=1)
    mean = _sums(norm_v[:, None] * u, group)
    length = np.linalg.norm(mean, axis=1)
    # as long as balanced weights would be
    size = np.sqrt(_sums(norm_u * norm_v, group)) / np.where(length > 0, length, 1.0)
    return np.where(length[:, None] > 0, mean * size[:, None], first)


def _fit(phi: np.ndarray, parts: np.ndarray, v: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Output weights [groups, features, outputs] with which phi [rows, groups, features] comes nearest to the sum of each group's units, `parts` times v.

    Position by position, as the readout is: features that vanish on the data keep the mean of the group.
    """
    square = np.sum(phi**2, axis=0)
    shares = np.einsum("kif,kif->if", phi[:, group], parts)
    fit = _sums(shares[:, :, None] * v, group) / np.where(square > 0, square, 1.0)[:, :, None]
    mean = _sums(v, group) / np.bincount(group)[:, None, None]
    return np.where(square[:, :, None] > 0, fit, mean)
