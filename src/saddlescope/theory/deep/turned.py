r"""Deep linear networks without the turns that change nothing: exact, and smaller than the network for any widths.

A rotation of a hidden layer changes neither the function nor how it moves, so weights that differ by one are one state. The first hidden layer is turned so that $W_1 = Q_1 R$ with R
upper triangular, the last so that $W_L^\top = Q_L S$ with S upper triangular; what is left of the weights is $R$, $S$ and the matrices between,
$M = Q_l^\top W_l Q_{l-1}$. These move by the gradient G seen in the turned frame, less what the frame's own motion $\Omega = Q^\top\dot Q$ makes of them:

$$\dot R = G_1 - \Omega_1 R,\qquad \dot M = G - \Omega_l M + M \Omega_{l-1},$$

where the skew $\Omega$ is the one that keeps R triangular, found column by column. The axes of inputs and outputs are those of the correlation $E[y x^\top]$, the strongest first, so that frames turn slowly.
"""

from collections.abc import Callable

import numpy as np

from .product import LinearData, Product

#: Entries on the diagonal of a triangle below this part of its largest one: the weights are of low rank, and the frame is not determined.
SINGULAR = 1e-8
#: States in one batch of directions of the Jacobian.
BATCH = 64


class Turned:
    """The reduced motion. `start`: its numbers at t = 0, or `none` says why there is no such reduction.

    **Arguments:** `weights`: W_1 .. W_L, at least two hidden layers, no skip connection; `change`: makes the velocity that is followed from that of the flow (steps of descent).
    """

    closed = True

    def __init__(
        self,
        weights: list[np.ndarray],
        data: LinearData,
        change: Callable[[Callable[[np.ndarray], np.ndarray]], Callable[[np.ndarray], np.ndarray]],
    ):
        left, _, right = np.linalg.svd(data.yx)
        self.left, self.right = left, right.T
        turned = LinearData(right @ data.xx @ right.T, left.T @ data.yx @ right.T, data.total)
        self.full = Product(turned, tuple((w.shape[0], w.shape[1]) for w in weights))
        self._moved = change(self.full.velocity)
        w = [weights[0] @ self.right, *weights[1:-1], self.left.T @ weights[-1]]
        first, r = np.linalg.qr(w[0], mode="complete")
        last, s = np.linalg.qr(w[-1].T, mode="complete")
        frames = [first, *(np.eye(a.shape[0]) for a in w[1:-2]), last]
        inner = [frames[k].T @ w[k] @ frames[k - 1] for k in range(1, len(w) - 1)]
        self._first, self._last = np.triu(np.ones(r.shape, bool)), np.triu(np.ones(s.shape, bool))
        self.start = np.concatenate([r[self._first], *(m.ravel() for m in inner), s[self._last]])
        self.determined = _determined(r) and _determined(s)

    @staticmethod
    def size_of(weights: list[np.ndarray]) -> int:
        """How many numbers it has: those of the weights less the rotations that are left out."""
        ends = (np.triu(np.ones(weights[0].shape)), np.triu(np.ones(weights[-1].T.shape)))
        return int(sum(e.sum() for e in ends)) + sum(w.size for w in weights[1:-1])

    def split(self, state: np.ndarray) -> list[np.ndarray]:
        """The turned network's weights, in the axes of inputs and outputs that are used here."""
        batch = state.shape[:-1]
        shapes = self.full.shapes
        count, rest = int(self._first.sum()), int(self._last.sum())
        r = np.zeros((*batch, *shapes[0]), state.dtype)
        s = np.zeros((*batch, *reversed(shapes[-1])), state.dtype)
        r[..., self._first], s[..., self._last] = state[..., :count], state[..., state.shape[-1] - rest :]
        inner, at = [], count
        for shape in shapes[1:-1]:
            inner.append(state[..., at : at + shape[0] * shape[1]].reshape(*batch, *shape))
            at += shape[0] * shape[1]
        return [r, *inner, np.swapaxes(s, -1, -2)]

    def _whole(self, state: np.ndarray) -> np.ndarray:
        w = self.split(state)
        return np.concatenate([part.reshape(*state.shape[:-1], -1) for part in w], axis=-1)

    def velocity(self, state: np.ndarray) -> np.ndarray:
        w = self.split(state)
        moved = self.full.split(self._moved(self._whole(state)))
        g, h = moved[0], np.swapaxes(moved[-1], -1, -2)
        r, s = w[0], np.swapaxes(w[-1], -1, -2)
        first, last = _frame(g, r), _frame(h, s)
        inner = list(moved[1:-1])
        inner[0] = inner[0] + w[1] @ first
        inner[-1] = inner[-1] - last @ w[-2]
        batch = state.shape[:-1]
        return np.concatenate(
            [
                (g - first @ r)[..., self._first],
                *(m.reshape(*batch, -1) for m in inner),
                (h - last @ s)[..., self._last],
            ],
            axis=-1,
        )

    def jacobian(self, state: np.ndarray) -> np.ndarray:
        """Derivative of the velocity, [numbers, numbers], by complex steps: exact to rounding."""
        step = 1e-30 * max(float(np.max(np.abs(state))), 1e-300)
        columns = []
        for at in range(0, state.size, BATCH):
            some = np.eye(state.size)[at : at + BATCH]
            columns.append(np.imag(self.velocity(state + 1j * step * some)) / step)
        return np.concatenate(columns).T

    def speed(self, state: np.ndarray) -> float:
        """|gradient| of the network; what is followed here moves less."""
        return float(np.linalg.norm(self._moved(self._whole(state))))

    def product(self, state: np.ndarray) -> np.ndarray:
        return self.left @ self.full.product(self._whole(state)) @ self.right.T

    def loss(self, state: np.ndarray) -> float:
        return self.full.loss(self._whole(state))


def _determined(r: np.ndarray) -> bool:
    """Whether no column before the last that a frame depends on is, but for rounding, a combination of those before it."""
    diagonal = np.abs(np.diag(r))[: r.shape[0] - 1]
    return bool(np.all(diagonal > SINGULAR * np.max(np.abs(r), initial=0.0)))


def _frame(g: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The skew matrix that takes what lies below the diagonal from g when the frame of r turns by it. Any leading axes are a batch."""
    units = r.shape[-2]
    below = np.zeros((*r.shape[:-2], units, units), g.dtype)
    for j in range(min(r.shape[-1], units - 1)):
        known = np.einsum("...im,...m->...i", below[..., j + 1 :, :j], r[..., :j, j])
        below[..., j + 1 :, j] = (g[..., j + 1 :, j] - known) / r[..., j, j, None]
    return below - np.swapaxes(below, -1, -2)
