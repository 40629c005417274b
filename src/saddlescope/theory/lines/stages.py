"""From a curve of loss and speed that theory drew to the stages that will be seen on it, by the definition that runs are read with."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...complexity import TAU
from ...series import find_plateaus
from .modes import CLOSE, Modes
from .moments import Lines
from .reduced import Reduced, lowest


class Saddles:
    r"""The critical points: truncations of $T = \Sigma^{-1/2}B$ to a set S of its singular vectors, modes in the order of `modes.tau`."""

    def __init__(self, lines: Lines, modes: Modes):
        self.tau, self.modes, self.units = modes.tau, modes, lines.u.shape[1]
        self.lowest, self.target = lowest(lines, modes), lines.target
        t = (modes.l * modes.s) / np.sqrt(modes.sigma)[:, None]
        if modes.commute:
            self.left, self.right = modes.l, np.eye(self.tau.size)
        else:
            left, _, right = np.linalg.svd(t, full_matrices=False)
            self.left, self.right = left, right.T
        self.t = t

    def height(self, learned: tuple[int, ...]) -> float:
        missing = np.delete(self.tau, learned)
        return self.lowest + 0.5 * float(np.sum(missing**2))

    def above(self, rest: tuple[int, ...]) -> float:
        """The lowest saddle above the best function of a rank: its weakest mode missing, or replaced by the strongest that it lacks."""
        missing = np.delete(self.tau, rest)
        weakest, strongest = self.tau[list(rest)].min(initial=np.inf), missing.max(initial=0.0)
        return self.height(rest) + 0.5 * float(weakest**2 - strongest**2) if np.isfinite(weakest) else self.height(rest)

    def width(self, learned: tuple[int, ...]) -> int:
        """Effective width: without the weakest modes that together change the function by at most TAU of the target."""
        sizes = np.sort(self.tau[list(learned)])
        return int(np.sum(np.sqrt(np.cumsum(sizes**2)) > TAU * np.sqrt(self.target)))

    def index(self, learned: tuple[int, ...]) -> int:
        r"""$(H - |S|)\,|\bar S| + \#\{(k, j): k \in S, j \notin S, \tau_j > \tau_k\}$: whitening changes the Hessian by a congruence, so that
        the count for white inputs holds for all."""
        missing = np.delete(self.tau, learned)
        swaps = np.sum(missing[:, None] > self.tau[list(learned)][None, :])
        return (self.units - len(learned)) * missing.size + int(swaps)

    def escape_rate(self, learned: tuple[int, ...]) -> float:
        """Largest singular value of the residual correlation there: the rate of a unit that is silent."""
        return float(np.linalg.svd(self._residual(learned), compute_uv=False)[0])

    def escape_direction(self, learned: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Its singular vectors: what such a unit's input weights (in the modes' $l$) and output weights (in their $r$) turn to."""
        left, _, right = np.linalg.svd(self._residual(learned), full_matrices=False)
        return self.modes.l.T @ left[:, 0], right[0]

    def _residual(self, learned: tuple[int, ...]) -> np.ndarray:
        return np.sqrt(self.modes.sigma)[:, None] * (self.t - self._whitened(learned))

    def function(self, learned: tuple[int, ...]) -> np.ndarray:
        """The linear map that has learned these modes and no others, [reached, modes]."""
        return self._whitened(learned) / np.sqrt(self.modes.sigma)[:, None]

    def _whitened(self, learned: tuple[int, ...]) -> np.ndarray:
        kept = list(learned)
        return (self.left[:, kept] * self.tau[kept]) @ self.right[:, kept].T

    def nearest(self, problem: Reduced, state: np.ndarray) -> tuple[int, ...]:
        """The modes that the function of a reduced state has learned by more than half."""
        function = self.t - problem.residual_on(self.modes, state) / np.sqrt(self.modes.sigma)[:, None]
        inside = self.left.T @ function @ self.right / self.tau[:, None]
        learned = []
        # of equal modes any combinations are modes: what counts is how many of them there are
        for group in np.split(
            np.arange(self.tau.size), np.flatnonzero(-np.diff(self.tau) > CLOSE * self.tau.max()) + 1
        ):
            block = inside[np.ix_(group, group)]
            count = int(np.sum(np.linalg.eigvalsh(0.5 * (block + block.T)) > 0.5))
            order = group[np.argsort(-np.diag(block), kind="stable")]
            learned += order[:count].tolist()
        return tuple(sorted(learned))


class Seen(NamedTuple):
    """A plateau found on a curve: the saddle it visits, persistence in decades, and when the curve leaves it."""

    learned: tuple[int, ...]
    height: float
    persistence: float | None
    t_end: float | None
    width_of_drop: float | None
    level: float


def seen_on(
    t: np.ndarray,
    loss: np.ndarray,
    speed: np.ndarray,
    learned_at: Callable[[int], tuple[int, ...]],
    crossing: Callable[[float], float | None],
    saddles: Saddles,
    rest: float,
) -> list[Seen]:
    """The plateaus of the curve, in order. `rest`: the height after the last."""
    plateaus = find_plateaus(t, loss, speed)
    sets = [learned_at(p.index) for p in plateaus]
    heights = [*(saddles.height(s) for s in sets), rest]
    found = []
    for k, plateau in enumerate(plateaus):
        high, low = heights[k], heights[k + 1]
        level = 0.5 * (high + low)
        begin, end = crossing(low + 0.9 * (high - low)), crossing(low + 0.1 * (high - low))
        width = end - begin if begin is not None and end is not None else None
        found.append(Seen(sets[k], high, plateau.persistence, crossing(level), width, level))
    return found
