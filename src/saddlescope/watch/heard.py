"""The losses as a loop hands them over: numbers, tensors, promises of an accelerator, and what is none of these."""

from typing import Any

import numpy as np

from .losses import Losses

#: So many losses at most wait to be read from an accelerator.
MOST_PENDING = 64


class Heard:
    """Losses that were handed over. What is no number is left out and counted: a training does not end for it, and watching neither."""

    def __init__(self):
        self.losses = Losses()
        self.pending: list[tuple[int, Any]] = []
        self.missed = 0
        self.first_missed = (0, "")

    def hear(self, step: int, loss: Any) -> None:
        """Takes one loss, or a promise of one."""
        try:
            value = _detached(loss)
        except Exception as error:
            self._miss(step, error)
            return
        if isinstance(value, float) and not self.pending:
            self.losses.add(step, value)
            return
        # on an accelerator a loss is a promise: asking for it at once would have the training wait for it
        self.pending.append((step, value))
        if len(self.pending) > MOST_PENDING:
            self.take(MOST_PENDING // 2)

    def take(self, left: int) -> None:
        """Reads the losses that were promised, but for the `left` newest."""
        count = max(len(self.pending) - left, 0)
        waiting, self.pending = self.pending[:count], self.pending[count:]
        for step, loss in waiting:
            try:
                self.losses.add(step, _number(loss))
            except Exception as error:
                self._miss(step, error)

    def sentence(self) -> str:
        """One sentence tells of all that were missed."""
        where, why = self.first_missed
        return f"{self.missed} losses are no numbers and were left out, the first at step {where}: {why}"

    def _miss(self, step: int, error: Exception) -> None:
        self.missed += 1
        if self.missed == 1:
            self.first_missed = (step, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}")


def _detached(loss: Any) -> Any:
    """A loss without its graph: a number where that costs nothing, otherwise a copy on its device."""
    if not hasattr(loss, "detach"):
        return loss if hasattr(loss, "block_until_ready") else float(loss)
    return loss.detach().item() if loss.device.type == "cpu" and loss.numel() == 1 else loss.detach().clone()


def _number(loss: Any) -> float:
    """A loss of one number, whatever its shape."""
    shape = tuple(getattr(loss, "shape", ()))
    if np.prod(shape, dtype=int) != 1:
        raise ValueError(f"a loss needs to be one number: found shape {list(shape)}")
    return float(loss.reshape(())) if shape else float(loss)
