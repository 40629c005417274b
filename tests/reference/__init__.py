"""Slow, obvious twins of what saddlescope computes: NumPy, SciPy and gradients written by hand.

They exist so that a mistake in the package and the same mistake here would have to be made twice, in two styles. Nothing in
this folder imports saddlescope; everything here is itself held to closed forms by `test_reference.py`.
"""
