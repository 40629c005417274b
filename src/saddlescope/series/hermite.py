"""The loss between samples, from what the flow says about its slope: dL/dt = -speed^2.

A cubic through two losses and two slopes is far closer than a line, so a record can be sparse and still say to six
digits when the loss fell through a level.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._base import checked_series

#: Halvings of an interval: to the spacing of the numbers, also where the root is close to its start.
HALVINGS = 80
#: An interval is cut into at most so many.
MOST_PIECES = 256


def interpolate_loss(t: ArrayLike, loss: ArrayLike, speed: ArrayLike, at: ArrayLike) -> NDArray:
    """Loss at the times `at`, by cubic Hermite interpolation with dL/dt = -speed^2.

    **Arguments:** `t`, `loss`, `speed` as in `find_plateaus`; `at`: times from `t[0]` to `t[-1]`. At a duplicated time
    the value after the event is returned.

    **Shapes:** three times `[time]`; returns the shape of `at`.

    **Holds** to h^4/384 |d^4L/dt^4| over an interval h. Where a slope is more than 3 times that of the interval it is
    reduced to that (Fritsch & Carlson 1980), so that the loss never rises between samples where it falls from one to
    the next; where it rises from one to the next, which no flow does, the line is taken.

    **Raises:** `ValueError` for a bad series or a time outside it.
    """
    t, loss, speed = checked_series(t, loss, speed)
    at = np.asarray(at, dtype=np.float64)
    if outside := np.count_nonzero(~((at >= t[0]) & (at <= t[-1]))):
        raise ValueError(
            f"interpolate_loss: {outside} of {at.size} times are not within the series, {t[0]} to {t[-1]}."
        )
    if t.size == 1:
        return np.full(at.shape, loss[0])
    i = np.clip(np.searchsorted(t, at, side="right") - 1, 0, t.size - 2)
    h = t[i + 1] - t[i]
    x = np.divide(at - t[i], h, out=np.ones_like(h), where=h > 0)
    fall, before, after = _falls(loss[i], loss[i + 1], speed[i], speed[i + 1], h)
    return loss[i] - x * _relative_fall(x, fall, before, after)


def crossing_time(t: ArrayLike, loss: ArrayLike, speed: ArrayLike, level: float) -> float | None:
    """The first time at which the loss falls through `level`; None if it never does.

    It falls through between two samples if the first is at or above the level and the second below, and there at the
    first root of the cubic of `interpolate_loss`. At an event whose loss jumps over the level it is the event's time.

    **Shapes:** three times `[time]`.

    **Holds** to rounding for that cubic; for the run, to the error of the cubic divided by speed^2.

    **Raises:** `ValueError` for a bad series or a `level` that is not finite.
    """
    t, loss, speed = checked_series(t, loss, speed)
    if not np.isfinite(level):
        raise ValueError(f"crossing_time: `level` must be finite, found {level}.")
    through = np.flatnonzero((loss[:-1] >= level) & (loss[1:] < level))
    if through.size == 0:
        return None
    i = through[0]
    h = t[i + 1] - t[i]
    # as Python's own numbers, which are five times as fast one by one
    fall, before, after = map(float, _falls(loss[i], loss[i + 1], speed[i], speed[i + 1], h))
    wanted = float(loss[i]) - float(level)

    def missing(x: float) -> float:
        return wanted - x * _relative_fall(x, fall, before, after)

    if missing(1.0) >= 0:  # by rounding, where the level is the loss of the second sample
        return float(t[i + 1])
    # the cubic falls all the way (its slopes were made to), so there is one root, and halving finds it; a library's root
    # finder would cost every run its import
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if missing(middle) >= 0 else (low, middle)
    return float(t[i] + h * low)


def insert_samples(
    t: NDArray, loss: NDArray, speed: NDArray, tolerance: float
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Further samples on the cubics of `interpolate_loss`, so that lines between samples are within `tolerance` of them.

    **Shapes:** three times `[time]`; returns t, loss, speed `[more]`, and the position of every old sample among the new ones `[time]`.

    **Holds** exactly for those cubics (the bend of a cubic is largest at an end), and leaves them as they are: a part of a cubic is the cubic of its own
    ends. The speed of a new sample is that of the cubic, not below half of that at the slower end.
    """
    h = np.diff(t)
    fall, before, after = _falls(loss[:-1], loss[1:], speed[:-1], speed[1:], h)
    bend = np.maximum(np.abs(6 * fall - 4 * before - 2 * after), np.abs(6 * fall - 2 * before - 4 * after))
    with np.errstate(invalid="ignore"):
        pieces = np.sqrt(bend / (8 * tolerance))
    pieces = np.where((h > 0) & np.isfinite(pieces), np.ceil(np.clip(pieces, 1, MOST_PIECES)), 1).astype(np.int64)
    place = np.concatenate([[0], np.cumsum(pieces)])
    interval = np.repeat(np.arange(h.size), pieces)
    part = np.arange(interval.size) - place[interval]
    new = part > 0
    i, x = interval[new], (part[new] / pieces[interval[new]])
    falls = fall[i], before[i], after[i]
    slope = falls[1] * (1 - x) * (1 - 3 * x) + falls[2] * x * (3 * x - 2) + 6 * x * (1 - x) * falls[0]
    slowest = 0.5 * np.minimum(speed[i], speed[i + 1])
    more = [np.empty(place[-1] + 1) for _ in range(3)]
    for whole, old in zip(more, (t, loss, speed), strict=True):
        whole[place] = old
    at = np.flatnonzero(new)
    more[0][at] = t[i] + x * h[i]
    more[1][at] = loss[i] - x * _relative_fall(x, *falls)
    more[2][at] = np.maximum(np.sqrt(np.maximum(slope, 0.0) / h[i]), slowest)
    return more[0], more[1], more[2], place


def _falls(first, last, speed_first, speed_last, h):
    """Falls of the loss over an interval: the true one, and those its first and last slope would give if kept."""
    fall = first - last
    limit = 3 * np.maximum(fall, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):  # speeds of a diverging run; fmin prefers the limit to a NaN
        before, after = (np.fmin(speed**2 * h, limit) for speed in (speed_first, speed_last))
    return fall, np.where(fall > 0, before, fall), np.where(fall > 0, after, fall)


def _relative_fall(x, fall, before, after):
    """(L(0) - L(x)) / x of the Hermite cubic on [0, 1], with nothing cancelling near x = 0."""
    return before + x * (3 * fall - 2 * before - after + x * (before + after - 2 * fall))
