"""What is known of a deep linear network without moving it: its saddles, their heights and widths, and the law of its waits."""

import numpy as np

from ...complexity import effective_width
from ...networks import Deep, Skip
from .._base import Cause, PredictedEnd, PredictedStage, Prediction, Problem
from .product import LinearData

#: The theory that speaks.
NAME = "deep linear"
#: Heights are exact to rounding.
HEIGHT = 1e-9


class Saddles:
    """One problem with its sets of modes: each is a fixed point's."""

    def __init__(self, problem: Problem):
        network = problem.network
        assert isinstance(network, Deep | Skip)
        self.problem = problem
        self.neuron = network.neuron
        self.weights = [np.asarray(w, np.float64) for w in network.weights]
        self.skip = network.skip if isinstance(network, Skip) else None
        self.data = LinearData.of(problem.objective)
        self.drops, self.left, self.readers = self.data.modes()
        self.layers = len(self.weights) - 1
        self.degree = network.homogeneity
        self.whole = sum(w.size for w in self.weights)
        # layers that the connection goes around do not limit the rank
        through = [w.shape[0] for layer, w in enumerate(self.weights[:-1]) if not 0 < layer < (self.skip or 0)]
        self.most = min(len(self.drops), *through)
        #: which modes the best map of the greatest rank has
        self.best = np.arange(len(self.drops)) < self.most

    def height(self, learned: np.ndarray) -> float:
        """The loss of the fixed point that has learned these modes [modes] and no others."""
        height = self.data.total - float(np.sum(self.drops[learned]))
        return 0.0 if abs(height) < 1e-13 * self.data.total else height

    def width_of(self, learned: np.ndarray, state: list[np.ndarray] | None = None) -> int | list[int] | None:
        """The rank, in every hidden layer; with a skip connection counted in the narrow network, because layers that it goes around may stay small. None without its state."""
        rank = int(np.sum(learned))
        if self.skip is None or rank == 0:
            return rank if self.layers == 1 else [rank] * self.layers
        if state is None:
            return None
        return list(effective_width(Skip(self.neuron, tuple(state), self.skip), self.problem.objective).widths)

    def rate_of(self, learned: np.ndarray) -> float | None:
        """Exponential only with two small factors: the largest correlation of what is not learned with the inputs."""
        if self.degree != 2 or np.all(learned):
            return None
        size = np.sqrt(2 * self.drops)
        # the residual of a fixed point: the modes not learned, back in terms of E[y x^T]
        inverse = self.readers * size
        residual = (self.left[:, ~learned] * size[~learned]) @ inverse[:, ~learned].T
        return float(np.linalg.norm(residual, 2))

    def cause(self) -> Cause:
        if self.degree == 2:
            return "data"
        values = np.linalg.svd(self.data.yx, compute_uv=False)[: self.most]
        return "both" if np.ptp(values) > 1e-6 * values[0] else "initialisation"

    def law(self) -> str:
        if self.degree == 2:
            return "two small factors: waits grow with the logarithm of 1 / scale"
        power = self.degree - 2
        return f"{self.degree} small factors: waits grow as scale^-{power}, by a factor {10**power} where all weights are ten times smaller"

    def heights_only(self) -> Prediction:
        reason = "no reduction is smaller than this network, so times would be a simulation"
        sets = [np.arange(len(self.drops)) < k for k in range(self.most + 1)]
        stages = tuple(
            PredictedStage(
                self.height(m),
                None,
                None,
                "outside assumptions",
                "rank" if np.any(m) else "origin",
                self.width_of(m),
                height_error=HEIGHT * self.data.total,
                separable=None,
                reason=reason,
            )
            for m in sets[:-1]
        )
        end = PredictedEnd(self.height(sets[-1]), self.width_of(sets[-1]), "rank", HEIGHT * self.data.total)
        notes = (
            self.law(),
            "heights are those of the best map of each rank; which of them are seen, times would tell",
        )
        return Prediction(
            stages,
            end,
            self.cause(),
            NAME,
            outside=(reason,),
            notes=notes,
            extras={"degree": self.degree},
        )
