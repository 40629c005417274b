"""What is said of a plateau's end: the forecast as it is handed on, and its order in words."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hypotheses import COVERAGE

#: The loss has left the plateau when it has fallen by this part of its height.
FALL = 0.1


@dataclass(frozen=True)
class Forecast:
    """What can be said at a step about the plateau's end.

    - `step`: the last snapshot that was used; `status`: law | heuristic | over | abstains; `reason`: in words, why.
    - `exit`: the step; `interval`: 80%; both None where it abstains or is over. `confidence` of the interval.
    - `order`: how many layers are small against what will be learned, where the laws that fit agree by `COVERAGE` of their weight, otherwise None; `orders`: those that hold that much weight together. With the scale of
      these layers alone the wait of order 2 grows like a logarithm, that of order r > 2 like the power 2 - r; with that of all layers as `wait` says.
    - `layers`: names of the weights that share the gain; `fall`: the part of the height that counts as left.
    - `evidence`: numbers.
    """

    step: int
    status: str
    reason: str
    exit: float | None = None
    interval: tuple[float, float] | None = None
    confidence: float = COVERAGE
    order: int | None = None
    layers: tuple[str, ...] = ()
    fall: float = FALL
    evidence: dict[str, float] = field(default_factory=dict)
    orders: tuple[int, ...] = ()

    @property
    def of_order(self) -> str:
        """The order in words."""
        return (
            f"order {' or '.join(map(str, self.orders))}, undecided" if len(self.orders) > 1 else f"order {self.order}"
        )

    @property
    def wait(self) -> str:
        """How the wait depends on the scale, in words; empty where no order was read.

        Where the layers are known (status "law") and all of them made smaller, the large ones become small in the end, and before that slow the growth like their product: the limit is that of all layers.
        """
        if not self.orders:
            return ""
        count = len(self.layers)
        if not count:
            return (
                f"{self.of_order}: such plateaus last like {_power(self.orders[-1])}" if self.order else self.of_order
            )
        limit = f"such plateaus last like {_power(count)}"
        if self.order == count:
            return f"{self.of_order}: {limit}"
        return f"{self.of_order} at this scale, of {count} layers that share the gain; with smaller and smaller weights in all of them {limit}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "orders": list(self.orders),
            "interval": None if self.interval is None else list(self.interval),
            "layers": list(self.layers),
        }

    def __str__(self) -> str:
        if self.exit is None or self.interval is None:
            return f"no forecast at step {self.step}: {self.reason}"
        low, high = self.interval
        return (
            f"the plateau ends at step {self.exit:.0f} ({self.confidence:.0%}: {low:.0f} to {high:.0f}), {self.of_order}; "
            f"seen until step {self.step}; {self.reason}"
        )


def decided(orders: NDArray, weights: NDArray) -> tuple[int | None, tuple[int, ...]]:
    """The order that laws with `COVERAGE` of the weight agree on, or None; and the fewest orders with that weight together."""
    found = np.unique(orders)
    share = np.array([float(weights[orders == each].sum()) for each in found]) / float(weights.sum())
    heaviest = np.argsort(-share, kind="stable")
    count = int(np.searchsorted(np.cumsum(share[heaviest]), COVERAGE)) + 1
    among = tuple(sorted(int(found[i]) for i in heaviest[:count]))
    return (among[0] if len(among) == 1 else None), among


def _power(order: int) -> str:
    """How long a plateau of this order lasts, in the scale of its layers."""
    return "ln(1/scale)" if order <= 2 else f"1/scale{f'^{order - 2}' if order > 3 else ''}"
