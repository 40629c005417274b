"""A stage of a run: one plateau with the saddle it visits."""

from dataclasses import dataclass, field, replace
from typing import Any

from .card import Card

Width = int | list[int]


@dataclass(frozen=True)
class Stage:
    """One plateau. Times in (learning rate) x (steps), heights in loss.

    - `height`: the loss of the fixed point visited; `height_source` "fixed_point", or "curve" where none was accepted and it is the loss at
        the slowest point.
    - `t_start`, `t_end`: from the previous stage's end to the time at which the loss falls through `level`, half way to the next height.
        `t_end` and `level` are None, and `censored` True, where the run stopped on this plateau or nothing is known of the next height.
    - `t_end_error`: twice the difference from a companion run at 10 x rtol; None where there is none.
    - `persistence`: decades by which the speed rises from here; the smaller side. None for a plateau that the run stopped on.
    - `effective_width`, `kind`: of the fixed point, or of the slowest weights where none was accepted. A list for deep networks.
    - `index`, `nullity`: numbers of negative and of zero Hessian eigenvalues (relative to the largest, 1e-6); None where not computed.
    - `snapshot`: position of the slowest kept state.
    - `inner_rank`: for heads of rank above 1, the rank of each that is in use.
    - `kinds`: of each hidden layer, where there are several; `kind` is that of the narrowest.
    - `stopped_on`: the run stopped at this saddle. `censored` says less: also that the next height is not known.
    - `card`: its certificate; None where no fixed point was accepted.
    """

    height: float
    height_source: str
    t_start: float
    t_end: float | None
    level: float | None
    censored: bool
    persistence: float | None
    effective_width: Width
    kind: str
    speed: float
    snapshot: int
    index: int | None = None
    nullity: int | None = None
    escape: dict[str, Any] = field(default_factory=lambda: {"law": "unknown", "rate": None, "degree": None})
    t_end_error: float | None = None
    stopped_on: bool = False
    inner_rank: list[int] | None = None
    kinds: list[str] | None = None
    card: Card | None = None

    def with_error(self, error: float | None) -> "Stage":
        return replace(self, t_end_error=error)


@dataclass(frozen=True)
class End:
    """Where a run ended: the fixed point that it has come to, or its last state itself where it is at none.

    - `height`, `effective_width`, `kind`: of the fixed point, or of the last state.
    - `index`, `nullity`, `card`: None where it is at none.
    - `oscillation`: least and largest of the last losses where they go up and down, as steps too long to rest make them; None where they fall.
    """

    height: float
    effective_width: Width | None
    kind: str
    index: int | None
    nullity: int | None
    inner_rank: list[int] | None = None
    kinds: list[str] | None = None
    card: Card | None = None
    oscillation: tuple[float, float] | None = None
