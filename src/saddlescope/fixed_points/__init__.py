"""Where the flow can rest: certificates of rest, and the fixed points near a plateau."""

from .certify import Certificate, certify
from .find import FixedPoint, Moved, find
from .hessian import extreme_eigenvalues, hessian
from .insertion import insertion
from .polish import Polished, nearest_fixed_point, polish

__all__ = [
    "Certificate",
    "FixedPoint",
    "Moved",
    "Polished",
    "certify",
    "extreme_eigenvalues",
    "find",
    "hessian",
    "insertion",
    "nearest_fixed_point",
    "polish",
]
