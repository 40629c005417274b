"""Units of order 2 and more: each waits for itself, and the few that escape carry the motion."""

from .chain import Chain, UnitsByForm

__all__ = ["Chain", "UnitsByForm"]
