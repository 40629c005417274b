"""From a curve of loss and speed that theory drew to the stages that will be seen on it, by the definition that runs are read with."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...complexity import TAU
from ...series import find_plateaus
from ..curve import REACH
from .modes import CLOSE, Modes
from .moments import Lines
from .reduced import Reduced, lowest

#: As of a run: a plateau is a saddle's only if that differs by at most this part of max(rms f, rms y) from the function at the slowest place, besides the loss (`REACH`).
FARTHEST = 0.3
#: Part of what is allowed beyond which a run may judge otherwise.
DOUBTFUL = 0.8


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
        return self.width_of(self.tau[list(learned)])

    def width_of(self, sizes: np.ndarray) -> int:
        """That of a function with these singular values, whitened."""
        sizes = np.sort(sizes)
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

    def at(self, problem: Reduced, state: np.ndarray) -> np.ndarray:
        """The function of a reduced state, whitened."""
        return self.t - problem.residual_on(self.modes, state) / np.sqrt(self.modes.sigma)[:, None]

    def of_shares(self, share: np.ndarray) -> np.ndarray:
        """The function that has learned these parts of the modes, whitened."""
        kept = self.tau[: share.size] * share
        return (self.left[:, : share.size] * kept) @ self.right[:, : share.size].T

    def nearest(self, function: np.ndarray) -> tuple[int, ...]:
        """The modes that a function has learned by more than half."""
        inside = self.left.T @ function @ self.right / self.tau[:, None]
        learned = []
        # of equal modes any combinations are modes: what counts is how many of them there are
        for group in np.split(
            np.arange(self.tau.size), np.flatnonzero(np.abs(np.diff(self.tau)) > CLOSE * self.tau.max()) + 1
        ):
            block = inside[np.ix_(group, group)]
            count = int(np.sum(np.linalg.eigvalsh(0.5 * (block + block.T)) > 0.5))
            order = group[np.argsort(-np.diag(block), kind="stable")]
            learned += order[:count].tolist()
        return tuple(sorted(learned))

    def moved(self, function: np.ndarray, learned: tuple[int, ...]) -> float:
        """By which part of max(rms f, rms y) a function differs from a saddle's."""
        size = max(np.sum(function**2), self.target)  # whitened: sums of squares are means over the data
        return float(np.sqrt(np.sum((function - self._whitened(learned)) ** 2) / size))


class Seen(NamedTuple):
    """A plateau found on a curve: the saddle nearest to it, persistence in decades, and when the curve leaves it.

    `at_saddle`: whether the curve comes near enough for height and `width` to be the saddle's; otherwise they are the curve's own. `doubt`: how far off the height may be, because it is read off a curve or because a
    run may judge nearness otherwise; `slack`: what that, of this height and the next, makes of the end.
    """

    learned: tuple[int, ...]
    height: float
    persistence: float | None
    t_end: float | None
    width_of_drop: float | None
    level: float
    width: int
    at_saddle: bool = True
    doubt: float = 0.0
    slack: float = 0.0


def seen_on(
    t: np.ndarray,
    loss: np.ndarray,
    speed: np.ndarray,
    function_at: Callable[[int], np.ndarray],
    crossing: Callable[[float], float | None],
    saddles: Saddles,
    rest: float,
) -> list[Seen]:
    """The plateaus of the curve, in order, each with the height that a run's would get: that of a saddle only where the curve comes near it, in loss and in function.

    **Arguments:** `function_at`: the whitened function at a place of the curve; `rest`: the height after the last.
    """
    plateaus = find_plateaus(t, loss, speed)
    losses = [*(float(loss[p.index]) for p in plateaus), rest]
    visits = []
    for k, plateau in enumerate(plateaus):
        drops = (losses[k - 1] - losses[k] if k else np.inf, losses[k] - losses[k + 1])
        # the slowest place is known to the next sample, here and in a run
        beside = loss[max(plateau.index - 1, 0) : plateau.index + 2]
        visits.append(_visit(saddles, function_at(plateau.index), losses[k], REACH * min(drops), float(np.ptp(beside))))
    heights, doubts = [*(v.height for v in visits), rest], [*(v.doubt for v in visits), 0.0]
    found = []
    for k, (plateau, visit) in enumerate(zip(plateaus, visits, strict=True)):
        high, low = heights[k], heights[k + 1]
        level, doubt = 0.5 * (high + low), 0.5 * (doubts[k] + doubts[k + 1])
        begun, done = crossing(low + 0.9 * (high - low)), crossing(low + 0.1 * (high - low))
        width = done - begun if begun is not None and done is not None else None
        slack = _between(crossing, level - doubt, level + doubt) if doubt else 0.0
        end = crossing(level)
        found.append(
            Seen(visit.learned, high, plateau.persistence, end, width, level, visit.width, visit.near, doubts[k], slack)
        )
    return found


class _Visit(NamedTuple):
    learned: tuple[int, ...]
    height: float
    near: bool
    doubt: float
    width: int


def _visit(saddles: Saddles, function: np.ndarray, loss: float, reach: float, rough: float) -> _Visit:
    """The saddle at which a curve is slow, if it is one: the nearest, or the best function of its rank, to which a narrow network descends."""
    nearest = saddles.nearest(function)
    best = tuple(sorted(int(k) for k in np.argsort(-saddles.tau, kind="stable")[: len(nearest)]))
    least = np.inf
    for learned in dict.fromkeys((nearest, best)):
        apart = abs(saddles.height(learned) - loss)
        # in units of what is allowed: near 1 a run, whose slowest place is another sample, may judge otherwise
        far = max(apart / max(reach, 1e-300), saddles.moved(function, learned) / FARTHEST)
        if far <= 1.0:
            return _Visit(
                learned, saddles.height(learned), True, apart if far > DOUBTFUL else 0.0, saddles.width(learned)
            )
        least = min(least, apart if far < 1.0 / DOUBTFUL else 0.0)
    width = saddles.width_of(np.linalg.svd(function, compute_uv=False))
    return _Visit(nearest, loss, False, rough + least, width)


def _between(crossing: Callable[[float], float | None], low: float, high: float) -> float:
    """How long the loss takes from one level to another; infinite where it does not come to both."""
    first, last = crossing(high), crossing(low)
    return last - first if first is not None and last is not None else np.inf
