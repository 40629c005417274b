r"""Gradient flow of a product of matrices, $f(x) = W_L \cdots W_1 x$, from second moments alone; also with the identity added to some of its factors,
$f(x) = W_L \cdots W_{s+2}\,(W_{s+1} \cdots W_2 + I)\, W_1 x$, which is what a skip connection over s layers computes."""

from dataclasses import dataclass

import numpy as np

from ...objective import Objective


@dataclass(frozen=True)
class LinearData:
    r"""`xx` $= E[x x^\top]$, `yx` $= E[y x^\top]$, and `total` $= \frac12 E|y|^2$, the loss of f = 0."""

    xx: np.ndarray
    yx: np.ndarray
    total: float

    @classmethod
    def of(cls, objective: Objective) -> "LinearData":
        x, y, weight = (np.asarray(part, np.float64) for part in (objective.x, objective.y, objective.weight))
        total = 0.5 * float(np.sum(weight * np.sum(y**2, axis=1))) + float(objective.irreducible)
        return cls((weight[:, None] * x).T @ x, (weight[:, None] * y).T @ x, total)

    def modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        r"""What each mode takes off the loss, largest first [modes]; its output direction [outputs, modes], and what reads it [inputs, modes].

        Modes are the singular vectors of $\Sigma_{yx}\Sigma_{xx}^{-1/2}$: of every fixed point W of a product of layers, the part learned of mode k, $l_k^\top W r_k$, is 0 or 1,
        and its loss is `total` less the drops of those that are 1. Source: Baldi & Hornik (1989).
        """
        values, vectors = np.linalg.eigh(self.xx)
        kept = values > 1e-13 * values[-1]
        root = np.sqrt(values[kept])
        left, size, right = np.linalg.svd((self.yx @ vectors[:, kept]) / root, full_matrices=False)
        real = size > 1e-7 * max(float(size[0]), 1e-300)
        readers = (vectors[:, kept] * root) @ right[real].T / size[real]
        return 0.5 * size[real] ** 2, left[:, real], readers

    def commutes(self) -> bool:
        """Whether the input directions of E[y x^T] are eigenvectors of E[x x^T]."""
        inner = self.yx.T @ self.yx
        scale = np.linalg.norm(inner, 2) * np.linalg.norm(self.xx, 2)
        return bool(np.linalg.norm(inner @ self.xx - self.xx @ inner, 2) <= 1e-9 * scale)


@dataclass(frozen=True)
class Product:
    """The flow of W_1 .. W_L on linear data; states are the matrices end to end, and any leading axes are a batch.

    - `skip`: how many layers the connection that starts at the first hidden layer jumps over; None without one.
    """

    data: LinearData
    shapes: tuple[tuple[int, int], ...]
    skip: int | None = None

    def split(self, state: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])[:-1]
        parts = np.split(state, ends, axis=-1)
        return [part.reshape(*state.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _joins(self, layer: int) -> bool:
        """Whether this matrix (from 0) reads what the skip connection adds too."""
        return self.skip is not None and layer == self.skip + 1

    def _forward(self, w: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
        """What each matrix after the first reads, and the product of all."""
        reads, product = [], w[0]
        for layer, matrix in enumerate(w[1:], 1):
            reads.append(product + w[0] if self._joins(layer) else product)
            product = matrix @ reads[-1]
        return reads, product

    def velocity(self, state: np.ndarray) -> np.ndarray:
        w = self.split(state)
        reads, product = self._forward(w)
        pull = self.data.yx - product @ self.data.xx
        out, around = [], 0.0
        for layer in range(len(w) - 1, 0, -1):
            out.append(pull @ np.swapaxes(reads[layer - 1], -1, -2))
            pull = np.swapaxes(w[layer], -1, -2) @ pull
            around = pull if self._joins(layer) else around
        out.append(pull + around)
        return np.concatenate([part.reshape(*state.shape[:-1], -1) for part in reversed(out)], axis=-1)

    def jacobian(self, state: np.ndarray) -> np.ndarray:
        """Derivative of `velocity` at one state [weights, weights], all directions at once: the product rule forward and back."""
        w = self.split(state)
        turned = [np.ascontiguousarray(matrix.T) for matrix in w]
        change = self.split(np.eye(state.size))
        reads, product = self._forward(w)
        d_reads, d_product = [], change[0]
        for layer in range(1, len(w)):
            d_reads.append(d_product + change[0] if self._joins(layer) else d_product)
            d_product = change[layer] @ reads[layer - 1] + w[layer] @ d_reads[-1]
        pull, d_pull = self.data.yx - product @ self.data.xx, -(d_product @ self.data.xx)
        out, d_around = [], 0.0
        for layer in range(len(w) - 1, 0, -1):
            out.append(d_pull @ reads[layer - 1].T + pull @ np.swapaxes(d_reads[layer - 1], -1, -2))
            d_pull = np.swapaxes(change[layer], -1, -2) @ pull + turned[layer] @ d_pull
            pull = turned[layer] @ pull
            d_around = d_pull if self._joins(layer) else d_around
        out.append(d_pull + d_around)
        return np.concatenate([part.reshape(state.size, -1) for part in reversed(out)], axis=-1).T

    def product(self, state: np.ndarray) -> np.ndarray:
        return self._forward(self.split(state))[1]

    def loss(self, state: np.ndarray) -> float:
        product = self.product(state)
        return (
            self.data.total
            - float(np.sum(product * self.data.yx))
            + 0.5 * float(np.sum((product @ self.data.xx) * product))
        )
