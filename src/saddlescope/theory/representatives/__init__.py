"""Units that bend from the first order on: a few with multiplicities stand for all."""

from .bending import Bending

__all__ = ["Bending"]
