r"""How large a step of gradient descent may be at a saddle that a run visits: 2 over the largest curvature of the loss there.

A saddle that has learned $M = P S Q^\top$ is reached from small weights with balanced ones, $U = P S^{1/2}$, $V = Q S^{1/2}$ on as many combinations of units, the others silent. At
one learned mode the largest curvature is $\max(2 s_k, \frac{s_k}{\lambda_k}\lambda_j)$ over all inputs j where modes commute: an input with a large second moment makes steps
diverge that its own rate of growth would allow.
"""

import numpy as np

from .moments import Lines
from .stages import Saddles

#: Up to so many numbers the Hessian is written down; beyond, Lanczos' method finds its largest eigenvalue to this part.
DENSE, TO = 64, 1e-6


def sharpness(lines: Lines, saddles: Saddles, learned: tuple[int, ...], into: np.ndarray, out: np.ndarray) -> float:
    r"""The largest eigenvalue of the Hessian at the balanced fixed point that has learned these modes; 1 / time.

    **Arguments:** `into` [weights, reached], `out` [readouts, modes]: of `Modes`.
    """
    function = into @ saddles.function(learned) @ out.T
    left, sizes, right = np.linalg.svd(function, full_matrices=False)
    left, right = left[:, : len(learned)], right[: len(learned)].T
    root = np.sqrt(sizes[: len(learned)])
    u, v = left * root, right * root
    residual = lines.b - lines.sigma @ function
    silent = float(
        np.linalg.norm(residual, 2)
    )  # units that are silent have the residual's singular values, of both signs
    if not learned:
        return silent

    def curved(du: np.ndarray, dv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        change = lines.sigma @ (du @ v.T + u @ dv.T)
        return change @ v - residual @ dv, change.T @ u - residual.T @ du

    return max(silent, _largest(curved, u.shape, v.shape))


def _largest(curved, *shapes: tuple[int, int]) -> float:
    """The largest eigenvalue of a symmetric map."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    sizes = [int(np.prod(shape)) for shape in shapes]

    def applied(x: np.ndarray) -> np.ndarray:
        du, dv = (part.reshape(shape) for part, shape in zip(np.split(x, [sizes[0]]), shapes, strict=True))
        return np.concatenate([part.ravel() for part in curved(du, dv)])

    total = sum(sizes)
    if total <= DENSE:
        return float(np.linalg.eigvalsh(np.stack([applied(one) for one in np.eye(total)]))[-1])
    operator = LinearOperator((total, total), matvec=applied, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(total)
    return float(eigsh(operator, k=1, which="LA", v0=start, tol=TO, return_eigenvectors=False)[0])
