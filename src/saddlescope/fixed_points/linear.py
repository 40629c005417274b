r"""All fixed points of a two-layer linear network, without a search.

A layer of linear units computes $f = \psi M$ with $M = \sum_i u_i v_i^\top$. In coordinates in which the data are white the loss is a distance,

$$L = L_{\min} + \tfrac12 |N - G|^2, \qquad N = W_1 M W_2^\top, \qquad G = \sum_j \sigma_j l_j r_j^\top ,$$

with $\sigma_j^2$ the eigenvalues of $\Sigma_{yx} \Sigma_{xx}^{-1} \Sigma_{xy}$. The fixed points are the subsets S of modes learned, $N = \sum_{j \in S} \sigma_j l_j r_j^\top$.
A linear change of coordinates carries fixed points to fixed points and leaves the signs of a Hessian there alone (Sylvester), so what is true of
white data is true of all: the inputs need not commute with the targets.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..complexity import LayerView
from ..networks import AbstractLens, AbstractNetwork
from ..objective import Objective
from .polish import ROUNDING

#: Strengths that differ by less than this part of the largest are one group: rounding would not tell them apart.
EQUAL = 1e-9
#: Strengths below this part of rms y are zero: there is nothing to learn along their modes.
NOTHING = 1e-12
#: Second moments of several features factorise into (features) x (inputs) if the rest is at most this part: rounding of a sum of squares.
SEPARABLE = 1e-10
#: A residual below this part of rms y is rounding (of ill-conditioned data too), and says nothing about its own gradient: the fit is perfect.
PERFECT = 1e-9

Subset = tuple[int, ...]


class Nearest(NamedTuple):
    """The saddle whose function is closest to a network's.

    - `subset`: its modes; of a degenerate group the first ones stand for as many.
    - `distance`: root mean square difference of the functions on the data, relative to max(rms f, rms y).
    - `gradient`: the network's own |grad L|, relative to |residual| x (largest column of its Jacobian).
    """

    subset: Subset
    distance: float
    gradient: float

    @property
    def stationary(self) -> bool:
        """Whether the network is a fixed point itself. Its distance alone does not tell: silent units can move without changing f."""
        return self.gradient <= ROUNDING


@dataclass(frozen=True)
class LinearSaddles:
    r"""The fixed points of a linear network of `width` units on its data, as subsets of at most `width` modes.

    - `strengths` [modes]: $\sigma_j > 0$, largest first; the eigenvalues of $\Sigma_{yx} \Sigma_{xx}^{-1} \Sigma_{xy}$ are their squares.
    - `lowest`: the loss with all modes learned.
    - `groups`: modes of equal strength, one tuple a group. **Where a group has several modes, subsets are not unique:** any subspace of it is a
        fixed point as good as another, a continuum, and a subset stands for the number that it takes from each group.
    """

    lens: AbstractLens
    objective: Objective
    width: int
    strengths: np.ndarray
    lowest: float
    groups: tuple[tuple[int, ...], ...]
    left: np.ndarray  # l_j as columns, in white coordinates
    right: np.ndarray
    white: np.ndarray  # W_1 [., psi] and the inverses of both
    inverse: np.ndarray
    white_right: np.ndarray
    inverse_right: np.ndarray

    @property
    def degenerate(self) -> tuple[tuple[int, ...], ...]:
        """The groups of more than one mode."""
        return tuple(group for group in self.groups if len(group) > 1)

    @cached_property
    def _group_of(self) -> dict[int, int]:
        return {mode: k for k, group in enumerate(self.groups) for mode in group}

    def taken(self, subset: Subset) -> tuple[int, ...]:
        """How many modes of each group are learned: what identifies a saddle where groups are degenerate."""
        counts = [0] * len(self.groups)
        for mode in self._checked(subset):
            counts[self._group_of[mode]] += 1
        return tuple(counts)

    def loss(self, subset: Subset) -> float:
        r"""$L_{\min} + \frac12 \sum_{j \notin S} \sigma_j^2$."""
        missing = np.delete(self.strengths, self._checked(subset))
        return self.lowest + 0.5 * float(np.sum(missing**2))

    def weights(self, subset: Subset) -> AbstractNetwork | None:
        """The network of width len(subset) there, balanced: U U^T = V V^T. None for the empty subset, which is the origin."""
        chosen = self._checked(subset)
        if not chosen:
            return None
        n = (self.left[:, chosen] * self.strengths[chosen]) @ self.right[:, chosen].T
        m = self.inverse @ n @ self.inverse_right.T
        a, size, b = np.linalg.svd(m, full_matrices=False)
        kept, root = len(chosen), np.sqrt(size[: len(chosen)])
        u, v = (a[:, :kept] * root).T, b[:kept] * root[:, None]
        shape = np.shape(self.lens.get()[1])
        return self.lens.put(u, v.reshape(kept, *shape[1:]))

    def index(self, subset: Subset, width: int | None = None) -> int:
        r"""Number of negative Hessian eigenvalues at width H, in any gauge and for any inputs:

        $$(H - r)\, \#\{j \notin S\} + \#\{(k \in S,\, j \notin S) : \sigma_j > \sigma_k\} .$$
        """
        chosen, width = self._checked(subset), self._wide(subset, width)
        taken = self.taken(subset)
        missing = [len(group) - count for group, count in zip(self.groups, taken, strict=True)]
        above = [sum(missing[:k]) for k in range(len(missing))]  # groups are in decreasing strength
        return (width - len(chosen)) * sum(missing) + sum(n * a for n, a in zip(taken, above, strict=True))

    def nullity(self, subset: Subset, width: int | None = None) -> int:
        r"""Number of zero Hessian eigenvalues at width H, where all further units are silent.

        Of $H (P + Q)$ weights, $r^2 + \sum_{k \in S} (p + q - 2r - \#\{j \notin S : \sigma_j \ge \sigma_k\}) + (H - r) \#\{j \notin S\}$ curve upwards, with p and q
        the ranks of the data on both sides; the rest of what does not curve downwards is flat.
        """
        chosen, width = self._checked(subset), self._wide(subset, width)
        taken = self.taken(subset)
        missing = [len(group) - count for group, count in zip(self.groups, taken, strict=True)]
        reached = [sum(missing[: k + 1]) for k in range(len(missing))]
        r, sides = len(chosen), len(self.white) + len(self.white_right)
        up = r * r + sum(n * (sides - 2 * r - m) for n, m in zip(taken, reached, strict=True))
        total = width * (self.white.shape[1] + self.white_right.shape[1])
        return total - up - (width - r) * sum(missing) - self.index(subset, width)

    def subsets(self, size: int | None = None) -> Iterator[Subset]:
        """The fixed points in increasing loss, one subset for each number of modes taken from each group; lazily, as there may be 2^modes.

        **Arguments:** `size`: only those of so many modes; None for all up to `width`.
        """
        most = min(self.width, len(self.strengths))
        sizes = range(most, -1, -1) if size is None else [size] if 0 <= size <= most else []
        lists = [((self.loss(s), s) for s in self._of_size(n)) for n in sizes]
        for _, subset in heapq.merge(*lists):
            yield subset

    def count(self, size: int) -> int:
        """How many fixed points of `size` modes there are, a continuum counted once."""
        ways = [1] + [0] * size
        for group in self.groups:
            ways = [sum(ways[n - k] for k in range(min(n, len(group)) + 1)) for n in range(size + 1)]
        return ways[size]

    def nearest(self, network: AbstractNetwork) -> Nearest:
        """Which saddle of at most `width` modes a network's function is closest to, how far that is, and whether the network rests at all."""
        view = LayerView(network, 0, self.objective)
        n = self._product(view)
        learned = self.left.T @ n @ self.right
        gains: list[tuple[float, int, int]] = []
        for k, group in enumerate(self.groups):
            block, strength = learned[np.ix_(group, group)], self.strengths[group[0]]
            # of all projections P onto a subspace of the group: |B - sigma P|^2 is lowest on the largest eigenvectors
            values = np.sort(np.linalg.eigvalsh(0.5 * (block + block.T)))[::-1]
            gains += [(2 * strength * b - strength**2, k, i) for i, b in enumerate(values)]
        chosen = sorted((g for g in gains if g[0] > 0), reverse=True)[: self.width]
        counts = np.bincount([k for _, k, _ in chosen], minlength=len(self.groups))
        subset = tuple(sorted(mode for group, c in zip(self.groups, counts, strict=True) for mode in group[:c]))
        # the sum of squares entry by entry, not as a difference, keeps small distances
        distance = np.linalg.norm(n - self._matrix(learned, counts)) / view.scale if view.scale > 0 else 0.0
        return Nearest(subset, float(distance), self._gradient(view))

    def rank(self, subset: Subset, most: int = 100_000) -> int | None:
        """Its place by loss among the fixed points of as many modes, 1 the lowest; None beyond `most`."""
        level = self.loss(subset)
        tolerance = 1e-12 * (self.lowest + 0.5 * float(np.sum(self.strengths**2)))
        for place, other in enumerate(self._of_size(len(subset))):
            if self.loss(other) >= level - tolerance:
                return place + 1
            if place >= most:
                break
        return None

    def _of_size(self, size: int) -> Iterator[Subset]:
        """Numbers taken from each group, best first: each mode moved on to the next group is a child, which is no better."""
        room = [len(group) for group in self.groups]
        top, left = [], size
        for n in room:
            top.append(min(n, left))
            left -= top[-1]
        if left:
            return
        squares = [self.strengths[group[0]] ** 2 for group in self.groups]
        start = tuple(top)
        heap, seen = [(0.0, start)], {start}  # what is lost against the best of this size
        while heap:
            lost, counts = heapq.heappop(heap)
            yield tuple(mode for group, c in zip(self.groups, counts, strict=True) for mode in group[:c])
            for k in range(len(counts) - 1):
                if counts[k] > 0 and counts[k + 1] < room[k + 1]:
                    child = (*counts[:k], counts[k] - 1, counts[k + 1] + 1, *counts[k + 2 :])
                    if child not in seen:
                        seen.add(child)
                        heapq.heappush(heap, (lost + squares[k] - squares[k + 1], child))

    def _matrix(self, learned: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """N of the fixed point that takes `counts` from each group, in each the subspace along which most is learned."""
        n = np.zeros((len(self.left), len(self.right)))
        for group, count in zip(self.groups, counts, strict=True):
            block = learned[np.ix_(group, group)]
            vectors = np.linalg.eigh(0.5 * (block + block.T))[1][:, ::-1][:, :count]
            n += (
                self.strengths[list(group)].mean()
                * (self.left[:, group] @ vectors)
                @ (self.right[:, group] @ vectors).T
            )
        return n

    def _product(self, view: LayerView) -> np.ndarray:
        m = view.u.T @ view.v.reshape(len(view.v), -1)
        return self.white @ m @ self.white_right.T

    def _gradient(self, view: LayerView) -> float:
        v = view.v.reshape(len(view.v), -1)
        residual = view.root[:, None] * (view.outputs - np.asarray(self.objective.y))
        if np.linalg.norm(residual) <= PERFECT * np.linalg.norm(view.root[:, None] * np.asarray(self.objective.y)):
            return 0.0
        rows = view.rows()
        by_u = np.einsum("kfp,hfo,ko->hp", rows, view.v, residual, optimize=True)
        by_v = np.einsum("khf,ko->hfo", view.phi, residual).reshape(v.shape)
        columns = np.einsum("kfp,hfo->hpko", rows, view.v, optimize=True)
        largest = max(
            np.max(np.sum(columns**2, axis=(2, 3)), initial=0.0), np.max(np.sum(view.phi**2, axis=0), initial=0.0)
        )
        size = np.linalg.norm(residual) * np.sqrt(largest)
        return float(np.hypot(np.linalg.norm(by_u), np.linalg.norm(by_v)) / max(size, 1e-300))

    def _checked(self, subset: Subset) -> list[int]:
        chosen = sorted(subset)
        if len(set(chosen)) < len(chosen) or any(not 0 <= mode < len(self.strengths) for mode in chosen):
            raise ValueError(
                f"A subset names modes from 0 to {len(self.strengths) - 1}, each once: found {tuple(subset)}."
            )
        return chosen

    def _wide(self, subset: Subset, width: int | None) -> int:
        width = self.width if width is None else width
        if width < len(subset):
            raise ValueError(f"{len(subset)} modes need at least as many units: found width {width}.")
        return width


def linear_saddles(network: AbstractNetwork, objective: Objective, width: int | None = None) -> LinearSaddles:
    r"""Every fixed point of a two-layer linear network on its data.

    **Arguments:**

    - `network`: its form; its weights do not matter. Neurons and merged heads on cubic features (one feature) always. Several features (the patches
        of a convolution) where $E[x_{pk} x_{p'k'}] = C_{pp'} \Sigma_{kk'}$, of which independent patches of one covariance are the plain case.
    - `width`: the number of units; the network's if left out.

    **Holds** exactly, to rounding, whatever the inputs' second moment: it may be singular and need not commute with the targets'.

    **Raises:** `ValueError` with the reason where the network is not of this kind: its fixed points are then not subsets of modes.
    """
    reason = not_linear(network)
    if reason is not None:
        raise ValueError(
            f"Fixed points of {network.title} cannot be listed as subsets of modes: {reason}. Search for them instead."
        )
    view = LayerView(network, 0, objective)
    rows, lens = view.rows(), view.lens
    samples, features, psi = rows.shape
    target = view.root[:, None] * np.asarray(objective.y)
    outputs = target.shape[1]
    if features == 1:
        q, size, z = np.linalg.svd(rows[:, 0], full_matrices=False)
        kept = size > np.finfo(float).eps * max(samples, psi) * (size[0] if size.size else 0.0)
        q, size, z = q[:, kept], size[kept], z[kept]
        white, inverse = size[:, None] * z, z.T / size
        g, sides = q.T @ target, np.ones((1, 1))
        inverse_sides = sides
    else:
        sides, inverse_sides, white, inverse = _separated(rows, network)
        seen = np.einsum("kfp,ko->pfo", rows, target)
        g = np.einsum("ap,pfo,fb->abo", inverse.T, seen, inverse_sides).reshape(len(white), -1)
    white_right, inverse_right = np.kron(sides, np.eye(outputs)), np.kron(inverse_sides, np.eye(outputs))
    left, strengths, right = np.linalg.svd(g, full_matrices=False)
    total = float(np.sum(target**2))
    kept = strengths > NOTHING * np.sqrt(total)
    left, strengths, right = left[:, kept], strengths[kept], right[kept].T
    lowest = float(objective.irreducible) + 0.5 * float(np.linalg.norm(_unexplained(rows, target)) ** 2)
    groups: list[list[int]] = []
    for mode, strength in enumerate(strengths):
        if groups and strengths[groups[-1][0]] - strength <= EQUAL * strengths[0]:
            groups[-1].append(mode)
        else:
            groups.append([mode])
    return LinearSaddles(
        lens,
        objective,
        len(view.u) if width is None else width,
        strengths,
        lowest,
        tuple(tuple(group) for group in groups),
        left,
        right,
        white,
        inverse,
        white_right,
        inverse_right,
    )


def not_linear(network: AbstractNetwork) -> str | None:
    """Why a network is not one product of two matrices, or None where it is one."""
    lenses = network.lenses()
    if len(lenses) != 1:
        return f"it has {len(lenses)} hidden layers, and Lemma 6 is about one"
    if not lenses[0].facts.linear:
        return "its units are not linear in their weights"
    if not lenses[0].direct:
        return "something follows its layer of units"
    return None


def _separated(rows: np.ndarray, network: AbstractNetwork) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Roots of the two factors of the second moment [feature, psi, feature', psi'], and their inverses."""
    features, psi = rows.shape[1:]
    flat = rows.reshape(len(rows), -1)
    moment = (flat.T @ flat).reshape(features, psi, features, psi)
    paired = moment.transpose(0, 2, 1, 3).reshape(features**2, psi**2)
    a, size, b = np.linalg.svd(paired, full_matrices=False)
    rest = float(np.linalg.norm(size[1:]) / size[0]) if size[0] > 0 else 0.0
    if rest > SEPARABLE:
        raise ValueError(
            f"Fixed points of {network.title} cannot be listed as subsets of modes: that needs E[x_pk x_p'k'] = C_pp' S_kk' for its {features} features, "
            f"and a part of {rest:.1e} of these second moments is not of that form (overlapping or unequal patches, or too few samples of independent "
            "ones). Search for them instead."
        )
    c, s = a[:, 0].reshape(features, features), b[0].reshape(psi, psi)
    sign = 1.0 if np.trace(c) >= 0 else -1.0
    root, inverse = _root(sign * size[0] * c)
    white, back = _root(sign * s)
    return root, inverse, white, back


def _root(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    kept = values > 1e-14 * max(values[-1], 0.0)
    root = np.sqrt(values[kept])
    return root[:, None] * vectors[:, kept].T, vectors[:, kept] / root


def _unexplained(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What is left of the targets when every mode is learned."""
    flat = rows.reshape(len(rows), -1)
    return target - flat @ np.linalg.lstsq(flat, target, rcond=None)[0]
