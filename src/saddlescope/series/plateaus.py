"""Where a run rests: the plateaus of any series of time, loss and speed.

A gradient flow slows down near every saddle it visits, so a plateau is a minimum of its speed. Three things look like
one and are not: the floor that rounding sets to the speed of a converged run (its loss is the final one), kinks of the
landscape (the speed jumps or flickers, the loss does not accelerate) and noise. The definition rules each of them out.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._base import Plateau, PlateauConstants, checked_series
from .kinks import without_kinks
from .minima import Minima, find_minima
from .noise import noise_level
from .transitions import transition_shows

_DEFAULT = PlateauConstants()
# a loss computed as a mean of squares carries a few units in the last place
_ROUNDING = 4 * np.finfo(np.float64).eps


def find_plateaus(
    t: ArrayLike, loss: ArrayLike, speed: ArrayLike, constants: PlateauConstants = _DEFAULT, floor: float = 0.0
) -> tuple[Plateau, ...]:
    r"""The plateaus of a run, in order; the final state is not one.

    A plateau is a local minimum of $\log_{10}$ speed, after kinks are taken out, that has

    - persistence of at least `constants.persistence` decades,
    - a loss that differs by at least `constants.loss_difference` x (first - final) from those of the neighbouring
      plateaus and from the final one: of minima with one loss the lowest is kept, with the persistence of them all,
    - a transition after it, and before the next plateau, that the loss itself shows: it falls slowly, then fast, then
      (before a plateau) slowly again; minima without that between them are one,
    - a speed above `floor`,

    where persistence and difference of loss also exceed `constants.noise_factor` standard deviations of the noise that
    the series shows. The first sample is a minimum if its speed is at most `constants.start_ratio` of the next maximum,
    and then stands for the minima that share its loss, even those below it.

    **Arguments:**

    - `t`: (learning rate) x (steps), not decreasing. Two equal times are an event: values before, values after.
    - `loss`: 1/2 mean squared error, or any function that the run descends.
    - `speed`: $|\nabla L|$, not negative. A sample of speed 0 is below every floor.
    - `floor`: speed of rounding noise; minima at or below it are not plateaus.

    **Shapes:** three times `[time]`.

    **Holds** for series that show each plateau and each transition in a few samples (docs/plateaus.md: measured rates of
    false plateaus). Noise correlated over several samples is underestimated and does make false ones. A run that does not end below its first loss has no plateaus.

    **Raises:** `ValueError` for shapes that disagree, values that are not finite, negative speeds, decreasing times
    or a `floor` that is negative or not finite.
    """
    t, loss, speed = checked_series(t, loss, speed)
    if not (np.isfinite(floor) and floor >= 0):
        raise ValueError(f"find_plateaus: `floor` is a speed and must be finite and at least 0, found {floor}.")
    drop = loss[0] - loss[-1]
    if not (drop > 0 and speed.any()):
        return ()
    least = constants.loss_difference * drop
    # a speed of 0 has no logarithm; half the smallest other speed keeps it the slowest sample
    log_speed = np.log10(np.where(speed > 0, speed, speed[speed > 0].min() / 2))

    # a converged tail is often longer than the run and its noise says nothing about the plateaus
    moving = np.abs(loss - loss[-1]) >= least
    loss_noise = constants.noise_factor * noise_level(t, loss, moving) + _ROUNDING * np.abs(loss).max()
    log_speed = without_kinks(
        t, log_speed, constants.noise_factor * noise_level(t, log_speed), constants.kink_jump, constants.kink_ratio
    )
    rise_noise = constants.noise_factor * noise_level(t, log_speed, moving)

    end = t.size - 1

    def same_loss(i: int, j: int) -> bool:
        return abs(loss[i] - loss[j]) < max(least, loss_noise[i], loss_noise[j])

    def apart(i: int, j: int) -> bool:
        """Whether i, a slow point, is another plateau than j, a later slow point or the end."""
        if same_loss(i, j):
            return False
        peak = log_speed[i : j + 1].max()
        finest = max(least / 4, loss_noise[i], loss_noise[j])
        return transition_shows(t, loss, i, j, (peak - log_speed[i], peak - log_speed[j]), finest)

    minima = find_minima(log_speed)
    least_rise = np.maximum(constants.persistence, rise_noise)[minima.index]
    persistent = _persistent(minima, log_speed[minima.index], least_rise)
    kept = [k for k in persistent if not same_loss(minima.index[k], end)]
    groups = _merge(kept, minima.index, log_speed, apart, end)

    found = []
    for position, group in enumerate(groups):
        until = minima.index[groups[position + 1][0]] if position + 1 < len(groups) else end + 1
        lowest = _lowest(group, minima.index, log_speed)
        index, rise = int(minima.index[lowest]), minima.right[lowest]
        next_maximum = log_speed[index:until].max()
        at_start = log_speed[0] <= next_maximum + np.log10(constants.start_ratio)
        if position == 0 and same_loss(0, index) and at_start:
            index = 0
        else:
            interior = [k for k in group if minima.index[k] > 0]
            if not interior:
                continue
            lowest = _lowest(interior, minima.index, log_speed)
            index, rise = int(minima.index[lowest]), min(minima.left[lowest], minima.right[lowest])
        if rise >= least_rise[lowest] and speed[index] > floor:
            values = {"t": float(t[index]), "loss": float(loss[index]), "speed": float(speed[index])}
            found.append(Plateau(index=index, persistence=float(rise), **values))
    return tuple(found)


def _lowest(group: list[int], index: NDArray, log_speed: NDArray) -> int:
    return group[int(np.argmin(log_speed[index[group]]))]


def _persistent(minima: Minima, heights: NDArray, least: NDArray) -> list[int]:
    """Positions in `minima` of those that rise by `least` on both sides. The first of them may lack the rise on the
    left, where the series begins: the caller decides whether the start counts as a wall."""
    lowest_before = np.minimum.accumulate(np.concatenate([[np.inf], heights[:-1]]))
    return np.flatnonzero((minima.right >= least) & ((minima.left >= least) | (heights < lowest_before))).tolist()


def _merge(
    kept: list[int], index: NDArray, log_speed: NDArray, apart: Callable[[int, int], bool], end: int
) -> list[list[int]]:
    """Neighbouring minima that are not apart in one group, compared at the slowest sample of each; without those that
    are not apart from the end."""

    def slowest(group: list[int]) -> int:
        return int(index[_lowest(group, index, log_speed)])

    groups: list[list[int]] = []
    for k in kept:
        group = [k]
        while groups and not apart(slowest(groups[-1]), slowest(group)):
            group = groups.pop() + group
        groups.append(group)
    while groups and not apart(slowest(groups[-1]), end):
        groups.pop()
    return groups
