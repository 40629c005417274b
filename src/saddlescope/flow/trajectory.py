"""What a run leaves behind: its curve, the states worth keeping, what it cost and how it ended."""

import copy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..networks import AbstractNetwork
from ..results import RESULTS
from .compression import Compression, weights_of

#: Kept states take at most this much memory.
BUDGET = 64 * 2**20
FEWEST_STATES = 12


@dataclass(frozen=True)
class Trajectory:
    """One run.

    - `t`, `loss`, `speed`: the curve; t in (learning rate) x (steps), speed = |grad L|. Where a flow crosses a kink, a time stands twice,
        with the speed before and after.
    - `kept` [snapshots, coordinates] and `state_index`: states kept, and their positions on the curve; first and last always. `states` are all their
        weights, `network(i)` the network of snapshot i.
    - `compression`: between those coordinates and all weights.
    - `ended`: converged | time | steps | settled | diverged | nonfinite | max_steps | on_plateau | sliding_failed |
        interrupted.
    - `cost`: gradient_evaluations, hessian_evaluations, steps, rejected, kinks crossed (`events`), seconds.
    - `rtol`: of the error control; None for discrete methods.
    - `checkpoint`: what `resume` needs.
    """

    t: np.ndarray
    loss: np.ndarray
    speed: np.ndarray
    kept: np.ndarray
    state_index: np.ndarray
    compression: Compression
    ended: str
    result: RESULTS
    cost: dict[str, float]
    rtol: float | None = None
    learning_rate: float | None = None
    checkpoint: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def network(self, snapshot: int) -> AbstractNetwork:
        """The network of one kept state, with NumPy weights."""
        return self.compression.network(self.kept[snapshot])

    @cached_property
    def states(self) -> np.ndarray:
        """Weights kept [snapshots, weights], in the order of `weights_of`."""
        return np.stack([weights_of(self.network(i)) for i in range(len(self.kept))])


class Keeper:
    """Chooses online which states of a run to keep: many where loss or speed change, the slowest of each slow part, and few elsewhere.

    The choice depends only on the states in order, not on how they arrive in segments.
    """

    def __init__(self, loss_scale: float, size: int):
        self.loss_scale = loss_scale
        self.most = max(FEWEST_STATES, BUDGET // (8 * size))
        self.loss_step, self.speed_step = 0.01, 0.25
        self.kept: list[tuple[int, float, float, np.ndarray]] = []
        self.slowest: tuple[int, float, float, np.ndarray] | None = None
        self.marked: set[int] = set()
        self.last: tuple[int, float, float, np.ndarray] | None = None

    def copy(self) -> "Keeper":
        """Another that has kept the same, and goes its own way from here."""
        other = copy.copy(self)
        other.kept, other.marked = list(self.kept), set(self.marked)
        return other

    def add(self, index: int, loss: float, speed: float, state: np.ndarray) -> None:
        item = (index, loss, speed, state.copy())
        if self.slowest is None or abs(loss - self.slowest[1]) > 1e-3 * self.loss_scale:
            self._mark()
            self.slowest = item
        elif speed < self.slowest[2]:
            self.slowest = item
        self.last = item
        if not self.kept or self._far(self.kept[-1], item):
            self.kept.append(item)
            if len(self.kept) > self.most:
                self._thin()

    def _far(self, a: tuple, b: tuple) -> bool:
        decades = abs(np.log10(max(b[2], 1e-300)) - np.log10(max(a[2], 1e-300)))
        return abs(a[1] - b[1]) > self.loss_step * self.loss_scale or decades > self.speed_step

    def _mark(self) -> None:
        """The slowest state of the part that has just ended is kept if the flow was slower there than a while before."""
        if self.slowest is None:
            return
        index = self.slowest[0]
        self.marked.add(index)
        if all(item[0] != index for item in self.kept):
            self.kept.append(self.slowest)
            self.kept.sort(key=lambda item: item[0])
        while len(self.marked) > self.most // 2:  # during a drop every part is short: forget the fastest
            self.marked.discard(max((i for i in self.kept if i[0] in self.marked), key=lambda item: item[2])[0])
        self._thin()

    def _thin(self) -> None:
        while len(self.kept) > self.most:
            self.loss_step, self.speed_step = 1.5 * self.loss_step, 1.5 * self.speed_step
            thinned = [self.kept[0]]
            for item in self.kept[1:]:
                if item[0] in self.marked or self._far(thinned[-1], item):
                    thinned.append(item)
            if len(thinned) == len(self.kept) and self.speed_step > 50:
                thinned = thinned[::2]
            self.kept = thinned

    def states(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and states, with the slowest of the last part and the last one."""
        items = {item[0]: item[3] for item in self.kept}
        for item in (self.slowest, self.last):
            if item is not None:
                items[item[0]] = item[3]
        order = sorted(items)
        return np.array(order, dtype=np.int64), np.stack([items[i] for i in order])

    def pack(self) -> dict[str, np.ndarray]:
        """Everything, as arrays for a checkpoint."""
        extra = [item for item in (self.slowest, self.last) if item is not None]
        items = self.kept + extra
        return {
            "keeper_index": np.array([i[0] for i in items], dtype=np.int64),
            "keeper_loss": np.array([i[1] for i in items]),
            "keeper_speed": np.array([i[2] for i in items]),
            "keeper_states": np.stack([i[3] for i in items]),
            "keeper_marked": np.array(sorted(self.marked), dtype=np.int64),
            "keeper_steps": np.array([self.loss_step, self.speed_step]),
        }

    def unpack(self, saved: dict[str, np.ndarray]) -> None:
        items = [
            (int(i), float(l_), float(s), y)
            for i, l_, s, y in zip(
                saved["keeper_index"],
                saved["keeper_loss"],
                saved["keeper_speed"],
                saved["keeper_states"],
                strict=True,
            )
        ]
        self.kept, (self.slowest, self.last) = items[:-2], items[-2:]
        self.marked = {int(i) for i in saved["keeper_marked"]}
        self.loss_step, self.speed_step = (float(x) for x in saved["keeper_steps"])
