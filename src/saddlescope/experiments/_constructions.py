"""Theorem 1's four ways from a narrow network to a wide one, and the same with an assumption left out, which `embeddings` refuses."""

from collections.abc import Callable

import numpy as np

from ..embeddings import Factorised, Proportional, Silent, Split
from ..networks import AbstractLens, AbstractNetwork
from ..units import Facts
from ._problems import NARROW, WIDE


def split(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    once = lens.of(Split(0, rng.uniform(-2.0, -0.5))(lens))
    return Split(1, rng.uniform(0.1, 0.9))(once)


def silent(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    return Silent(WIDE - NARROW)(lens)


def proportional(lens: AbstractLens, rng: np.random.Generator, degree: int = 1) -> AbstractNetwork:
    return Proportional(0, *factors(rng, degree))(lens)


def factorised(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    return Factorised(*inverses(rng))(lens)


def factors(
    rng: np.random.Generator, degree: int = 1, sign: float = 1.0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    r"""Three $g_i$, the second of the given sign, and $h_i$ with $\sum_i g_i^{degree} h_i = 1$, one of them negative."""
    g = rng.uniform(0.7, 1.4, 3) * (1.0, sign, 1.0)
    h = np.array([rng.uniform(-1.0, -0.3), rng.uniform(0.3, 0.7), 0.0])
    h[2] = (1.0 - np.sum(g**degree * h)) / g[2] ** degree
    return tuple(g), tuple(h)


def inverses(rng: np.random.Generator, wide: int = WIDE, narrow: int = NARROW) -> tuple[np.ndarray, np.ndarray]:
    """G [wide, narrow], and a left inverse that is not its pseudo-inverse."""
    frame = np.linalg.qr(rng.normal(size=(wide, wide)))[0]
    g = (frame[:, :narrow] * rng.uniform(0.7, 1.4, narrow)) @ np.linalg.qr(rng.normal(size=(narrow, narrow)))[0]
    return g, np.linalg.pinv(g) + 0.5 * rng.normal(size=(narrow, wide - narrow)) @ frame[:, narrow:].T


#: Construction -> how it is made, what units it needs, and in words.
CONSTRUCTIONS: dict[
    str, tuple[Callable[[AbstractLens, np.random.Generator], AbstractNetwork], Callable[[Facts], bool], str]
] = {
    "(i) split": (split, lambda facts: True, "A unit split in any shares, also negative ones, is at a fixed point"),
    "(ii) silent": (silent, lambda facts: facts.silent, "Silent units, u = 0 and v = 0, leave a fixed point"),
    "(iii) proportional": (
        proportional,
        lambda facts: facts.degree == 1,
        "Proportional units, g > 0 and h of any sign with sum of g h = 1, are at a fixed point",
    ),
    "(iv) factorised": (
        factorised,
        lambda facts: facts.linear,
        "Any factorisation, with any left inverse, is at a fixed point",
    ),
}
SPLIT, SILENT, PROPORTIONAL, FACTORISED = CONSTRUCTIONS


# ------------------------------------------------------------------- the same with an assumption dropped: `embeddings` refuses it


def mixed(lens: AbstractLens, a: np.ndarray, b: np.ndarray) -> AbstractNetwork:
    """u to A u and v to B v, whatever the facts say."""
    u, v = (np.asarray(part) for part in lens.get())
    return lens.put(a @ u, np.tensordot(b, v, axes=1))


def added(lens: AbstractLens, u_more: np.ndarray, v_more: np.ndarray) -> AbstractNetwork:
    """Two units more with these weights."""
    u, v = (np.asarray(part) for part in lens.get())
    return lens.put(np.concatenate([u, u_more]), np.concatenate([v, v_more.reshape(len(v_more), *v.shape[1:])]))


def more(lens: AbstractLens, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights for two units more, of the narrow ones' size."""
    count = WIDE - NARROW
    return rng.normal(size=(count, *np.shape(lens.get()[0])[1:])), rng.normal(
        size=(count, *np.shape(lens.get()[1])[1:])
    )


def with_outputs(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    u, v = more(lens, rng)
    return added(lens, 0.0 * u, v)


def with_inputs(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    u, v = more(lens, rng)
    return added(lens, u, 0.0 * v)


def with_nothing(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    u, v = more(lens, rng)
    return added(lens, 0.0 * u, 0.0 * v)


def dead(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    """Units that are off on every sample, whose first input is positive."""
    u, v = more(lens, rng)
    return added(lens, -np.abs(u[:, :1]) * np.eye(u.shape[1])[:1], v)


def shared(lens: AbstractLens, rng: np.random.Generator, degree: int = 1, sign: float = 1.0) -> AbstractNetwork:
    """Proportional units whatever phi is."""
    g, h = factors(rng, degree, sign)
    one = np.eye(NARROW)[:1]
    a, b = np.eye(NARROW), np.eye(NARROW)
    a[0, 0], b[0, 0] = g[0], h[0]
    return mixed(lens, np.vstack([a, np.outer(g[1:], one)]), np.vstack([b, np.outer(h[1:], one)]))


def refactored(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    """Another factorisation whatever phi is."""
    g, left = inverses(rng)
    return mixed(lens, g, left.T)
