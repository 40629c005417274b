"""What a contender is: one way to get the stage ends of a problem, at a chosen accuracy."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from saddlescope.series import crossing_time

#: Relative tolerances, loosest first; a contender goes down until it is exact enough.
TOLERANCES = tuple(10.0**-k for k in range(3, 13))


@dataclass(frozen=True)
class Reading:
    """What one solve found and what it took.

    - `ends`: times at which the loss fell through each level; NaN where it did not.
    - `gradients`, `hessians`: evaluations, those for reading the ends included; None where nobody can count them.
    - `steps`: tried, rejected ones included.
    - `reached`: the part of the time until which it got; below 1 where the deadline came first.
    """

    ends: np.ndarray
    gradients: int | None
    hessians: int | None
    steps: int
    reached: float = 1.0


#: (setting, until, levels, deadline) -> what was found; everything that the user would wait for happens inside. The deadline is in seconds of
#: work; a solve stops at the last end that it finds.
Solve = Callable[[float, float, np.ndarray, float], Reading]


class AbstractContender(abc.ABC):
    """One method of one library.

    **What a newcomer must write:** `name`; `solver`, which does everything that is done once (moving data, compiling on first use) and
    returns the function that is timed; `refuses`, where it cannot do every problem. Settings are relative tolerances, tried from the
    loosest, or learning rates (`descends`).
    """

    name: ClassVar[str]
    settings: ClassVar[tuple[float, ...]] = TOLERANCES
    descends: ClassVar[bool] = False
    ours: ClassVar[bool] = False
    #: whether `solve` keeps its deadline; a compiled loop may not
    interruptible: ClassVar[bool] = True

    def forms(self, problem) -> tuple[str, ...]:
        """The forms of data it is measured on, that on which its setting is found first (the cheaper: errors are the same)."""
        return problem.forms[::-1]

    def refuses(self, problem) -> str | None:
        """Why it does not take part in this problem, or None."""
        return None

    @abc.abstractmethod
    def solver(self, problem, form: str) -> Solve: ...


def read_curve(t, loss, speed, levels: np.ndarray) -> np.ndarray:
    """Stage ends from a saved curve, by the cubic through losses and slopes (dL/dt = -speed^2)."""
    found = [crossing_time(t, loss, speed, level) for level in levels]
    return np.array([np.nan if end is None else end for end in found])


def error_of(ends: np.ndarray, reference: np.ndarray) -> float:
    """The largest relative error of a stage end; infinite where one was not found."""
    if np.shape(ends) != np.shape(reference) or not np.all(np.isfinite(ends)):
        return float("inf")
    return float(np.max(np.abs(ends - reference) / reference))
