r"""A product of scalars, $f(x) = w_L \cdots w_1 x$: the escape time as one integral, exact from any start.

The flow conserves $w_l^2 - w_m^2$. With $p = w_m$ the smallest factor and the others as functions of it,
$\dot p = B(p)\,(s - \lambda B(p) p)$, $B = \prod_{l \ne m} \sqrt{p^2 + w_{l0}^2 - w_{m0}^2}$.

Source: Saxe, McClelland & Ganguli (2014) for equal factors; the integral from unequal ones is elementary.
"""

import numpy as np

from ...networks import Deep
from .._base import AbstractPredictor, Cost, PredictedEnd, PredictedStage, Prediction, Problem
from ..curve import Curve, seen
from .product import LinearData

#: Of the way on which the plateau is looked for.
POINTS = 2000


class ScalarChain(AbstractPredictor):
    """Linear layers one unit wide, one input, one output; gradient flow."""

    name = "scalar chain"

    def refuses(self, problem: Problem) -> str | None:
        network = problem.network
        if not isinstance(network, Deep) or not all(lens.facts.linear for lens in network.lenses()):
            return "needs layers of linear neurons"
        if any(w.size != 1 for w in network.weights):
            return "needs one unit in every hidden layer, one input and one output"
        if problem.learning_rate is not None:
            return "needs gradient flow: steps do not conserve differences of squares"
        return None if LinearData.of(problem.objective).modes()[0].size else "no linear map lowers the loss"

    def predict(self, problem: Problem) -> Prediction:
        assert isinstance(problem.network, Deep)
        w = np.array([float(np.asarray(part).item()) for part in problem.network.weights])
        data = LinearData.of(problem.objective)
        s, lam = abs(float(data.yx.item())), float(data.xx.item())
        end = data.total - 0.5 * s**2 / lam
        end = 0.0 if end < 1e-13 * data.total else end
        smallest = int(np.argmin(np.abs(w)))
        others = np.delete(w, smallest)
        # turned so that the target is positive and all other factors are
        start = abs(w[smallest]) * float(np.sign(np.prod(w)) * np.sign(data.yx.item()))
        gaps = np.maximum(others**2 - w[smallest] ** 2, 0.0)

        def product(p):
            return np.prod(np.sqrt(np.asarray(p)[..., None] ** 2 + gaps), axis=-1)

        def speed(p):
            factors = np.sqrt(np.append(p**2, p**2 + gaps))
            rest = [np.prod(np.delete(factors, i)) for i in range(len(factors))]
            return float(abs(s - lam * product(p) * p) * np.linalg.norm(rest))

        deep = len(w) - 1
        width = lambda k: k if deep == 1 else [k] * deep  # noqa: E731
        whole = problem.network.num_weights()
        stuck = start <= 0 and np.any(gaps <= 1e-14 * np.max(w**2))
        if stuck:
            reason = (
                "a factor of the wrong sign has an equal partner: both vanish together, and the flow ends in the saddle"
            )
            return Prediction(
                (), PredictedEnd(data.total, width(0), "origin", 1e-12 * data.total), "none", self.name, notes=(reason,)
            )
        goals = [_reach(product, s / lam * (1 - np.sqrt(1 - part))) for part in (0.1, 0.5, 0.9)]
        shown = [] if start >= goals[1] else self._seen(start, goals[2], product, speed, data, s, lam, end)
        if not shown:
            return Prediction((), PredictedEnd(end, width(1), "rank", 1e-12 * data.total), "none", self.name)
        times = [_time(product, s, lam, start, goal) for goal in goals]
        stage = PredictedStage(
            data.total,
            0.0,
            times[1][0],
            "theorem",
            "origin",
            width(0),
            height_error=1e-12 * data.total,
            t_end_error=times[1][1] + 1e-9 * times[1][0],
            source="quadrature",
            cost=Cost(0, times[0][2] + times[1][2] + times[2][2], whole),
            recruits=(0,),
            escape_rate=s if len(w) == 2 else None,
            width_of_drop=times[2][0] - times[0][0],
            persistence=shown[0].persistence,
            reason="exact for gradient flow",
        )
        law = "the logarithm of 1 / scale" if len(w) == 2 else f"scale^-{len(w) - 2}"
        return Prediction(
            (stage,),
            PredictedEnd(end, width(1), "rank", 1e-12 * data.total),
            "none",
            self.name,
            notes=(f"{len(w)} small factors: the wait grows as {law}",),
            extras={"degree": problem.network.homogeneity},
        )

    def _seen(self, start: float, goal: float, product, speed, data: LinearData, s: float, lam: float, end: float):
        """Whether a run rests at the origin, by the rule for its plateaus, on the way from `start` to `goal`; as many points a decade of p everywhere."""
        unit = max(abs(start), 1e-12 * goal)
        p = unit * np.sinh(np.linspace(np.arcsinh(start / unit), np.arcsinh(goal / unit), POINTS))
        f = product(p) * p
        speeds = np.array([speed(one) for one in p])
        curve = Curve(p, data.total - s * f + 0.5 * lam * f**2, speeds, lambda _: np.nan, POINTS, 0, True)
        return seen(curve, float(speeds[0]), end)


def _reach(product, level: float) -> float:
    """The p at which the product of all factors is `level` > 0: it grows with p."""
    from scipy.optimize import brentq

    high = 1.0
    while product(high) * high < level:
        high *= 2
    return float(brentq(lambda p: product(p) * p - level, 0.0, high, xtol=1e-300, rtol=1e-14))


def _time(product, s: float, lam: float, start: float, goal: float) -> tuple[float, float, int]:
    r"""$\int dp / (B (s - \lambda B p))$, its error, and how often the integrand was evaluated; in $\operatorname{asinh}$ of p, because a small start spans decades."""
    from scipy.integrate import quad

    if goal <= start:
        return 0.0, 0.0, 0
    unit = max(abs(start), 1e-12 * goal)

    def integrand(x: float) -> float:
        p = unit * np.sinh(x)
        b = product(p)
        return unit * np.cosh(x) / (b * (s - lam * b * p))

    value, error, info = quad(
        integrand,
        float(np.arcsinh(start / unit)),
        float(np.arcsinh(goal / unit)),
        epsrel=1e-12,
        epsabs=0.0,
        limit=500,
        full_output=1,
    )[:3]
    return float(value), float(error), int(info["neval"])
