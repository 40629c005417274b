"""The same measures on somebody else's training: what was seen of it, beside the loop or afterwards, why it stands still, and until when."""

from .card import KINDS, Card
from .certificate import Certificate, certify_jax, certify_torch
from .diagnose import diagnose
from .forecast import forecast
from .foretold import Forecast
from .offline import read
from .recording import Recording
from .report import Report, nothing_seen, report
from .stalls import Stall, find_stalls
from .watcher import Watcher

__all__ = [
    "KINDS",
    "Card",
    "Certificate",
    "Forecast",
    "Recording",
    "Report",
    "Stall",
    "Watcher",
    "certify_jax",
    "certify_torch",
    "diagnose",
    "find_stalls",
    "forecast",
    "nothing_seen",
    "read",
    "report",
]
