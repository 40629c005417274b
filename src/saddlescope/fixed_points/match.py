"""Which of the fixed points of its width a plateau's saddle is."""

from ..objective import Objective
from .find import FixedPoint
from .search import Match, fixed_points_of

#: Descents from random weights that a match is held against, besides deflation.
STARTS = 50


def match_of(point: FixedPoint, objective: Objective, *, starts: int = STARTS) -> tuple[Match | None, str | None]:
    """The narrow fixed point among all of its width that `fixed_points_of` knows; None, with the reason, where nothing was searched for."""
    if point.narrow is None:
        return None, "the origin is the only network of width 0"
    found = fixed_points_of(point.narrow, objective, starts=starts)
    if found.method == "none":
        return None, f"not looked for: {found.reason}"
    return found.match(point.narrow), None
