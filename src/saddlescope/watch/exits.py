"""When the loss had fallen by a tenth, of the losses that were handed over and of the probe's: what a forecast is held against once it is past.

The two need not be of the same samples, and fall at different steps. A forecast is made from what the layers gain, and that is the fall of the loss that is trained (Euler's identity, `law.py`):
the losses handed over are what it is compared with. The probe was only looked at now and then, so that its exit is between two looks, and no step: a loss that falls ever faster is above the line
through two looks, and a step read off that line would be too early.
"""

import numpy as np

from .recording import Recording

#: Standard errors of a running median that the fall has to be; the longest median, as a part of the steps before the exit; losses that are too few.
DEVIATIONS, LONGEST, FEWEST = 5.0, 0.25, 20


def exit_seen(recording: Recording, fall: float) -> str:
    """In words, where the losses handed over first were below 1 - `fall` of what they began with, and the looks between which the probe's was; empty where neither was seen."""
    handed, probe = exit_of_losses(recording, fall), exit_of_probe(recording, fall)
    of_probe = "" if probe is None else f"between the looks at steps {probe[0]} and {probe[1]}"
    if handed is None:
        return f"that fall of the probe's loss was seen {of_probe}" if of_probe else ""
    words = f"that fall of the losses handed over was seen at step {handed}"
    return words + (f" (of the probe's loss {of_probe})" if of_probe else "")


def exit_of_losses(recording: Recording, fall: float) -> int | None:
    """The step at which the loss handed over is first down by `fall`: itself where it is smooth, otherwise the shortest running median whose standard error is a quarter of the fall; None where that is too long, or it never was."""
    known = np.isfinite(recording.loss)
    step, loss = recording.loss_step[known], recording.loss[known]
    if loss.size < FEWEST:
        return None
    start = float(np.median(loss[: max(5, min(loss.size // 50, 200))]))
    below = np.flatnonzero(loss <= (1 - fall) * start)
    if start <= 0 or not below.size:
        return None
    # second differences of white noise have standard deviation sqrt(6), and a trend hardly any
    bends = np.diff(loss[: max(int(below[0]), min(loss.size // 8, 200), FEWEST)], 2)
    noise = 1.4826 * float(np.median(np.abs(bends))) / np.sqrt(6)
    half = int(np.ceil((DEVIATIONS * 1.2533 * noise / (fall * start)) ** 2)) // 2
    wide = 2 * half + 1
    if wide > LONGEST * loss.size:
        return None
    if half:
        start = float(np.median(loss[: 2 * wide]))
    running = np.median(np.lib.stride_tricks.sliding_window_view(loss, wide), axis=1)
    below = np.flatnonzero(running <= (1 - fall) * start)
    if not below.size or not below[0]:
        return None
    if wide > LONGEST * (below[0] + half):
        return None if half else int(step[below[0]])
    # noise takes it below too early for the first time as it takes it above too late for the last: half-way, before it is half as far again
    deeper = np.flatnonzero(running <= (1 - 1.5 * fall) * start)
    above = np.flatnonzero(running[: deeper[0] if deeper.size else None] > (1 - fall) * start)
    last = int(above[-1]) + 1 if above.size else int(below[0])
    return int(step[(int(below[0]) + last + 1) // 2 + half])


def exit_of_probe(recording: Recording, fall: float) -> tuple[int, int] | None:
    """The looks at the probe between which its loss was first below 1 - `fall` of its first value; None where it never was."""
    known = np.isfinite(recording.probe_loss)
    step, loss = recording.step[known], recording.probe_loss[known]
    below = np.flatnonzero(loss <= (1 - fall) * loss[0]) if loss.size and loss[0] > 0 else ()
    if not len(below) or not below[0]:
        return None
    return int(step[below[0] - 1]), int(step[below[0]])
