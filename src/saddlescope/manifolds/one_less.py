"""Theorem 3 as it stands: the manifolds on which a layer acts as one with a unit less."""

from ..networks import AbstractLens
from .active import Active
from .copies import Copies
from .rank import Rank
from .rays import Rays


def equal_units(lens: AbstractLens, i: int, j: int, sign: int = 1) -> Copies:
    r"""Units i and j equal, for any $\phi$; with `sign` -1 up to $u \to -u$, for odd or even $\phi$ (Theorem 3, i).

    **Raises:** `ValueError` with the reason where $\phi$ does not allow it, or the layer has no such two units.
    """
    groups, units = _pair(lens, i, j)
    manifold = Copies(groups, [sign if k == j else 1 for k in range(units)])
    manifold.require(lens)
    return manifold


def silent_unit(lens: AbstractLens, i: int) -> Active:
    r"""Unit i silent, $(u_i, v_i) = 0$, for $\phi$ with $\phi(x; 0) = 0$ (Theorem 3, ii).

    **Raises:** `ValueError` with the reason where $\phi$ does not allow it, or the layer has no such unit.
    """
    units = _has(lens, i)
    manifold = Active([k != i for k in range(units)])
    manifold.require(lens)
    return manifold


def proportional_units(lens: AbstractLens, i: int, j: int) -> Rays:
    r"""Units i and j on one ray, for $\phi$ of degree 1 (Theorem 3, iii). For even $\phi$ the nearer of the ray and its mirror image.

    **Raises:** `ValueError` with the reason where $\phi$ does not allow it, or the layer has no such two units.
    """
    groups, units = _pair(lens, i, j)
    one = Rays(groups)
    one.require(lens)
    if lens.facts.parity != "even":
        return one
    mirrored = Rays(groups, [-1 if k == j else 1 for k in range(units)])
    return min(one, mirrored, key=lambda rays: rays.distance(lens))


def dependent_units(lens: AbstractLens) -> Rank:
    r"""All units linearly dependent, for $\phi$ linear in $u$ (Theorem 3, iv).

    **Raises:** `ValueError` with the reason where $\phi$ does not allow it.
    """
    manifold = Rank(max(len(lens.get()[0]) - 1, 0))
    manifold.require(lens)
    return manifold


def _has(lens: AbstractLens, i: int) -> int:
    units = len(lens.get()[0])
    if not 0 <= i < units:
        raise ValueError(f"Unit {i} was asked for, which needs a unit from 0 to {units - 1}: this layer has {units}.")
    return units


def _pair(lens: AbstractLens, i: int, j: int) -> tuple[list[int], int]:
    """Labels that put i and j into one group and leave every other unit alone."""
    units = max(_has(lens, i), _has(lens, j))
    if i == j:
        raise ValueError(f"Units {i} and {j} were asked for, which needs two different ones.")
    return [i if k == j else k for k in range(units)], units
