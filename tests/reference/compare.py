"""How far a run's curve, times and weights are from a reference solution; each measure is shown something wrong once.

The measures know neither how a run is made nor which errors are allowed: they take plain arrays and return numbers.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from .flow import Solution
from .networks import AttentionOnCubicFeatures, AttentionOnTokens, Convolution, Deep, FullyConnected, Network, Weights


@dataclass(frozen=True)
class Curve:
    """A run's curve [times]: loss and speed at times that never decrease; a time given twice is an event, where the speed jumps."""

    t: np.ndarray
    loss: np.ndarray
    speed: np.ndarray

    def between(self, at_most: int = 3000) -> tuple[np.ndarray, np.ndarray]:
        """Times within the intervals, and which interval each is in: at 1/4, 1/2 and 3/4 of each, or of every few of them."""
        intervals = np.flatnonzero(np.diff(self.t) > 0)
        intervals = intervals[:: 1 + 3 * len(intervals) // at_most]
        inside = (np.arange(3)[:, None] + 1) / 4
        t = self.t[intervals] + inside * (self.t[intervals + 1] - self.t[intervals])
        return t.T.ravel(), np.repeat(intervals, 3)

    def linear(self, t: np.ndarray, interval: np.ndarray) -> np.ndarray:
        x = (t - self.t[interval]) / (self.t[interval + 1] - self.t[interval])
        return (1 - x) * self.loss[interval] + x * self.loss[interval + 1]

    def hermite(self, t: np.ndarray, interval: np.ndarray) -> np.ndarray:
        """The cubic with the losses and slopes -speed^2 of both ends."""
        i, j = interval, interval + 1
        h = self.t[j] - self.t[i]
        x = (t - self.t[i]) / h
        values = (1 + 2 * x) * (1 - x) ** 2 * self.loss[i] + x**2 * (3 - 2 * x) * self.loss[j]
        return values - h * x * (1 - x) * ((1 - x) * self.speed[i] ** 2 - x * self.speed[j] ** 2)


def loss_error(curve: Curve, solution: Solution) -> float:
    """Largest |L - reference| at the curve's own times, in units of the first loss."""
    return float(np.abs(curve.loss - solution.loss(curve.t)).max() / curve.loss[0])


def density_errors(curve: Curve, solution: Solution) -> tuple[float, float]:
    """Largest |L - reference| between the curve's times, read linearly and by Hermite's cubic, in units of the first loss."""
    t, interval = curve.between()
    exact = solution.loss(t)
    errors = (np.abs(read(t, interval) - exact).max() for read in (curve.linear, curve.hermite))
    return tuple(float(error / curve.loss[0]) for error in errors)


@dataclass(frozen=True)
class StageEnd:
    """One stage's end as told by a run, and as the reference has it for the same level."""

    told: float
    told_error: float
    exact: float | None

    @property
    def difference(self) -> float:
        return np.inf if self.exact is None else abs(self.told - self.exact)


def stage_ends(summary: dict, solution: Solution) -> list[StageEnd]:
    """The ends that the summary knows; the level of each is midway between its height and the next one's."""
    stages = summary["stages"]
    heights = [stage["height"] for stage in stages] + [summary["end"]["height"]]
    ends = []
    for stage, height, following in zip(stages, heights[:-1], heights[1:], strict=True):
        if stage["t_end"] is not None:
            crossing = solution.crossing((height + following) / 2)
            ends.append(StageEnd(stage["t_end"], stage["t_end_error"], crossing))
    return ends


def weights_error(weights: Weights, t: float, solution: Solution) -> float:
    """Largest difference of a weight at time t, in units of the largest weight."""
    exact = {name: value[0] for name, value in solution.weights(np.array([t])).items()}
    largest = max(np.abs(value).max() for value in exact.values())
    return float(max(np.abs(weights[name] - exact[name]).max() for name in exact) / largest)


def rise(curve: Curve) -> float:
    """The largest rise of the loss from one time to the next, in units of the first loss."""
    return float(np.diff(curve.loss).max(initial=0.0) / curve.loss[0])


def energy_error(curve: Curve) -> float:
    """|L(0) - L(T) - integral of speed^2|, in units of the first loss; a spline between events."""
    events = np.flatnonzero(np.diff(curve.t) <= 0)
    total = 0.0
    for t, speed in zip(np.split(curve.t, events + 1), np.split(curve.speed, events + 1), strict=True):
        if len(t) > 1:
            total += CubicSpline(t, speed**2).integrate(t[0], t[-1])
    return float(abs(curve.loss[0] - curve.loss[-1] - total) / curve.loss[0])


def conserved(network: Network, weights: Weights) -> np.ndarray | None:
    """What gradient flow on these weights conserves, for any data and loss; None where nothing is known to be."""
    norm = lambda w: np.sum(w.reshape(len(w), -1) ** 2, axis=1)  # noqa: E731
    if isinstance(network, FullyConnected | Convolution):
        u, v = weights["u"], weights["v"].reshape(len(weights["v"]), -1)
        if network.activation == "linear":
            return (u @ u.T - v @ v.T).ravel()
        factor = {"relu": 1, "quadratic": 2}.get(network.activation)
        return None if factor is None else norm(u) - factor * norm(v)
    if isinstance(network, Deep):
        if network.activation != "linear":
            return None
        pairs = [(weights[a], weights[b]) for a, b in zip(network.names[:-1], network.names[1:], strict=True)]
        return np.concatenate([(a @ a.T - b.T @ b).ravel() for a, b in pairs])
    assert isinstance(network, AttentionOnTokens | AttentionOnCubicFeatures)
    if network.merged:
        return norm(weights["key_query"]) - norm(weights["value"])
    key, query, value = weights["key"], weights["query"], weights["value"]
    inner = key @ key.transpose(0, 2, 1) - query @ query.transpose(0, 2, 1)  # any rotation of the rank
    return np.concatenate([inner.ravel(), norm(query) - norm(value)])


def drift(network: Network, snapshots: Weights) -> float | None:
    """The largest change of a conserved quantity over snapshots [snapshots, ...], in units of the largest |weights|^2."""
    count = len(next(iter(snapshots.values())))
    each = [{name: value[i] for name, value in snapshots.items()} for i in range(count)]
    quantities = [conserved(network, weights) for weights in each]
    if quantities[0] is None:
        return None
    size = max(sum(np.sum(value**2) for value in weights.values()) for weights in each)
    return float(max(np.abs(quantity - quantities[0]).max() for quantity in quantities) / size)
