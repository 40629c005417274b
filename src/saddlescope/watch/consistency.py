r"""Whether what was seen hangs together: the scale of the loss handed over against the probe's, gradients that were there when looked at, and Euler's identity.

**Euler's identity.** Where the output is a product of layers, $\tfrac12 \tfrac{d}{d\tau}\lVert W_l\rVert^2 = -\langle W_l, \nabla_l L\rangle$ is the loss's fall from what it is at f = 0, while f is small (`law.py`). Gains and
losses are recorded apart, so that it can be asked. What breaks it is not the law's: biases that carry the fall, a saturated output, another rate or rule for the weights
that gain, weight decay, a loss of another scale.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .recording import Recording

#: A batch is no probe: losses whose ratio is within this factor of 1, or so many standard errors of it, are of one scale.
SAME_SCALE, DEVIATIONS = 1.25, 4.0
#: The scale is read where the probe's loss has fallen by no more than this part: later it says how well the training generalises.
BEFORE = 0.1
#: The last part of the past, in time, over which the gain's rate is taken (the second where the first holds too few), and snapshots in it.
LATE, LEAST_SNAPSHOTS = (0.9, 0.7), 4
#: Fall and gains disagree where they differ by this part of the height, and by this factor. In networks for which the law holds they differed by less than 1.7 % of the height up to the exit, and by less than that factor where by more than 1 %.
DIFFER, FACTOR = 0.01, 2.0


def loss_scale(recording: Recording) -> float:
    """The loss handed over as a multiple of the probe's, by which the gradient is larger than that of the probe's loss; 1 where it is about that or was not seen."""
    known = np.isfinite(recording.probe_loss)
    if not known.any():
        return 1.0
    step, probe = recording.step[known].astype(float), recording.probe_loss[known]
    fallen = np.flatnonzero(probe < (1 - BEFORE) * probe[0])
    end = step[max(int(fallen[0]), 1)] if fallen.size else step[-1]
    chosen = np.isfinite(recording.loss) & (recording.loss_step <= end)
    loss, at = recording.loss[chosen], np.interp(recording.loss_step[chosen], step, probe)
    if loss.size < 5 or np.any(loss <= 0) or np.any(at <= 0):
        return 1.0
    logs = np.log(loss / at)
    error = _error(logs)
    found = float(np.median(logs))
    return float(np.exp(found)) if abs(found) > max(np.log(SAME_SCALE), DEVIATIONS * error) else 1.0


class Falls(NamedTuple):
    """By how much the loss has fallen since the start, in units of the probe's loss (of the losses handed over, where that was not seen).

    `seen`, with standard error `error` (0 of the probe, which is one batch); `implied`: by the rate of the gain; `drift`: how fast the rest of the fall grows, per unit of time, NaN where too little was seen.
    """

    seen: float
    implied: float
    error: float
    drift: float

    def too_large(self, height: float) -> bool:
        """Whether the gains imply a fall that was not seen, by more than noise and than what the law leaves out."""
        return (
            self.implied - self.seen > max(DIFFER * height, DEVIATIONS * self.error)
            and self.implied > FACTOR * self.seen
        )

    def rest(self, height: float) -> float:
        """The fall that the gains do not imply; 0 where it is no more than noise and what the law leaves out."""
        found = self.seen - self.implied
        sure = found > max(DIFFER * height, DEVIATIONS * self.error) and self.seen > FACTOR * self.implied
        return found if sure else 0.0


def falls(recording: Recording, tau: NDArray, gain: NDArray, first: int, scale: float) -> Falls | None:
    """The fall of the loss as it was seen, and as the gains say.

    **Arguments:** `tau`, `gain` [snapshots]; the gain is counted from snapshot `first`; `scale`: see `loss_scale`.

    **Returns:** None where the late past holds too few snapshots.
    """
    past = (tau - tau[first]) / max(tau[-1] - tau[first], 1e-300)

    def between(low: float, high: float) -> tuple[float, float, float] | None:
        """Seen, implied, and the error of the first over a part of the past."""
        inside = (past >= low) & (past <= high)
        inside[:first] = False
        if inside.sum() < LEAST_SNAPSHOTS or np.ptp(tau[inside]) <= 0:
            return None
        implied = 0.5 * float(np.polyfit(tau[inside], gain[inside], 1)[0]) / scale
        known = np.isfinite(recording.probe_loss)
        if known.sum() >= 3:
            here = recording.probe_loss[known & inside]
            return (float(recording.probe_loss[known][0] - here.mean()), implied, 0.0) if here.size else None
        known = np.isfinite(recording.loss)
        loss, step = recording.loss[known], recording.loss_step[known]
        ends = recording.step[inside]
        now = loss[(step >= ends[0]) & (step <= ends[-1])]
        start = loss[: max(5, min(now.size, loss.size // 5))]
        if now.size < 5:
            return None
        return float(np.median(start) - np.median(now)), implied, float(np.hypot(_error(start), _error(now)))

    late = between(LATE[0], 1.0) or between(LATE[1], 1.0)
    before, after = between(0.5, 0.75), between(0.75, 1.0)
    if late is None:
        return None
    drift = np.nan
    if before is not None and after is not None:
        apart = (after[0] - after[1]) - (before[0] - before[1])
        error = np.hypot(before[2], after[2])
        drift = apart / (0.25 * (tau[-1] - tau[first])) if abs(apart) > DEVIATIONS * error else 0.0
    return Falls(*late, float(drift))


def _error(values: NDArray) -> float:
    """Standard error of a median, of normal noise."""
    return 1.2533 * 1.4826 * float(np.median(np.abs(values - np.median(values)))) / np.sqrt(values.size)


def seen_gradients(recording: Recording) -> NDArray:
    """Norms of gradients [k, weights], NaN where all of a snapshot are exactly 0 while the weights move: they had been set to 0 when they were looked at."""
    gradient, norms = recording.gradient_norm, recording.weight_norm
    known = np.isfinite(gradient)
    silent = np.any(known, axis=1) & np.all(~known | (gradient == 0), axis=1)
    if len(norms) < 2 or not silent.any():
        return gradient
    change = np.diff(norms, axis=0)
    moved = np.any(np.isfinite(change) & (change != 0), axis=1)
    # a step before or after it: momentum may move weights a little longer than there is a gradient
    moving = np.concatenate([moved, moved[-1:]]) & np.concatenate([moved[:1], moved])
    return np.where((silent & moving)[:, None], np.nan, gradient)
