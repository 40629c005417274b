r"""Gradient flow of a product of matrices, $f(x) = W_L \cdots W_1 x$, from second moments alone."""

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
    """The flow of W_1 .. W_L on linear data; states are the matrices end to end, and any leading axes are a batch."""

    data: LinearData
    shapes: tuple[tuple[int, int], ...]

    def split(self, state: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])[:-1]
        parts = np.split(state, ends, axis=-1)
        return [part.reshape(*state.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def velocity(self, state: np.ndarray) -> np.ndarray:
        w = self.split(state)
        before = [w[0]]
        for matrix in w[1:]:
            before.append(matrix @ before[-1])
        pull = self.data.yx - before[-1] @ self.data.xx
        out = []
        for layer in range(len(w) - 1, 0, -1):
            out.append(pull @ np.swapaxes(before[layer - 1], -1, -2))
            pull = np.swapaxes(w[layer], -1, -2) @ pull
        out.append(pull)
        return np.concatenate([part.reshape(*state.shape[:-1], -1) for part in reversed(out)], axis=-1)

    def jacobian(self, state: np.ndarray) -> np.ndarray:
        """Derivative of `velocity` at one state [weights, weights], all directions at once: the product rule forward and back."""
        w = self.split(state)
        turned = [np.ascontiguousarray(matrix.T) for matrix in w]
        change = self.split(np.eye(state.size))
        before, d_before = [w[0]], [change[0]]
        for matrix, d_matrix in zip(w[1:], change[1:], strict=True):
            d_before.append(d_matrix @ before[-1] + matrix @ d_before[-1])
            before.append(matrix @ before[-1])
        pull, d_pull = self.data.yx - before[-1] @ self.data.xx, -(d_before[-1] @ self.data.xx)
        out = []
        for layer in range(len(w) - 1, 0, -1):
            out.append(d_pull @ before[layer - 1].T + pull @ np.swapaxes(d_before[layer - 1], -1, -2))
            d_pull = np.swapaxes(change[layer], -1, -2) @ pull + turned[layer] @ d_pull
            pull = turned[layer] @ pull
        out.append(d_pull)
        return np.concatenate([part.reshape(state.size, -1) for part in reversed(out)], axis=-1).T

    def product(self, state: np.ndarray) -> np.ndarray:
        w = self.split(state)
        product = w[0]
        for matrix in w[1:]:
            product = matrix @ product
        return product

    def loss(self, state: np.ndarray) -> float:
        product = self.product(state)
        return (
            self.data.total
            - float(np.sum(product * self.data.yx))
            + 0.5 * float(np.sum((product @ self.data.xx) * product))
        )
