"""Theorem 3's four sets for every kind of unit, and the same with an assumption dropped: networks on them, and the library's manifolds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..manifolds import (
    AbstractManifold,
    Active,
    Copies,
    Rank,
    Rays,
    dependent_units,
    equal_units,
    proportional_units,
    silent_unit,
)
from ..networks import AbstractLens, AbstractNetwork
from ..units import Facts
from ._problems import KINDS, WIDE

Start = Callable[[AbstractLens, np.random.Generator], AbstractNetwork]


class Case(NamedTuple):
    """A set for some units: `start` puts a network on it; `manifold` is the library's, `facts` those with which its formulas describe a set that the library would refuse."""

    group: str
    kinds: tuple[str, ...]
    start: Start
    manifold: Callable[[AbstractLens], AbstractManifold]
    sentence: str
    dropped: str = ""
    rests: bool = True
    facts: Callable[[Facts], Facts] | None = None


def _changed(lens: AbstractLens, change: Callable[[np.ndarray, np.ndarray], None]) -> AbstractNetwork:
    u, v = (np.array(part) for part in lens.get())
    change(u, v)
    return lens.put(u, v)


def on_equal(lens: AbstractLens, rng: np.random.Generator, sign_u: float = 1.0, sign_v: float = 1.0) -> AbstractNetwork:
    def change(u: np.ndarray, v: np.ndarray) -> None:
        u[1], v[1] = sign_u * u[0], sign_v * v[0]

    return _changed(lens, change)


def on_silent(lens: AbstractLens, rng: np.random.Generator, outputs: bool = False) -> AbstractNetwork:
    def change(u: np.ndarray, v: np.ndarray) -> None:
        u[0] = 0.0
        v[0] *= float(outputs)

    return _changed(lens, change)


def on_proportional(lens: AbstractLens, rng: np.random.Generator, sign: float = 1.0) -> AbstractNetwork:
    g = sign * rng.uniform(0.4, 0.8)

    def change(u: np.ndarray, v: np.ndarray) -> None:
        u[1], v[1] = g * u[0], g * v[0]

    return _changed(lens, change)


def on_dependent(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    shares = rng.normal(size=WIDE - 1)

    def change(u: np.ndarray, v: np.ndarray) -> None:
        u[-1], v[-1] = shares @ u[:-1], np.tensordot(shares, v[:-1], axes=1)

    return _changed(lens, change)


EQUAL, SILENT, PROPORTIONAL, DEPENDENT = "equal units", "silent units", "proportional units", "dependent units"
PAIR = (0, 0, 2, 3)


def cases() -> list[Case]:
    neurons = ("linear", "ReLU", "quadratic", "tanh")
    order_2 = ("quadratic", "rank-1 head", "cubic head")

    def allowed(allows: Callable[[Facts], bool]) -> tuple[str, ...]:
        return tuple(name for name, kind in KINDS.items() if allows(kind.unit.facts))

    def outputs_free(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
        return on_silent(lens, rng, outputs=True)

    def negative(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
        return on_proportional(lens, rng, -1.0)

    def lines(facts: Facts) -> Facts:
        return facts._replace(parity="odd")

    u_is_0 = Active((False, True, True, True), outputs=False)
    return [
        Case(EQUAL, allowed(lambda f: True), on_equal, lambda lens: equal_units(lens, 0, 1), "Equal units stay equal"),
        Case(
            SILENT,
            allowed(lambda f: f.silent),
            on_silent,
            lambda lens: silent_unit(lens, 0),
            "A silent unit stays silent",
        ),
        Case(
            PROPORTIONAL,
            allowed(lambda f: f.degree == 1),
            on_proportional,
            lambda lens: proportional_units(lens, 0, 1),
            "Proportional units stay so",
        ),
        Case(DEPENDENT, allowed(lambda f: f.linear), on_dependent, dependent_units, "Dependent units stay so"),
        Case(
            EQUAL,
            ("tanh", "linear"),
            lambda lens, rng: on_equal(lens, rng, -1.0, -1.0),
            lambda lens: equal_units(lens, 0, 1, -1),
            "(u, v) and (-u, -v) stay so where phi is odd",
            "mirrored",
        ),
        Case(
            EQUAL,
            order_2,
            lambda lens, rng: on_equal(lens, rng, -1.0),
            lambda lens: equal_units(lens, 0, 1, -1),
            "(u, v) and (-u, v) stay so where phi is even",
            "mirrored",
        ),
        Case(
            EQUAL,
            ("ReLU",),
            lambda lens, rng: on_equal(lens, rng, -1.0),
            lambda lens: Copies(PAIR, (1, -1, 1, 1)),
            "(u, v) and (-u, v) need phi even",
            "mirrored",
            False,
            lambda facts: facts._replace(parity="even"),
        ),
        Case(
            SILENT,
            ("linear", "tanh", "linear kernel", "merged head"),
            outputs_free,
            lambda lens: u_is_0,
            "u = 0 alone does not stay so where phi is of order 1",
            "v not 0",
            False,
        ),
        Case(
            SILENT,
            order_2,
            outputs_free,
            lambda lens: u_is_0,
            "u = 0 alone stays so where phi is of order 2",
            "v not 0",
        ),
        Case(
            SILENT,
            ("ReLU",),
            outputs_free,
            lambda lens: u_is_0,
            "u = 0 alone stays so by the convention phi'(0) = 0",
            "v not 0",
        ),
        Case(
            SILENT,
            ("sigmoid", "softplus"),
            on_silent,
            lambda lens: Active((False, True, True, True)),
            "u = v = 0 needs phi(x; 0) = 0 to stay so",
            "phi(x; 0) not 0",
            False,
        ),
        Case(
            PROPORTIONAL,
            ("ReLU",),
            negative,
            lambda lens: Rays(PAIR),
            "Proportional units need g > 0 to stay so",
            "g < 0",
            False,
            lines,
        ),
        Case(
            PROPORTIONAL,
            ("linear", "linear kernel", "merged head"),
            negative,
            lambda lens: proportional_units(lens, 0, 1),
            "Proportional units may have g < 0 where phi is odd",
            "g < 0",
        ),
        Case(
            PROPORTIONAL,
            ("quadratic", "tanh", "sigmoid", "softplus", "rank-1 head"),
            on_proportional,
            lambda lens: Rays(PAIR),
            "Proportional units need degree 1 to stay so",
            "degree not 1",
            False,
            lines,
        ),
        Case(
            DEPENDENT,
            (*(n for n in neurons if n != "linear"), "rank-1 head"),
            on_dependent,
            lambda lens: Rank(WIDE - 1),
            "Dependent units need phi linear to stay so",
            "not linear",
            False,
        ),
    ]
