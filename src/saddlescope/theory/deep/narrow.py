"""Which small motion stands for a deep linear network: its exact one without turns, or its compression to a few spans."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..curve import stepped
from .krylov import bases, projected
from .product import LinearData, Product
from .turned import Turned

#: At most so many rounds, and no more weights than this in the reduced network (more for the first round, without which there is no measure of the error): its Jacobian is square in them.
ROUNDS, LARGEST, LARGEST_FIRST = 3, 400, 1000


class Compressed:
    """A network compressed in the space of its hidden units, followed as any other."""

    def __init__(self, small: list[np.ndarray], data: LinearData, skip: int | None, rate: float):
        self._product = Product(data, tuple((w.shape[0], w.shape[1]) for w in small), skip)
        self.start = np.concatenate([w.ravel() for w in small])
        self.velocity = stepped(self._product.velocity, rate)
        # of the flow, also for steps: a solver's Newton iteration does with one that is nearly right
        self.jacobian = self._product.jacobian
        self.product, self.loss, self.split = self._product.product, self._product.loss, self._product.split

    def speed(self, state: np.ndarray) -> float:
        return float(np.linalg.norm(self.velocity(state)))


class Narrow(NamedTuple):
    """A motion that stands for the network's. `rounds` of compression, None where nothing was left out; `closed`: whether it is exact."""

    motion: Compressed | Turned
    rounds: int | None
    closed: bool

    @property
    def size(self) -> int:
        return self.motion.start.size


def narrowed(weights: list[np.ndarray], data: LinearData, skip: int | None, rate: float) -> list[Narrow]:
    """The finest motion that is smaller than the network, last, and before it, where that is not exact, one round less; none where none is smaller.

    Compressed to spans, by as many rounds as stay small; without its turns, which is exact, where that is no larger, or where compression has no second number of rounds to measure its error by.
    """
    found = _compressed(weights, data, skip, rate)
    if found and found[-1].closed:
        return found
    if skip is None and len(weights) > 2 and _pays(Turned.size_of(weights), weights, found):
        turned = Turned(weights, data, _stepping(rate))
        if turned.determined:
            return [Narrow(turned, None, True)]
    return found


def _pays(size: int, weights: list[np.ndarray], found: list[Narrow]) -> bool:
    if size >= sum(w.size for w in weights) or size > LARGEST:
        return False
    return len(found) < 2 or size <= found[-1].size


def _stepping(rate: float) -> Callable[[Callable], Callable]:
    return lambda velocity: stepped(velocity, rate)


def _compressed(weights: list[np.ndarray], data: LinearData, skip: int | None, rate: float) -> list[Narrow]:
    """The finest two rounds that are smaller than the network; fewer where there are not so many, and one where the spans close."""
    found: list[Narrow] = []
    whole = sum(w.size for w in weights)
    for rounds in range(ROUNDS + 1):
        small = projected(weights, bases(weights, rounds, skip))
        size = sum(w.size for w in small)
        if found and size == found[-1].size:
            return [found[-1]._replace(closed=True)]
        if size >= whole or size > (np.inf, LARGEST_FIRST, LARGEST)[min(rounds, 2)]:
            break
        found.append(Narrow(Compressed(small, data, skip, rate), rounds, False))
    return found[-2:]
