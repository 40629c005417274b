"""Piecewise linear units on orthogonal rows: each sign group of targets is a ray that units join early and grow along."""

from .orthogonal import OrthogonalRays

__all__ = ["OrthogonalRays"]
