"""Linear units whose features are correlated with each other: overlapping patches, heads on the tokens of a sample."""

from .correlated import CorrelatedFeatures

__all__ = ["CorrelatedFeatures"]
