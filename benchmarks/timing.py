"""Side by side: what is compared is timed in turn, in a random order, so that a busy minute hits everybody."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of each round, in the order of the rounds."""

    seconds: tuple[float, ...]

    def summary(self) -> dict[str, float]:
        return spread(self.seconds)

    def over(self, other: "Timing") -> dict[str, float]:
        """Ratios to `other`, each from the same round."""
        return spread([a / b for a, b in zip(self.seconds, other.seconds, strict=False)])


def spread(values) -> dict[str, float]:
    values = list(values)
    return {"median": statistics.median(values), "smallest": min(values), "largest": max(values), "runs": len(values)}


def interleave(jobs: dict[str, Callable[[], object]], rounds: int, patience: float, seed: int = 0) -> dict[str, Timing]:
    """Times every job once a round.

    **Arguments:** `patience`: a job that has used this many seconds is left out of later rounds; every job runs at least once.
    """
    order, taken = random.Random(seed), {name: [] for name in jobs}
    for _ in range(rounds):
        names = [name for name in jobs if not taken[name] or sum(taken[name]) < patience]
        order.shuffle(names)
        for name in names:
            began = time.perf_counter()
            jobs[name]()
            taken[name].append(time.perf_counter() - began)
    return {name: Timing(tuple(seconds)) for name, seconds in taken.items()}
