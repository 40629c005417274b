"""Random linear problems with inputs of each kind, their eigenvectors of Syx Sxx^-1 Sxy, and linear networks on any directions: what Lemma 6 is tried on."""

from typing import NamedTuple

import numpy as np

from ..networks import AbstractNetwork, Layer
from ..objective import Objective
from ..units import Linear
from ._constructions import inverses
from ._problems import samples

INPUTS, OUTPUTS, SAMPLES = 4, 3, 20
KINDS = ("white", "commuting", "non-commuting")


class Problem(NamedTuple):
    """Data, and the modes read off them: eigenvectors `modes` [outputs, j] of Syx Sxx^-1 Sxy with eigenvalues `squares`, the largest first."""

    objective: Objective
    xx: np.ndarray
    yx: np.ndarray
    yy: np.ndarray
    modes: np.ndarray
    squares: np.ndarray

    @property
    def fit(self) -> np.ndarray:
        """Syx Sxx^-1, the best of all linear maps."""
        return np.linalg.solve(self.xx, self.yx.T).T

    def loss(self, subset: tuple[int, ...]) -> float:
        return 0.5 * float(np.trace(self.yy) - np.sum(self.squares[list(subset)]))

    def index(self, subset: tuple[int, ...], width: int) -> int:
        missing = [j for j in range(OUTPUTS) if j not in subset]
        passed = sum(self.squares[j] > self.squares[k] for k in subset for j in missing)
        return (width - len(subset)) * len(missing) + int(passed)


def problem(kind: str, seed: int) -> Problem:
    """Samples with second moments of this kind, and noise that no linear function explains."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    right = np.linalg.qr(rng.normal(size=(INPUTS, INPUTS)))[0]
    root = right * (1.0 if kind == "white" else np.sqrt(rng.uniform(0.3, 2.0, INPUTS)))
    frame = np.linalg.qr(rng.normal(size=(SAMPLES, INPUTS + OUTPUTS)))[0] * np.sqrt(SAMPLES)
    x = frame[:, :INPUTS] @ root.T
    if kind == "commuting":
        left = np.linalg.qr(rng.normal(size=(OUTPUTS, OUTPUTS)))[0]
        teacher = (left * rng.uniform(0.3, 1.5, OUTPUTS)) @ right[:, :OUTPUTS].T
    else:
        teacher = 0.7 * rng.normal(size=(OUTPUTS, INPUTS))
    y = x @ teacher.T + 0.3 * frame[:, INPUTS:]
    xx, yx, yy = (a.T @ b / SAMPLES for a, b in ((x, x), (y, x), (y, y)))
    squares, modes = np.linalg.eigh(yx @ np.linalg.solve(xx, yx.T))
    return Problem(samples(x, y), xx, yx, yy, modes[:, ::-1], squares[::-1])


def network(one: Problem, directions: np.ndarray, width: int, rng: np.random.Generator) -> AbstractNetwork:
    """The linear network with W = P Syx Sxx^-1, P the projection on orthonormal `directions` [outputs, r], factorised at random."""
    a, left = inverses(rng, width, directions.shape[1])
    empty = Layer.zeros(Linear(), width, (INPUTS,), OUTPUTS)
    return empty.lenses()[0].put(a @ (directions.T @ one.fit), (left.T @ directions.T)[:, None, :])
