"""The same measures on somebody else's training: what was seen of it, beside the loop or afterwards."""

from .offline import read
from .recording import Recording
from .watcher import Watcher

__all__ = ["Recording", "Watcher", "read"]
