"""The losses that were handed over, in bounded memory however long a training is."""

import numpy as np

from .recording import MOST_LOSSES

#: So many first losses are kept all; of the later ones every second is dropped when there is no more room, and every second of those to come.
FIRST = MOST_LOSSES // 5
assert (MOST_LOSSES - 1 - FIRST) % 2 == 1


class Losses:
    """Losses by step. Thinned, they are still losses that were seen, evenly spaced after the first ones; the last one seen is always there."""

    def __init__(self):
        self.step = np.zeros(MOST_LOSSES, np.int64)
        self.loss = np.zeros(MOST_LOSSES)
        self.count = 0
        self.stride = 1
        self.since = 0  # losses seen after the last that was kept
        self.last: tuple[int, float] | None = None

    def add(self, step: int, loss: float) -> None:
        if self.last is not None and step <= self.last[0]:
            self.go_back(step)
        self.last = (step, loss)
        self.since += 1
        if self.count >= FIRST and self.since < self.stride:
            return
        if self.count == MOST_LOSSES - 1:  # one place stays free for the last
            kept = FIRST + (self.count - FIRST + 1) // 2  # of an odd number the last is among them
            self.step[FIRST:kept] = self.step[FIRST : self.count : 2]
            self.loss[FIRST:kept] = self.loss[FIRST : self.count : 2]
            self.count, self.stride = kept, 2 * self.stride
            if self.since < self.stride:
                return
        self.step[self.count], self.loss[self.count] = step, loss
        self.count += 1
        self.since = 0

    def go_back(self, step: int) -> None:
        """Forgets what was seen at `step` and after: a training that repeats steps has forgotten it too."""
        self.count = int(np.searchsorted(self.step[: self.count], step, "left"))
        self.last = None

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        step, loss = self.step[: self.count].copy(), self.loss[: self.count].copy()
        if self.last is not None and (not self.count or self.last[0] > step[-1]):
            step, loss = np.append(step, self.last[0]), np.append(loss, self.last[1])
        return step, loss
