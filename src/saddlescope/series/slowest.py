"""The slowest point of a plateau, between the samples of its curve."""

import numpy as np
from numpy.typing import NDArray

from .hermite import interpolate_loss


def slowest_point(t: NDArray, loss: NDArray, speed: NDArray, index: int) -> tuple[float, float]:
    """Time and loss where the speed is lowest, near the lowest sample `index`.

    The minimum of the parabola through the logarithms of three speeds, and the loss there by `interpolate_loss`. At the ends of the series, and
    where a time stands twice, the sample itself.
    """
    if not 0 < index < len(t) - 1:
        return float(t[index]), float(loss[index])
    left, right = t[index] - t[index - 1], t[index + 1] - t[index]
    if left <= 0 or right <= 0 or np.any(speed[index - 1 : index + 2] <= 0):
        return float(t[index]), float(loss[index])
    low, middle, high = np.log(speed[index - 1 : index + 2])
    before, after = (middle - low) / left, (high - middle) / right
    bend = (after - before) / (left + right)
    if not bend > 0:
        return float(t[index]), float(loss[index])
    # the slope at the middle sample is the mean of both sides, weighted by the other's length
    slope = (before * right + after * left) / (left + right)
    at = float(np.clip(t[index] - slope / (2 * bend), t[index - 1], t[index + 1]))
    return at, float(interpolate_loss(t, loss, speed, np.array([at]))[0])
