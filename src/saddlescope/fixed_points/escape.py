r"""How the flow leaves a fixed point: exponentially, or only algebraically where the Hessian is blind."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Escape:
    r"""The law by which a small departure grows.

    - `law`: "exponential", "algebraic", "none" where nothing grows, "unknown".
    - `rate`: in 1/t, of exponential growth.
    - `degree`: leading order of the loss in what grows: 2 for an exponential; $p + 1$ for silent units of order $p$, whose size $w$ grows as $w' \propto w^p$.
    - `strength`: of an algebraic law, $\max_{|u| = 1} |E[(y - f)\, \phi(x; u)]|$: with $w' = $ strength $\times\, w^p$ up to the balance of u and v.
    - `direction` [weights]: of the fastest growth, where the Hessian has one.
    """

    law: str
    rate: float | None = None
    degree: int | None = None
    strength: float | None = None
    direction: np.ndarray | None = None

    def as_json(self) -> dict[str, Any]:
        return {"law": self.law, "rate": self.rate, "degree": self.degree}
