"""How small the rest still is when the first has grown, as a power of the initial scale."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from ..flow import gradient_flow
from ..networks import AbstractNetwork
from ..objective import Objective

RTOL = 1e-8
MAX_STEPS = 200_000

#: From a network to the size of what grows first, and of all the rest.
Sizes = Callable[[AbstractNetwork], tuple[float, float]]


class Exponent(NamedTuple):
    """The slope of ln(rest) over ln(scale): one `values` a seed, their `mean` and its 95% `interval` (Student's t over seeds)."""

    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float]


def rest_when_grown(
    network: AbstractNetwork, objective: Objective, sizes: Sizes, threshold: float, loss_stop: float
) -> float:
    """The size of the rest at the first time at which the other reaches `threshold`.

    The flow is followed until its loss is `loss_stop`; between two kept states the logarithms of both sizes are taken as straight, as they are while both grow.

    **Raises:** `ValueError` if the threshold is never reached, or stands at the start.
    """
    run = gradient_flow(
        network,
        objective,
        until="settled",
        rtol=RTOL,
        loss_stop=loss_stop,
        max_steps=MAX_STEPS,
    )
    found = np.array([sizes(run.network(i)) for i in range(len(run.states))])
    above = np.flatnonzero(found[:, 0] >= threshold)
    if not above.size or above[0] == 0:
        raise ValueError(
            f"A size of {threshold} needs to be reached after the start: found from {found[0, 0]:.3g} to {found[:, 0].max():.3g}. "
            "Follow the flow to a lower loss, or start from smaller weights."
        )
    before, after = np.log(found[above[0] - 1]), np.log(found[above[0]])
    part = (np.log(threshold) - before[0]) / (after[0] - before[0])
    return float(np.exp(before[1] + part * (after[1] - before[1])))


def exponent(scales: Sequence[float], rests: np.ndarray) -> Exponent:
    """From `rests` [seeds, scales] to the slope. Needs two seeds and two scales."""
    return slope(np.log(np.asarray(scales)), np.log(rests))


def slope(x: np.ndarray, y: np.ndarray) -> Exponent:
    """The slope of `y` [seeds, points] over `x` [points], a straight line fitted to each seed. Needs two seeds and two points."""
    return mean_of(np.polyfit(np.asarray(x, float), np.asarray(y, float).T, 1)[0])


def mean_of(values: Sequence[float] | np.ndarray) -> Exponent:
    """Values, one a seed, with their mean and its 95% interval (Student's t)."""
    each = np.asarray(values, float)
    half = float(student.ppf(0.975, len(each) - 1) * np.std(each, ddof=1) / np.sqrt(len(each)))
    mean = float(np.mean(each))
    return Exponent(tuple(float(v) for v in each), mean, (mean - half, mean + half))
