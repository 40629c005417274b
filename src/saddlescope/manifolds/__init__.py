"""Sets of weights that the flow does not leave: where a wide network moves like a narrower one."""

from ._base import AbstractManifold
from .active import Active
from .copies import Copies
from .horizon import interpretable, round_off_horizon
from .one_less import dependent_units, equal_units, proportional_units, silent_unit
from .rank import Rank
from .rays import Rays

__all__ = [
    "AbstractManifold",
    "Active",
    "Copies",
    "Rank",
    "Rays",
    "dependent_units",
    "equal_units",
    "interpretable",
    "proportional_units",
    "round_off_horizon",
    "silent_unit",
]
