"""Where the flow can rest: fixed points near a plateau, what lies around them, and certificates of rest."""

from .certify import Certificate, certify
from .deflation import deflate
from .escape import Escape
from .find import FixedPoint, Moved, find
from .hessian import Ends, extreme_eigenvalues, hessian, spectrum_ends
from .insertion import Insertion, global_optimum, insertion
from .landscape import Landscape, landscape
from .linear import LinearSaddles, linear_saddles
from .match import match_of
from .polish import Polished, nearest_fixed_point, polish
from .resize import Grown, Pruned, grow, prune
from .search import Found, Known, Match, fixed_points_of
from .spectrum import Spectrum, spectrum
from .structure import Counts, counts_by_structure
from .symmetry import Symmetries, symmetries

__all__ = [
    "Certificate",
    "Counts",
    "Ends",
    "Escape",
    "FixedPoint",
    "Found",
    "Grown",
    "Insertion",
    "Known",
    "Landscape",
    "LinearSaddles",
    "Match",
    "Moved",
    "Polished",
    "Pruned",
    "Spectrum",
    "Symmetries",
    "certify",
    "counts_by_structure",
    "deflate",
    "extreme_eigenvalues",
    "find",
    "fixed_points_of",
    "global_optimum",
    "grow",
    "hessian",
    "insertion",
    "landscape",
    "linear_saddles",
    "match_of",
    "nearest_fixed_point",
    "polish",
    "prune",
    "spectrum",
    "spectrum_ends",
    "symmetries",
]
