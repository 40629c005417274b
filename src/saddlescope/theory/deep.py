r"""Deep linear networks: heights by reduced-rank regression, times by a flow whose size does not depend on the widths.

$f(x) = W_L \cdots W_1 x$ learns its modes one after another; from small weights of scale $\epsilon$ each wait is of order $\epsilon^{-(L-2)}$, with a constant that depends on all initial
weights and has no closed form. It is computed: the network is compressed to the directions of its hidden units that matter (`_krylov`), and that small network is followed. Two
numbers of rounds say how far off it is.

Source: Saxe, McClelland & Ganguli (2014) and Jacot et al. (2021) for the stages; the compression is ours.
"""

import numpy as np

from ..networks import Deep
from ._base import AbstractPredictor, Cost, PredictedEnd, PredictedStage, Prediction, Problem
from ._curve import REACH, Curve, follow, heights_of, seen, stepped
from ._krylov import bases, projected
from ._product import LinearData, Product

#: At most so many rounds, and no more weights than this in the reduced network: its Jacobian is square in them.
ROUNDS, LARGEST = 3, 400
#: The difference of one round from the one before, times this, covers its error (measured: 1/20 to 1/40 of it remains).
COVERED = 0.3
RTOL, LOOKING_RTOL = 1e-9, 1e-6
#: What the solver adds, relative to t.
SOLVER = 3e-6
#: The last stage is over at this part of the smallest drop.
DONE = 1e-3
#: Smallest factor of the weights at which a plateau that does not show is looked for, and the accuracy of the scale found.
SMALLEST, SCALE_RATIO = 1e-4, 1.25


class DeepLinear(AbstractPredictor):
    """Linear units in every hidden layer, any depth, any data."""

    name = "deep linear"

    def refuses(self, problem: Problem) -> str | None:
        network = problem.network
        if not isinstance(network, Deep):
            return "needs layers of neurons, each reading the one before"
        if not all(lens.facts.linear for lens in network.lenses()):
            return "needs linear units in every hidden layer"
        data = LinearData.of(problem.objective)
        return None if data.drops().size else "no linear map lowers the loss"

    def predict(self, problem: Problem) -> Prediction:
        return _Account(problem).prediction()


class _Account:
    """One problem, compressed as far as is worth it."""

    def __init__(self, problem: Problem):
        assert isinstance(problem.network, Deep)
        self.problem = problem
        self.weights = [np.asarray(w, np.float64) for w in problem.network.weights]
        self.data = LinearData.of(problem.objective)
        self.layers = len(self.weights) - 1
        self.degree = problem.network.homogeneity
        self.whole = sum(w.size for w in self.weights)
        drops = self.data.drops()[: min(w.shape[0] for w in self.weights[:-1])]
        # heights[k]: the best map of rank k
        self.heights = self.data.total - np.concatenate([[0.0], np.cumsum(drops)])
        self.heights[np.abs(self.heights) < 1e-13 * self.data.total] = 0.0
        self.narrow = self._narrow()

    def _narrow(self) -> list[tuple[int, list[np.ndarray], bool]]:
        """Rounds, weights and whether the spans are closed, the finest two that are smaller than the network; fewer where there are not so many."""
        found: list[tuple[int, list[np.ndarray], bool]] = []
        for rounds in range(ROUNDS + 1):
            spans = bases(self.weights, rounds)
            small = projected(self.weights, spans)
            size = sum(w.size for w in small)
            if found and size == sum(w.size for w in found[-1][1]):
                found[-1] = (*found[-1][:2], True)
                break
            if size >= self.whole or (found and size > LARGEST):
                break
            found.append((rounds, small, False))
        return found[-2:] if not (found and found[-1][2]) else found[-1:]

    def curve(self, small: list[np.ndarray], rtol: float, factor: float = 1.0) -> Curve:
        product = Product(self.data, tuple((w.shape[0], w.shape[1]) for w in small))
        start = factor * np.concatenate([w.ravel() for w in small])
        lr = self.problem.learning_rate or 0.0
        # the size of a layer's largest singular value decides how fast a product of layers grows
        size = factor * float(np.median([np.linalg.norm(w, 2) for w in small]))
        slowest = float(np.linalg.svd(self.data.yx, compute_uv=False)[: len(self.heights) - 1][-1])
        log = np.log(1 / min(size, 0.1))
        t_max = 1e3 * (1 + log) / slowest * max(size, 1e-300) ** -(self.degree - 2)
        rms = factor * float(np.sqrt(np.mean(np.concatenate([w.ravel() for w in small]) ** 2)))
        return follow(
            stepped(product.velocity, lr),
            product.jacobian if lr == 0.0 else None,
            product.loss,
            start,
            until_loss=float(self.heights[-1]) + DONE * float(np.min(-np.diff(self.heights))),
            t_max=t_max,
            rtol=rtol,
            atol=0.1 * rtol * rms,
        )

    def prediction(self) -> Prediction:
        if not self.narrow:
            return self._heights_only()
        _, small, closed = self.narrow[-1]
        curve = self.curve(small, RTOL)
        coarse = self.curve(self.narrow[0][1], RTOL) if len(self.narrow) > 1 else None
        final = float(self.heights[-1])
        if not curve.finished:
            final = float(self.heights[int(np.argmin(np.abs(self.heights - curve.loss[-1])))])
        found = [s for s in seen(curve, float(curve.speed[0]), final) if s.listed]
        losses = [float(curve.loss[s.position]) for s in found]
        ranks = [0 if s.position == 0 else int(np.argmin(np.abs(self.heights - loss))) for s, loss in zip(found, losses, strict=True)]
        heights, odd = heights_of(losses, [float(self.heights[k]) for k in ranks], final)
        stages, start = [], 0.0
        for i, s in enumerate(found):
            following = heights[i + 1] if i + 1 < len(found) else final
            level = 0.5 * (heights[i] + following)
            end = curve.crossing(level, start)
            other = coarse.crossing(level) if coarse is not None else None
            error, status = None, "heuristic"
            if end is not None:
                step = ((self.problem.learning_rate or 0.0) * self._sharpness()) ** 2 * end
                if closed:
                    error, status = SOLVER * end + step, "theorem"
                else:
                    # without a second number of rounds, what one round is worth on average
                    error = (COVERED * abs(end - other) if other is not None else 0.1 * end) + SOLVER * end + step
            if odd[i] or self.problem.learning_rate is not None:
                status = "heuristic"
            first, last = (curve.crossing(heights[i] - part * (heights[i] - following), start) for part in (0.1, 0.9))
            next_rank = ranks[i + 1] if i + 1 < len(found) else int(np.argmin(np.abs(self.heights - final)))
            stages.append(
                PredictedStage(
                    heights[i],
                    start,
                    end,
                    status,
                    "origin" if ranks[i] == 0 else "rank",
                    self._width(ranks[i]),
                    height_error=REACH * abs(heights[i] - following) if odd[i] else 1e-9 * self.data.total,
                    t_end_error=error,
                    source="reduced ODE",
                    cost=Cost(curve.state_size, curve.evaluations, self.whole),
                    recruits=tuple(range(ranks[i], max(next_rank, ranks[i] + 1))),
                    escape_rate=self._rate(ranks[i]),
                    width_of_drop=last - first if first is not None and last is not None else None,
                    persistence=s.persistence,
                    reason=self._reason(closed) + ("; the run passes this saddle at a distance, and the height is that of its curve" if odd[i] else ""),
                )
            )
            start = end if end is not None else start
        k = int(np.argmin(np.abs(self.heights - final)))
        return Prediction(
            tuple(stages),
            PredictedEnd(final, self._width(k), "rank" if k else "origin", 1e-9 * self.data.total if curve.finished else None),
            self._cause(len(stages)),
            DeepLinear.name,
            merged=self._merged(curve, [h for h, o in zip(heights, odd, strict=True) if not o], ranks),
            notes=(self._law(),),
            extras={"degree": self.degree, "rounds": self.narrow[-1][0]},
        )

    def _heights_only(self) -> Prediction:
        reason = "hidden layers are no wider than inputs and outputs together: no compression is smaller than the network, so times would be a simulation"
        stages = tuple(
            PredictedStage(float(h), None, None, "outside assumptions", "rank" if k else "origin", self._width(k), height_error=1e-9 * self.data.total, reason=reason)
            for k, h in enumerate(self.heights[:-1])
        )
        k = len(self.heights) - 1
        end = PredictedEnd(float(self.heights[-1]), self._width(k), "rank", 1e-9 * self.data.total)
        return Prediction(stages, end, self._cause(len(stages)), DeepLinear.name, outside=(reason,), notes=(self._law(),), extras={"degree": self.degree})

    def _width(self, rank: int) -> int | list[int]:
        return rank if self.layers == 1 else [rank] * self.layers

    def _rate(self, rank: int) -> float | None:
        """Exponential only with two small factors; at rank k that of the largest residual correlation, known where inputs commute."""
        values = np.linalg.svd(self.data.yx, compute_uv=False)
        if self.degree != 2 or not self.data.commutes() or rank >= len(values):
            return None
        return float(values[rank])

    def _sharpness(self) -> float:
        a = np.linalg.svd(self.data.yx, compute_uv=False)[0]
        return float(self.degree * np.linalg.norm(self.data.xx, 2) ** (1 - 2 / self.degree + 2 / self.degree) * (a / np.linalg.norm(self.data.xx, 2)) ** (2 - 2 / self.degree))

    def _cause(self, stages: int) -> str:
        if stages < 2:
            return "none"
        if self.degree == 2:
            return "data"
        values = np.linalg.svd(self.data.yx, compute_uv=False)[: len(self.heights) - 1]
        return "both" if np.ptp(values) > 1e-6 * values[0] else "initialisation"

    def _reason(self, closed: bool) -> str:
        return (
            "hidden layers move in spans that the flow does not leave"
            if closed
            else "hidden layers are compressed to Krylov spans; the error is told by one round less"
        )

    def _law(self) -> str:
        if self.degree == 2:
            return "two small factors: waits grow with the logarithm of 1 / scale"
        return f"{self.degree} small factors: waits grow as scale^-{self.degree - 2}, and shrink by 10^{self.degree - 2} where all weights grow by 10"

    def _merged(self, curve: Curve, heights: list[float], ranks: list[int]) -> tuple[PredictedStage, ...]:
        drop = float(self.heights[0] - self.heights[-1])
        last = len(self.heights) - 1
        if not curve.finished:
            last = int(np.argmin(np.abs(self.heights - curve.loss[-1])))
        missing = []
        for k in range(last):
            level = float(self.heights[k])
            if k in ranks or min(level - self.heights[k + 1], self.heights[max(k - 1, 0)] - level if k else np.inf) < 1e-3 * drop:
                continue
            missing.append(
                PredictedStage(level, None, None, "theorem", "rank" if k else "origin", self._width(k), height_error=1e-9 * self.data.total, source="reduced ODE", separable=False, visible_scale=self._visible(level), reason="not separable at this scale")
            )
        return tuple(missing)

    def _visible(self, level: float) -> float | None:
        """The root mean square of the initial weights below which a plateau at this loss shows; None above `SMALLEST` times the present one."""
        size = float(np.sqrt(sum(np.sum(w**2) for w in self.weights) / self.whole))
        small, drop = self.narrow[0][1], float(self.heights[0] - self.heights[-1])

        def shows(factor: float) -> bool:
            curve = self.curve(small, LOOKING_RTOL, factor)
            near = [s for s in seen(curve, float(curve.speed[0]), float(self.heights[-1])) if s.listed]
            return any(abs(self.heights[int(np.argmin(np.abs(self.heights - curve.loss[s.position])))] - level) <= 1e-3 * drop for s in near)

        high, low = 1.0, 0.1
        while not shows(low):
            high, low = low, 0.1 * low
            if low < SMALLEST:
                return None
        while high / low > SCALE_RATIO:
            middle = float(np.sqrt(high * low))
            high, low = (high, middle) if shows(middle) else (middle, low)
        return size * low
