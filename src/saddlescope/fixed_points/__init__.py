"""Where the flow can rest: certificates of rest, and the fixed points near a plateau."""

from .certify import Certificate, certify
from .hessian import extreme_eigenvalues, hessian
from .insertion import insertion
from .polish import Polished, nearest_fixed_point, polish

__all__ = [
    "Certificate",
    "Polished",
    "certify",
    "extreme_eigenvalues",
    "hessian",
    "insertion",
    "nearest_fixed_point",
    "polish",
]
