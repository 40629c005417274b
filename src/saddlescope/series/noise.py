"""How noisy a series is, told from samples that may be few, unevenly spaced and strongly curved.

The residual of a sample from the line through its two neighbours contains noise and curvature. Where the curve is
convex it has one sign and where it is concave the other, whatever the spacing; noise makes it alternate. So only
residuals that change sign from one sample to the next are counted: a smooth curve has as many of these as it has
inflections, and a median over it is exactly zero, however coarse the samples.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

# median of min(|r_i|, |r_(i+1)|) where the signs differ, 0 elsewhere, for white Gaussian noise of standard deviation 1
# sampled evenly (2e7 samples: 0.3129; 73 % of the values are not zero)
_MEDIAN_OF_WHITE_NOISE = 0.3129
# samples in a local estimate: its standard deviation is then 28 % (measured; 39 % with 51), and a transition is not longer
_WINDOW = 101


def noise_level(t: NDArray, values: NDArray, counted: NDArray | None = None) -> NDArray:
    """Standard deviation of the noise around each sample.

    **Arguments:** `t`, `values`; with `counted` (booleans) the level is nowhere less than the one over all the samples
    that it marks, so that a quiet stretch of a noisy run is not trusted more than the run.

    **Shapes:** all `[time]`; returns `[time]`, in the unit of `values`.

    **Holds** with zero error, up to rounding, for a curve with fewer inflections than half the samples looked at;
    within 20 % for white Gaussian noise on a curve that is straight over three samples, evenly spaced. Noise that is
    correlated over several samples is underestimated.
    """
    alternation = _alternation(t, values) / _MEDIAN_OF_WHITE_NOISE
    if alternation.size > _WINDOW:
        nearby = median_filter(alternation, size=_WINDOW)
        half = _WINDOW // 2  # at the ends the first and the last whole window: anything else would count samples twice
        nearby[:half], nearby[-half:] = nearby[half], nearby[-half - 1]
    else:
        nearby = np.full(alternation.shape, np.median(alternation))
    if counted is None or not counted.any():
        return nearby
    return np.maximum(nearby, np.median(alternation[counted]))


def _alternation(t: NDArray, values: NDArray) -> NDArray:
    """Size of the alternating part of the residuals, per sample `[time]`; four samples are needed to alternate."""
    if values.size < 4:
        return np.zeros_like(values)
    before, after = np.diff(t)[:-1], np.diff(t)[1:]
    span = before + after
    weight = np.divide(before, span, out=np.full_like(span, 0.5), where=span > 0)  # of the later neighbour
    residual = values[1:-1] - ((1 - weight) * values[:-2] + weight * values[2:])
    residual = residual / np.sqrt(1 + weight**2 + (1 - weight) ** 2)  # variance 1 for white noise of variance 1
    pairs = np.minimum(np.abs(residual[1:]), np.abs(residual[:-1]))
    pairs[residual[1:] * residual[:-1] >= 0] = 0.0
    return np.concatenate([pairs[:1], pairs, pairs[-1:], pairs[-1:]])
