"""The same measures on somebody else's training: what was seen of it, beside the loop or afterwards."""

from .recording import Recording

__all__ = ["Recording"]
