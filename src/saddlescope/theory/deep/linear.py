r"""Deep linear networks: heights by reduced-rank regression, times by a flow whose size does not depend on the widths.

$f(x) = W_L \cdots W_1 x$ learns its modes one after another; from small weights of scale $\epsilon$ each wait is of order $\epsilon^{-(L-2)}$, with a constant that depends on all initial
weights and has no closed form. It is computed: the network is compressed to the directions of its hidden units that matter (`krylov`), and that small network is followed. Two
numbers of rounds say how far off it is. Where layers are hardly wider than inputs and outputs together, the network is followed without the turns of its hidden layers (`turned`), which is exact.

With a skip connection by the identity, $f(x) = W_L \cdots (W_{s+1} \cdots W_2 + I)\, W_1 x$, the shortest product has $L - s$ factors, and that number takes the place of L in the law. Fixed points are the
same sets of modes: where both ends are at rest, $f = W_L C$ is the regression on C and $f = D W_1$ the projection of the best map on D, whatever is in between.

Source: Saxe, McClelland & Ganguli (2014) and Jacot et al. (2021) for the stages; the compression is ours.
"""

import numpy as np

from ...networks import Deep, Skip
from .._base import AbstractPredictor, Cost, PredictedEnd, PredictedStage, Prediction, Problem, Status
from ..curve import LOSS_DIFFERENCE, REACH, Curve, follow, heights_of, seen
from ..visible import root_mean_square, visible_factor
from .narrow import Compressed, Narrow, narrowed
from .product import LinearData
from .saddles import HEIGHT, NAME, Saddles
from .turned import Turned

#: Of learning_rate^2 x (sharpness at the end), what steps change beyond the first order: it comes from the drops, not from the waits. Measured: 0.06 to 0.3.
STEPS = 1.0
#: The difference of one round from the one before, times this, covers its error (measured: 1/20 to 1/40 of it remains with three layers, 1/4 with four; with a skip
#: connection 1/7 or less).
COVERED = 0.5
RTOL, COARSE_RTOL, LOOKING_RTOL = 1e-8, 1e-7, 1e-6
#: What the solver adds, relative to t.
SOLVER = 1e-5
#: The last stage is over at this part of the smallest drop.
DONE = 1e-3
#: Smallest factor of the weights at which a plateau that does not show is looked for.
SMALLEST = 1e-4
#: The flow is followed for so many times the wait that the layers' sizes suggest.
LONGEST = 1e3
#: Without a second number of rounds: what the spans of no round at all leave of t, at most (measured: 2e-2 to 6e-2).
FIRST_ROUND = 0.1


Motion = Compressed | Turned


class DeepLinear(AbstractPredictor):
    """Linear units in every hidden layer, any depth, any data; also with a skip connection from the first hidden layer."""

    name = NAME

    def refuses(self, problem: Problem) -> str | None:
        network = problem.network
        if not isinstance(network, Deep | Skip):
            return "needs layers of neurons, each reading the one before"
        if isinstance(network, Skip) and network.bypass is not None:
            return "needs the layers that the skip connection joins to be read by the same weights"
        if not all(lens.facts.linear for lens in network.lenses()):
            return "needs linear units in every hidden layer"
        return None if LinearData.of(problem.objective).modes()[0].size else "no linear map lowers the loss"

    def predict(self, problem: Problem) -> Prediction:
        return _Account(problem).prediction()


class _Account(Saddles):
    """One problem, compressed as far as is worth it."""

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.narrow: list[Narrow] = narrowed(self.weights, self.data, self.skip, problem.learning_rate or 0.0)

    def curve(self, small: Motion, rtol: float, factor: float = 1.0) -> Curve:
        """The reduced run from weights that are `factor` times those given."""
        start = factor * small.start
        # a product of layers grows at a speed set by their largest singular values, to the power of the factors that are small
        size = factor * float(np.median([np.linalg.norm(w, 2) for w in small.split(small.start)]))
        slowest = float(np.linalg.svd(self.data.yx, compute_uv=False)[: self.most][-1])
        waits = (1 - np.log(min(size, 0.1))) / slowest * size ** -(self.degree - 2) if size > 0 else 1.0
        rms = float(np.sqrt(np.mean(start**2)))
        return follow(
            small.velocity,
            small.jacobian,
            small.loss,
            start,
            speed_of=small.speed,
            until_loss=self.height(self.best) + DONE * float(np.min(self.drops[self.best])),
            t_max=LONGEST * waits,
            rtol=rtol,
            atol=0.1 * rtol * rms,
        )

    def learned(self, small: Motion, curve: Curve, t: float) -> np.ndarray:
        """Which modes the product has learned by more than half."""
        assert curve.state_at is not None
        product = small.product(np.asarray(curve.state_at(t)))
        return np.einsum("ok,oi,ik->k", self.left, product, self.readers) > 0.5

    def prediction(self) -> Prediction:
        if not self.narrow:
            return self.heights_only()
        small, rounds, closed = self.narrow[-1]
        curve = self.curve(small, RTOL)
        coarse = self.curve(self.narrow[0].motion, COARSE_RTOL) if len(self.narrow) > 1 else None
        last = self.best if curve.finished else self.learned(small, curve, float(curve.t[-1]))
        final = self.height(last)
        found = seen(curve, float(curve.speed[0]), final)
        sets = [
            np.zeros(len(self.drops), bool)
            if s.position == 0
            else self.learned(small, curve, float(curve.t[s.position]))
            for s in found
        ]
        # what is slow at the end's own function is the end
        kept = [i for i, m in enumerate(sets) if not np.array_equal(m, last)]
        found, sets = [found[i] for i in kept], [sets[i] for i in kept]
        losses = [float(curve.loss[s.position]) for s in found]
        heights, odd = heights_of(losses, [self.height(m) for m in sets], final)
        odd, below = [*odd, False], [*heights[2:], final, final]
        stages, start = [], 0.0
        for i, s in enumerate(found):
            following = heights[i + 1] if i + 1 < len(found) else final
            after = sets[i + 1] if i + 1 < len(found) else last
            level = 0.5 * (heights[i] + following)
            end = curve.crossing(level, start)
            first, done = (curve.crossing(heights[i] - part * (heights[i] - following), start) for part in (0.1, 0.9))
            # a height that is the curve's own may be read otherwise by a run, and so may the middle between it and the next
            own, next_ = REACH * abs(heights[i] - following) * odd[i], REACH * abs(following - below[i]) * odd[i + 1]
            slack = 0.5 * (own + next_)
            stages.append(
                PredictedStage(
                    heights[i],
                    start,
                    end,
                    self._status(closed, odd[i] or odd[i + 1]),
                    "rank" if np.any(sets[i]) else "origin",
                    self.width_of(sets[i], self._state(small, curve, float(curve.t[found[i].position]))),
                    height_error=REACH * abs(heights[i] - following) if odd[i] else HEIGHT * self.data.total,
                    t_end_error=None
                    if end is None
                    else self._error(coarse, end, level, start) + _moved(curve, end, level, slack, start),
                    source="reduced ODE",
                    cost=Cost(curve.state_size, curve.evaluations, self.whole),
                    recruits=tuple(int(k) for k in np.flatnonzero(after & ~sets[i])),
                    escape_rate=self.rate_of(sets[i]),
                    width_of_drop=done - first if first is not None and done is not None else None,
                    persistence=s.persistence,
                    reason=self._reason(closed, rounds)
                    + (
                        "; the run passes this saddle at a distance, and the height is that of its curve"
                        if odd[i]
                        else ""
                    ),
                )
            )
            start = end if end is not None else start
        return Prediction(
            tuple(stages),
            PredictedEnd(
                final,
                self.width_of(last, self._state(small, curve, float(curve.t[-1]))),
                "rank" if np.any(last) else "origin",
                HEIGHT * self.data.total if curve.finished else None,
            ),
            self.cause(),
            DeepLinear.name,
            merged=self._merged(small, curve, last, sets),
            notes=(self.law(),),
            extras={"degree": self.degree, "rounds": rounds},
        )

    def _status(self, closed: bool, odd: bool) -> Status:
        if odd or self.problem.learning_rate is not None:
            return "heuristic"
        # two small factors around the others: the spans hold their product, and the rest vanishes with the scale
        around = self.skip is not None and self.degree == 2
        return "theorem" if closed else "asymptotic" if around else "heuristic"

    def _error(self, coarse: Curve | None, end: float, level: float, start: float) -> float:
        """Half of a 95% interval: what the last round changed, the solver, and a learning rate's second order."""
        error = SOLVER * end
        if coarse is not None:
            other = coarse.crossing(level, 0.5 * start)
            error += COVERED * abs(end - other) if other is not None else end
        elif not self.narrow[-1].closed:
            error += FIRST_ROUND * end
        sharpness = self.degree * float(np.linalg.norm(self.data.yx, 2)) ** (2 - 2 / self.degree)
        return error + STEPS * (self.problem.learning_rate or 0.0) ** 2 * sharpness

    def _state(self, small: Motion, curve: Curve, t: float) -> list[np.ndarray]:
        """The narrow network's weights at this time."""
        assert curve.state_at is not None
        return small.split(np.asarray(curve.state_at(t)))

    def _reason(self, closed: bool, rounds: int | None) -> str:
        if rounds is None:
            return "the network without the turns of its hidden layers, which change nothing: exact"
        if closed:
            return "hidden layers move in spans that the flow does not leave"
        return "hidden layers are compressed to Krylov spans; one round less tells the error"

    def _merged(
        self, small: Motion, curve: Curve, last: np.ndarray, sets: list[np.ndarray]
    ) -> tuple[PredictedStage, ...]:
        """Saddles between the stages that are seen, in the order in which modes are learned."""
        when = np.full(len(self.drops), np.inf)
        for t in curve.t[::4]:
            when[np.isinf(when) & self.learned(small, curve, float(t))] = t
        drop = self.data.total - self.height(last)
        learned, missing, above = np.zeros(len(self.drops), bool), [], np.inf
        for mode in [None, *np.argsort(when, kind="stable")[: int(np.sum(last)) - 1]]:
            if mode is not None:
                learned = learned.copy()
                learned[mode] = True
            level = self.height(learned)
            # a plateau needs a loss of its own
            apart = min(above - level, level - self.height(last)) >= LOSS_DIFFERENCE * drop
            above = level
            if not apart or any(np.array_equal(learned, m) for m in sets):
                continue
            missing.append(
                PredictedStage(
                    level,
                    None,
                    None,
                    "theorem",
                    "rank" if np.any(learned) else "origin",
                    self.width_of(learned),
                    height_error=HEIGHT * self.data.total,
                    source="reduced ODE",
                    separable=False,
                    visible_scale=self._visible(learned),
                    reason="not separable at this scale",
                )
            )
        return tuple(missing)

    def _visible(self, learned: np.ndarray) -> float | None:
        """The root mean square of the initial weights below which a plateau at this saddle shows; None above `SMALLEST` times the present one."""
        small = self.narrow[0].motion

        def shows(factor: float) -> bool:
            curve = self.curve(small, LOOKING_RTOL, factor)
            for s in seen(curve, float(curve.speed[0]), self.height(self.best)):
                now = self.learned(small, curve, float(curve.t[s.position])) & (s.position > 0)
                if np.array_equal(now, learned):
                    return True
            return False

        low = visible_factor(shows, lambda factor: 0.1 * factor, SMALLEST)
        return None if low is None else root_mean_square(self.weights) * low


def _moved(curve: Curve, end: float, level: float, slack: float, start: float) -> float:
    """By how much an end moves where its level is only known to `slack`."""
    if slack == 0.0:
        return 0.0
    sooner, later = (curve.crossing(level + part, start) for part in (slack, -slack))
    return max(end - (start if sooner is None else sooner), (float(curve.t[-1]) if later is None else later) - end)
