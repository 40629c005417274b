"""When to look: log-spaced at first, then every k steps, and never for more than a given part of the time that the training takes."""

import math
import time
from collections.abc import Callable

#: Looks per factor e of steps, before the spacing reaches k.
PER_FACTOR = 16
#: Looks per factor e of steps that go before what is being saved for hidden layers, at the probe alone: too few for a forecast is as good as none.
FLOOR_PER_FACTOR = 4
#: Calls cannot be done without. In a loop of very short steps they alone would use the budget up, and nothing be seen: looks have at least this part of it.
LOOKS_SHARE = 1 / 3
#: A look may take longer than the last one did, by so much, when it is asked whether it still fits into the budget.
MARGIN = 1.25
#: Looks at hidden layers may use this part of the budget; the rest is for the probe, which forecasts live on.
LAYERS_SHARE = 1 / 3


class Schedule:
    """The steps at which to look: spacing grows as the steps since the first one, up to `every`."""

    def __init__(self, every: int):
        self.every = every
        self.first: int | None = None
        self.next: int | None = None
        self.floor: int = 0

    def due(self, step: int) -> bool:
        if self.first is None or self.next is None:
            self.first = self.next = self.floor = step
        return step >= self.next

    def looked(self, step: int) -> None:
        since = max(step - (self.first or 0), 0)
        self.next = step + int(min(max(math.ceil(since / PER_FACTOR), 1), self.every))
        self.passed(step)

    def passed(self, step: int) -> None:
        """A look that is taken in any case is next due a quarter of the steps so far later."""
        self.floor = step + max(math.ceil((step - (self.first or 0)) / FLOOR_PER_FACTOR), 1)

    def go_back(self, step: int) -> None:
        self.first = min(self.first if self.first is not None else step, step)
        self.next = self.floor = step


class Budget:
    """How much of the time since `start` was spent, and whether a look of some kind still fits.

    What a kind of look costs is known from the last ones; the first is taken before the training begins, so that the cost is known before it counts.
    """

    def __init__(self, part: float, clock: Callable[[], float] = time.perf_counter):
        self.part, self.clock = part, clock
        self.started: float | None = None
        self.spent = 0.0
        self.spent_on_calls = 0.0
        self.looking = 0.0  # in the call that is going on
        self.costs: dict[str, float] = {}
        self.spent_on: dict[str, float] = {}

    def start(self) -> None:
        if self.started is None:
            self.started = self.clock()

    def elapsed(self) -> float:
        return 0.0 if self.started is None else self.clock() - self.started

    def overhead(self) -> float | None:
        """The part of the time that was spent, of the training's own; None before there was any."""
        own = self.elapsed() - self.spent
        return self.spent / own if own > 0 else None

    def overhead_of_calls(self) -> float | None:
        """The part of the training's own time that the calls took, without looks."""
        own = self.elapsed() - self.spent
        return self.spent_on_calls / own if own > 0 else None

    def called(self, seconds: float) -> None:
        """A call took so long, with the look in it if there was one."""
        self.spent += seconds
        self.spent_on_calls += seconds - self.looking
        self.looking = 0.0

    def allows(self, kind: str) -> bool:
        """Whether a look fits, at what it is known to cost."""
        return self.wait(kind) <= 0.0

    def allows_floor(self) -> bool:
        """Whether a look at the probe fits, if nothing is saved for hidden layers."""
        return self.part == math.inf or self._missing(MARGIN * self.costs.get("probe", 0.0)) <= 0.0

    def _missing(self, cost: float) -> float:
        """Seconds by which the budget is too small for one more look of this cost."""
        own = self.elapsed() - self.spent
        allowed = max(self.part * own - self.spent_on_calls, LOOKS_SHARE * self.part * own)
        return self.spent - self.spent_on_calls + cost - allowed

    def wait(self, kind: str) -> float:
        """For how many seconds more the training has to run, by itself, before a look fits; at least so many."""
        if self.part == math.inf:
            return 0.0
        # of the training's own time, so that what was spent does not pay for more
        own = self.elapsed() - self.spent
        cost = MARGIN * self.costs.get(kind, 0.0)
        missing = self._missing(cost)
        share = LAYERS_SHARE * self.part * own - self.spent_on.get("layers", 0.0)
        if kind == "layers":
            return max(missing / self.part, (cost - share) / (LAYERS_SHARE * self.part))
        # what is being saved for a look at hidden layers is not for others
        saved = min(max(share, 0.0), MARGIN * self.costs.get("layers", 0.0))
        return (missing + saved) / self.part

    def paid(self, kind: str, seconds: float) -> None:
        # a long look may have been a hiccup, and is forgotten slowly; a short one does not promise that the next is
        self.looking += seconds
        self.spent_on[kind] = self.spent_on.get(kind, 0.0) + seconds
        before = self.costs.get(kind, 0.0)
        self.costs[kind] = max(seconds, 0.8 * before + 0.2 * seconds)
