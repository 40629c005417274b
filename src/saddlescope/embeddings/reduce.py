r"""Back from a wide network to the narrow one inside it: the inverse of every embedding.

Works on weights alone, so it finds what is there to rounding (or to `tolerance`) and nothing else; `complexity.reduce` is the one that
asks what the function on given data needs.
"""

from typing import NamedTuple

import numpy as np

from ..networks import AbstractLens, AbstractNetwork
from ..units import Facts
from ._base import Mixing, factor, refusal
from .fitted import fitted


class Reduction(NamedTuple):
    r"""A narrower network with the same function, and how far the wide one is from being embedded from it.

    - `network`: the narrow network; None where no unit is left.
    - `width`: its number of units in this layer.
    - `embedding`: $A$, $B$ that come nearest to carrying it back; None where the facts refuse them.
    - `misfit`: Euclidean distance in the layer's weights from the embedded network, relative to their size; infinite without an embedding. Where it
        is not small the wide network computes the narrow one's function, but is not one of Theorem 1's fixed points.
    - `reason`: why there is no embedding, or None.
    """

    network: AbstractNetwork | None
    width: int
    embedding: Mixing | None
    misfit: float
    reason: str | None


def reduce(lens: AbstractLens, tolerance: float = 1e-9) -> Reduction:
    r"""Merges units that are equal or proportional, drops those without effect, and lowers linear units to their rank.

    **Arguments:**

    - `tolerance`: what counts as zero or equal, relative to the largest of the layer's weights of that kind.

    **Holds:** the function of the narrow network differs by at most about tolerance times the number of units; `reduce(embed(x))` is `x` up to the order, sign
    and scale of its units (linear units: up to an invertible matrix), if `x` itself cannot be reduced.
    """
    u, v = (np.asarray(part, np.float64) for part in lens.get())
    flat = v.reshape(len(v), int(np.prod(v.shape[1:])))
    if lens.facts.linear:
        u_narrow, v_narrow, labels = (*_by_rank(u, flat, tolerance), None)
    else:
        u_narrow, v_narrow, labels = _by_groups(u, flat, lens.facts, tolerance)
    size = np.sqrt(np.sum(u**2) + np.sum(flat**2))
    if len(u_narrow) == 0:
        nothing = np.zeros((len(u), 0))
        reason = (
            None if lens.facts.silent else "a layer without units has f = 0, which needs phi(x; 0) = 0 to be embedded."
        )
        zero = u if lens.facts.order >= 2 else np.hstack([u, flat])  # output weights of silent units are free there
        misfit = float(np.linalg.norm(zero) / size) if size > 0 else 0.0
        return Reduction(None, 0, None if reason else Mixing(nothing, nothing), np.inf if reason else misfit, reason)
    network = lens.put(u_narrow, v_narrow.reshape(len(u_narrow), *v.shape[1:]))
    embedding = fitted(lens, lens.of(network), labels)
    reason = refusal(embedding.a, embedding.b, lens.facts)
    if reason is not None:
        return Reduction(network, len(u_narrow), None, np.inf, reason)
    free = (embedding.a == 0.0).all(axis=1) if lens.facts.order >= 2 and labels is not None else np.zeros(len(u), bool)
    off_u, off_v = u - embedding.a @ u_narrow, flat - embedding.b @ v_narrow
    misfit = np.sqrt(np.sum(off_u**2) + np.sum(off_v[~free] ** 2)) / size
    return Reduction(network, len(u_narrow), embedding, float(misfit), None)


def _by_rank(u: np.ndarray, v: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    left, values, right = np.linalg.svd(u.T @ v, full_matrices=False)
    # the product's own rounding is relative to its factors, which need not be small where it is
    factors = np.linalg.norm(u) * np.linalg.norm(v)
    kept = values > tolerance * max(np.max(values, initial=0.0), factors * 1e-3)
    root = np.sqrt(values[kept])[:, None]
    return root * left.T[kept], root * right[kept]


def _by_groups(
    u: np.ndarray, v: np.ndarray, facts: Facts, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size_u, size_v = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
    top_u, top_v = np.max(size_u, initial=0.0), np.max(size_v, initial=0.0)
    homogeneous = facts.degree is not None
    small_u, small_v = size_u <= tolerance * top_u, size_v <= tolerance * top_v
    strength = size_u ** (facts.degree or 0) * size_v
    if homogeneous:
        # u and v share a unit's size as they like: one of them may be small in a unit that counts
        weak = strength <= tolerance * np.max(strength, initial=0.0)
        small_u, small_v = small_u & weak, small_v & weak
    # units with v = 0 have no effect, but may be parts of one that has: they are left to join a group
    left = np.flatnonzero(~small_u) if facts.silent else np.arange(len(u))
    left = left[np.argsort(small_v[left], kind="stable")]
    point = u / np.where(size_u > 0, size_u, 1.0)[:, None] if homogeneous else u / max(top_u, 1e-300)
    labels, found = np.full(len(u), -1), []
    while left.size and not small_v[left[0]]:
        apart = np.linalg.norm(point[left] - point[left[0]], axis=1)
        turned = np.linalg.norm(point[left] + point[left[0]], axis=1) if facts.parity != "none" else np.inf
        near = np.minimum(apart, turned) <= tolerance
        signs = np.where(apart <= turned, 1.0, -1.0)[near]
        group, left = left[near], left[~near]
        g = signs * size_u[group] if homogeneous else signs
        direction = (signs[:, None] * point[group]).mean(axis=0) * (1.0 if homogeneous else top_u)
        parts = factor(g, facts)[:, None] * v[group]
        total = parts.sum(axis=0)
        if np.linalg.norm(total) <= tolerance * np.sum(np.linalg.norm(parts, axis=1)):
            continue  # they cancel each other
        scale = 1.0
        if homogeneous and facts.degree:
            # |u|^2 = degree x |v|^2: the balance that a flow from small weights keeps
            scale = float((facts.degree * np.sum(total**2)) ** (1 / (2 * facts.degree + 2)))
        found.append((group, scale * direction, total / (scale ** (facts.degree or 0))))
    found.sort(key=lambda one: one[0].min())  # in the order of the wide network
    for k, (group, _, _) in enumerate(found):
        labels[group] = k
    u_narrow = np.array([one[1] for one in found]).reshape(len(found), u.shape[1])
    return u_narrow, np.array([one[2] for one in found]).reshape(len(found), v.shape[1]), labels
