r"""How a narrow network sits in the landscape of a wide one: every wide unit made of narrow ones.

All four constructions of the theorem are of one form. With matrices $A, B$ [wide, narrow],

$$u \to A\,u, \qquad v \to B\,v,$$

and the facts about $\phi$ say which matrices carry a fixed point to a fixed point with the same function.
"""

import abc

import equinox as eqx
import numpy as np

from ..networks import AbstractLens, AbstractNetwork, require_lens
from ..units import Facts

#: Shares have to add up to 1 to this, relative to the sum of their sizes: they are written in decimals and rounded.
ROUNDING = 1e-12


class AbstractEmbedding(eqx.Module):
    r"""Carries a fixed point of a narrow network to one of a wide network with the same function.

    **What a newcomer must write:** `matrices`. Whether they are allowed follows from the unit's facts (`refusal`), which also
    holds for any combination of constructions.

    **Holds** exactly, to rounding: function and loss stay, and each gradient of the wide network is a combination of those of the narrow one (times
    $A$'s and $B$'s entries), so that they vanish together.

    **Source:** Fukumizu & Amari (2000), for one output; Zhang, Saxe & Latham (ICLR 2026), Theorem 1, for this class of networks and Corollary
    2 for any layer of a deep one.
    """

    @abc.abstractmethod
    def matrices(self, width: int, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
        """$A$ and $B$ for a layer of `width` units. Raises `ValueError` where it has no such units."""

    def refuses(self, width: int, facts: Facts) -> str | None:
        """None where units with these facts allow it, otherwise the reason why not."""
        return refusal(*self.matrices(width, facts), facts)

    def __call__(self, lens: AbstractLens) -> AbstractNetwork:
        """The wide network. Raises `ValueError` with the reason where the units' facts, or the model, do not allow it."""
        require_lens(lens, type(self).__name__)
        u, v = (np.asarray(part, np.float64) for part in lens.get())
        a, b = self.matrices(len(u), lens.facts)
        reason = refusal(a, b, lens.facts) or lens.tied or (lens.supports("width") if len(a) != len(u) else None)
        if reason is not None:
            raise ValueError(f"{type(self).__name__} cannot embed {type(lens.unit).__name__} units: {reason}")
        return lens.put(a @ u, np.tensordot(b, v, axes=1))


class Mixing(AbstractEmbedding):
    r"""The general form, $u \to A u$ and $v \to B v$.

    **Arguments:**

    - `a`, `b` [wide, narrow].

    **Holds** as `AbstractEmbedding`; what each fact allows is in `refusal`.
    """

    a: np.ndarray
    b: np.ndarray

    def matrices(self, width: int, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
        a, b = np.asarray(self.a, np.float64), np.asarray(self.b, np.float64)
        if a.shape != b.shape or a.ndim != 2 or a.shape[1] != width:
            raise ValueError(
                f"An embedding of {width} units needs two matrices of shape [wide, {width}]: found {list(a.shape)} and "
                f"{list(b.shape)}."
            )
        return a, b


def factor(scale: np.ndarray, facts: Facts) -> np.ndarray:
    r"""$c(g)$ with $\phi(x; g u) = c(g)\, \phi(x; u)$, elementwise; NaN where the facts know none. $c(0) = 0$ for silent units."""
    size, negative = np.abs(scale), scale < 0
    degree = 1.0 if facts.linear else facts.degree
    c = np.where(size == 1.0, 1.0, np.nan) if degree is None else size**degree
    turned = {"odd": -1.0, "even": 1.0, "none": np.nan}[facts.parity]
    return np.where(scale == 0.0, 0.0, np.where(negative, turned * c, c))


def refusal(a: np.ndarray, b: np.ndarray, facts: Facts) -> str | None:
    r"""Why $u \to A u$, $v \to B v$ does not carry fixed points over, or None.

    - Linear $\phi$: $B^\top A = 1$ is all it takes.
    - Otherwise every wide unit comes from one narrow unit $k$ at most: $u_i = g u_k$ with $\phi(x; g u) = c(g)\,\phi(x; u)$ ($g = 1$ for any
      $\phi$, $-1$ by parity, $g > 0$ for homogeneous $\phi$), $v_i = b_i v_k$, and $\sum_i c(g_i)\, b_i = 1$.
    - A wide unit that comes from none is silent: it needs $\phi(x; 0) = 0$, and $v = 0$ too unless $\phi$ is of order 2 or more in $u$.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return "its matrices, made of shares and factors, are not finite."
    if facts.linear:
        return _not_one(b.T @ a, np.abs(b).T @ np.abs(a))
    made = a != 0.0
    mixed = np.flatnonzero(made.sum(axis=1) > 1)
    if mixed.size:
        return (
            f"unit {mixed[0]} mixes {made[mixed[0]].sum()} units, which needs phi linear in u. Split, Proportional and Silent "
            "take one unit each."
        )
    silent = ~made.any(axis=1)
    if silent.any() and not facts.silent:
        return f"unit {np.flatnonzero(silent)[0]} would be silent, which needs phi(x; 0) = 0. Split a unit instead."
    loose = silent & (b != 0.0).any(axis=1) & (facts.order < 2)
    if loose.any():
        return (
            f"unit {np.flatnonzero(loose)[0]} has u = 0 and output weights, which needs phi of order 2 or more in u: this one is "
            f"of order {facts.order}, and would move at once. Take v = 0."
        )
    stray = (b != 0.0) & ~made & ~silent[:, None]
    if stray.any():
        i, k = np.argwhere(stray)[0]
        return f"unit {i} has output weights of unit {k} but input weights of another one, which needs phi linear in u."
    c = factor(a, facts)
    if np.isnan(c).any():
        i, k = np.argwhere(np.isnan(c))[0]
        scale = a[i, k]
        if scale < 0 and facts.parity == "none" and (facts.degree is not None or scale == -1.0):
            return f"unit {i} is {scale:g} times unit {k}, which needs phi odd or even in u: this one is neither."
        return (
            f"unit {i} is {scale:g} times unit {k}, which needs phi homogeneous in u: this one is not. Split the output weights "
            "instead."
        )
    return _not_one(np.where(made, c * b, 0.0).sum(axis=0)[None], np.abs(np.where(made, c * b, 0.0)).sum(axis=0)[None])


def _not_one(total: np.ndarray, size: np.ndarray) -> str | None:
    wanted = np.eye(len(total)) if total.shape[0] == total.shape[1] and total.shape[0] > 1 else np.ones_like(total)
    wrong = np.abs(total - wanted) > ROUNDING * np.maximum(size, 1.0)
    if not wrong.any():
        return None
    i, k = np.argwhere(wrong)[0]
    return (
        f"its shares of unit {k} in unit {i} add up to {total[i, k]:.6g}, not {wanted[i, k]:g}: the function would change."
        if len(total) > 1
        else f"its shares of unit {k} add up to {total[i, k]:.6g}, not 1: the function would change."
    )
