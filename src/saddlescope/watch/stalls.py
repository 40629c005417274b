"""Where somebody's loss stood still: plateaus of a noisy series, each with the confidence that it is one.

The loss on the fixed probe is taken where it was seen, otherwise the losses handed over. Either is smoothed by medians of blocks, whose noise is measured from what
alternates between neighbours (`series`): a step must be larger than the noise to be one, so that white noise has no staircase.
"""

from dataclasses import asdict, dataclass, replace
from math import erf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..series import PlateauConstants, find_plateaus
from .recording import Recording

#: Blocks that a series is cut into; snapshots of the probe that are enough to prefer it.
BLOCKS, ENOUGH = 120, 60
#: Finite losses without which there is nothing to look at.
FEWEST = 8
#: A stall ends where the loss has left its height by this part of the next drop, and by so many standard deviations of a block.
LEFT, DEVIATIONS = 0.1, 4.0
#: Confidence above which it is not spoken of.
SURE = 0.95
#: A stall lasts more blocks than this.
SHORTEST = 3
#: A stretch at the end is a stall if it lasts for this part of the run within this part of all that the loss ever fell.
LAST, FLAT = 0.2, 0.02
#: A run whose loss never moved by more than this part of itself is one stall.
STANDS = 0.05
#: Of a log, a plateau is a part in fifty of the whole fall away from its neighbours: slow drift within that is none.
CONSTANTS = PlateauConstants(loss_difference=FLAT)
#: Blocks grow as this part of the steps before them, until all are equally long: early plateaus are short.
EARLY = 0.08


@dataclass(frozen=True)
class Stall:
    """Steps `start` to `end` at `height`; `ongoing`: the run ends on it. `fall`: the drop after it, None where ongoing.

    `confidence`: that the loss stood still and then fell, against noise (of an ongoing one: that it fell by less than `FLAT` of what it fell before).
    """

    start: int
    end: int
    height: float
    ongoing: bool
    fall: float | None
    confidence: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Smooth:
    """`step`, `loss` and the standard deviation of the noise of each block, [blocks]; blocks of fewer losses have more of it. `of_probe`: whether the loss is the probe's, not the one handed over."""

    step: NDArray
    loss: NDArray
    noise: NDArray
    of_probe: bool


def smooth(recording: Recording) -> Smooth:
    """The loss in blocks: of the probe where it was seen often enough.

    **Raises:** `ValueError` where fewer than 8 finite losses were seen.
    """
    seen = np.isfinite(recording.probe_loss)
    if seen.sum() >= ENOUGH:
        return _blocks(recording.step[seen].astype(float), recording.probe_loss[seen], True)
    return _of_losses(recording)


def _of_losses(recording: Recording) -> Smooth:
    seen = np.isfinite(recording.loss)
    return _blocks(recording.loss_step[seen].astype(float), recording.loss[seen], False)


def _blocks(step: NDArray, loss: NDArray, of_probe: bool) -> Smooth:
    if loss.size < FEWEST:
        raise ValueError(f"A stall needs at least {FEWEST} finite losses to be seen: found {loss.size}.")
    block = np.searchsorted(_edges(step), step, "right")
    kept = np.unique(block)
    middle = np.array([np.median(loss[block == b]) for b in kept])
    at = np.array([np.mean(step[block == b]) for b in kept])
    # second differences of white noise have standard deviation sqrt(6); a median of them is robust against the drops
    bends = np.diff(middle, 2)
    noise = float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6)) if bends.size else 0.0
    count = np.array([np.count_nonzero(block == b) for b in kept])
    return Smooth(at, middle, noise * np.sqrt(np.maximum(np.median(count) / count, 1.0)), of_probe)


def _edges(step: NDArray) -> NDArray:
    """Where blocks begin: short ones early, then of equal duration, each of two values at least, however these are spread."""
    after = step - step[0]
    span = after[-1]
    found = [0.0]
    while found[-1] < span:
        here = min(int(np.searchsorted(after, found[-1])), after.size - 3)
        two = float(after[here + 2] - after[here])
        found.append(found[-1] + max(min(span / BLOCKS, EARLY * found[-1]), two, 1e-6 * span))
    return step[0] + np.array(found[1:])


def find_stalls(recording: Recording) -> tuple[Stall, ...]:
    """The stalls of a run in order; an ongoing one last.

    Looks at the probe thin out, and may be too few on a short plateau: what the losses handed over show between its stalls, and without doubt, is one too. Its height is that of the probe at that time.

    **Raises:** `ValueError` where fewer than 8 finite losses were seen.
    """
    series = smooth(recording)
    found = _stalls_of(series)
    if not series.of_probe or np.isfinite(recording.loss).sum() < FEWEST:
        return found
    more = [
        _by_probe(recording, s) for s in _stalls_of(_of_losses(recording)) if not s.ongoing and s.confidence >= SURE
    ]
    apart = [s for s in more if all(s.end < other.start or s.start > other.end for other in found)]
    return tuple(sorted((*found, *apart), key=lambda s: s.start))


def _by_probe(recording: Recording, stall: Stall) -> Stall:
    """A stall of the losses handed over, with the probe's height in its middle and the probe's fall in place of theirs."""
    seen = np.isfinite(recording.probe_loss)
    height = float(np.interp((stall.start + stall.end) / 2, recording.step[seen], recording.probe_loss[seen]))
    fall = None if stall.fall is None else stall.fall * height / stall.height if stall.height else stall.fall
    return replace(stall, height=height, fall=fall)


def _stalls_of(series: Smooth) -> tuple[Stall, ...]:
    t, loss, each = series.step, series.loss, series.noise
    noise = float(np.median(each))
    found: list[Stall] = []
    # significance of the whole fall first: where the ends differ by noise, nothing in between is a staircase
    tenth = max(2, loss.size // 10)
    whole = float(np.median(loss[:tenth]) - loss[-tenth:].min())
    if whole > DEVIATIONS * 2 * noise:
        slope = -_slopes(t, loss)
        floor = max(noise / max(np.ptp(t), 1e-300), 1e-12 * whole / max(np.ptp(t), 1e-300))
        speed = np.sqrt(np.maximum(slope, floor))
        plateaus = find_plateaus(t, loss, speed, CONSTANTS)
        heights = [p.loss for p in plateaus] + [float(np.median(loss[-max(2, tenth // 2) :]))]
        for k, plateau in enumerate(plateaus):
            fall = plateau.loss - heights[k + 1]
            if fall <= DEVIATIONS * 2 * noise:
                continue
            inside = _kept(np.abs(loss - plateau.loss) <= np.maximum(LEFT * fall, DEVIATIONS * each))
            inside[plateau.index] = True
            a, b = _stretch(inside, plateau.index)
            if b - a < SHORTEST:
                continue
            confidence = erf(fall / (2 * noise) / sqrt(2)) if noise > 0 else 1.0
            found.append(Stall(round(t[a]), round(t[b]), plateau.loss, False, float(fall), float(confidence)))
    last = _last(t, loss, each)
    if last is not None:
        found = [s for s in found if s.end < last.start]
        found.append(last)
    return tuple(found)


def _last(t: NDArray, loss: NDArray, noise: NDArray) -> Stall | None:
    """The stretch at the end on which the loss stands, if it is long."""
    final = float(np.median(loss[-max(2, loss.size // 20) :]))
    highest = float(loss.max())
    least = max(FLAT * (highest - final), 1e-12 * abs(highest))
    if np.all(np.abs(loss - final) <= np.maximum(STANDS * abs(final), DEVIATIONS * noise)):
        least = max(least, STANDS * abs(final))  # all of it stands: that is no fall yet
    a, _ = _stretch(_kept(np.abs(loss - final) <= np.maximum(least, DEVIATIONS * noise)), loss.size - 1)
    if t[-1] - t[a] < LAST * (t[-1] - t[0]):
        return None
    drift = abs(float(np.median(loss[a : a + max(2, (loss.size - a) // 4)])) - final)
    scatter = float(np.median(noise))
    least = max(least, DEVIATIONS * scatter)
    confidence = erf(max(least - drift, 0.0) / scatter / sqrt(2)) if scatter > 0 else 1.0
    return Stall(round(t[a]), round(t[-1]), final, True, None, float(confidence))


def _kept(inside: NDArray) -> NDArray:
    """Whether most of a block and its neighbours are inside: one block that noise threw out ends no stall."""
    wide = np.concatenate([inside[:1], inside, inside[-1:]]).astype(int)
    return wide[:-2] + wide[1:-1] + wide[2:] >= 2


def _stretch(inside: NDArray, index: int) -> tuple[int, int]:
    """First and last of the block of true values around an index, which counts itself."""
    a = b = index
    while a > 0 and inside[a - 1]:
        a -= 1
    while b < inside.size - 1 and inside[b + 1]:
        b += 1
    return a, b


def _slopes(t: NDArray, loss: NDArray) -> NDArray:
    """Slope at each block by a line through it and two neighbours on either side."""
    found = np.empty_like(loss)
    for k in range(loss.size):
        near = slice(max(0, k - 2), k + 3)
        x = t[near] - t[near].mean()
        found[k] = float(x @ (loss[near] - loss[near].mean())) / float(x @ x)
    return found


def doubt(stall: Stall) -> str:
    """In words, that a stall may be none; nothing where that is sure."""
    return "" if stall.confidence >= SURE else f" (a stall with confidence {stall.confidence:.2f})"
