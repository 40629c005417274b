r"""Theorem 1: a fixed point of a narrow network is one of every wider network, in four ways, with the same function.

**Setting.** Narrow networks of 2 units at a fixed point, 40 random samples, carried to 4 units:

- (i) *split*: two units more that share a unit's output weights in random parts, one of them negative;
- (ii) *silent*: two units more with u = 0 and v = 0;
- (iii) *proportional*: a unit becomes three, with input weights times g > 0 and output weights times h, one h negative, sum of g h = 1;
- (iv) *factorised*: u to G u, v to the transpose of a left inverse of G times v; a random left inverse, not the pseudo-inverse.

Neurons (linear, ReLU, quadratic, tanh) learn random data from random weights and are polished to the fixed point they reach. Kernels, heads, sigmoid
and softplus have random weights, and targets that differ from their function by noise orthogonal to all its derivatives, which makes those weights a fixed
point, in general of no particular index. (Every fixed point is one of this kind.)

**Measured** is |grad L| over all weights of the wide network: absolute, as data and weights are of order 1, and zero to rounding at 1e-13. A function
change is the largest over samples, relative to the larger of the root mean squares of f and y.

**What breaks it** is tried by leaving out one assumption at a time. Where a fixed point survives that, the assumption was sufficient but not necessary:
silent units of order 2 or more in u may have any output weights (ReLU too, but only by the convention that its slope at 0 is 0), factors may be negative for
odd units, and a degree d other than 1 will do with sum of g^d h = 1.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import plots
from ..embeddings import Factorised, Proportional, Silent, Split
from ..networks import AbstractLens, AbstractNetwork
from ..units import Facts
from ._base import Claim, Outcome, Progress, claim
from ._problems import KINDS, NARROW, WIDE, Problem, look, problem
from ._rows import RESTS, Row, aligned, grouped, row_claim, tables

NAME = "theorem-1"
TITLE = "Theorem 1: four embeddings of a narrow fixed point"
SUMMARY = (
    "A narrow network at a fixed point is embedded in a wider one, and the gradient there measured, a dot a seed: rounding where the "
    "theorem applies, at least 1e-3 where leaving out one of its assumptions breaks it. Hollow marks: an assumption is left out, and it "
    "still holds."
)

SEEDS, QUICK_SEEDS = 10, 3
#: Kinds of units that a quick run leaves out, each much like another one.
QUICK_WITHOUT = ("softplus", "cubic head")


Make = Callable[[Problem, np.random.Generator], AbstractNetwork]


class Case(NamedTuple):
    """A construction for some units: with an assumption `dropped` if that names one. `rests`: whether the wide network is at a fixed point."""

    group: str
    kinds: tuple[str, ...]
    make: Make
    sentence: str
    dropped: str = ""
    rests: bool = True


# ------------------------------------------------------------------------------------- constructions, as the theorem has them


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


def _more(lens: AbstractLens, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights for two units more, of the narrow ones' size."""
    count = WIDE - NARROW
    return rng.normal(size=(count, *np.shape(lens.get()[0])[1:])), rng.normal(
        size=(count, *np.shape(lens.get()[1])[1:])
    )


def with_outputs(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    u, v = _more(lens, rng)
    return added(lens, 0.0 * u, v)


def with_inputs(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    u, v = _more(lens, rng)
    return added(lens, u, 0.0 * v)


def with_nothing(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    u, v = _more(lens, rng)
    return added(lens, 0.0 * u, 0.0 * v)


def dead(lens: AbstractLens, rng: np.random.Generator) -> AbstractNetwork:
    """Units that are off on every sample, whose first input is positive."""
    u, v = _more(lens, rng)
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


def _off_span(one: Problem, rng: np.random.Generator, kernel: bool) -> AbstractNetwork:
    r"""Two units more with v = 0 and u in the kernel of $R = E[(y - f) x^\top]$, or in its row space."""
    x, y = np.asarray(one.objective.x), np.asarray(one.objective.y)
    correlation = (y - one.outputs).T @ x / len(x)
    _, values, right = np.linalg.svd(correlation)
    rank = int(np.sum(values > 1e-9 * values[0]))
    rows = right[rank:] if kernel else right[:rank]
    u, v = _more(one.lens, rng)
    return added(one.lens, rng.normal(size=(len(u), len(rows))) @ rows, 0.0 * v)


def _of_lens(make: Callable[..., AbstractNetwork], **options) -> Make:
    return lambda one, rng: make(one.lens, rng, **options)


def _cases() -> list[Case]:
    cases = []
    for group, (make, allows, sentence) in CONSTRUCTIONS.items():
        kinds = tuple(name for name, kind in KINDS.items() if allows(kind.unit.facts))
        cases.append(Case(group, kinds, _of_lens(make), sentence))
    neurons = ("linear", "ReLU", "quadratic", "tanh")
    order_2 = ("quadratic", "rank-1 head", "cubic head")
    return [
        *cases,
        Case(
            SILENT,
            ("linear", "tanh", "linear kernel", "merged head"),
            _of_lens(with_outputs),
            "Units with u = 0 need v = 0",
            "v not 0",
            False,
        ),
        Case(
            SILENT,
            order_2,
            _of_lens(with_outputs),
            "Units with u = 0 rest with any v where phi is of order 2 in u",
            "v not 0",
        ),
        Case(
            SILENT,
            ("ReLU",),
            _of_lens(with_outputs),
            "Units with u = 0 rest with any v by the convention phi'(0) = 0",
            "v not 0",
        ),
        Case(SILENT, ("ReLU",), _of_lens(dead), "Units that are off on all data rest with any v", "dead, v not 0"),
        Case(
            SILENT,
            ("sigmoid", "softplus"),
            _of_lens(with_nothing),
            "Units with u = v = 0 need phi(x; 0) = 0",
            "phi(x; 0) not 0",
            False,
        ),
        Case(SILENT, neurons, _of_lens(with_inputs), "Units with v = 0 need u = 0", "u not 0", False),
        Case(PROPORTIONAL, ("ReLU",), _of_lens(shared, sign=-1.0), "Proportional units need g > 0", "one g < 0", False),
        Case(
            PROPORTIONAL,
            ("linear",),
            _of_lens(shared, sign=-1.0),
            "Proportional units may have g < 0 where phi is odd",
            "one g < 0",
        ),
        Case(
            PROPORTIONAL,
            ("quadratic", "tanh"),
            _of_lens(shared),
            "Proportional units with sum of g h = 1 need degree 1",
            "degree not 1",
            False,
        ),
        Case(
            PROPORTIONAL,
            order_2,
            _of_lens(proportional, degree=2),
            "Degree 2 will do with sum of g^2 h = 1",
            "d = 2, sum g²h = 1",
        ),
        Case(
            FACTORISED,
            ("ReLU", "quadratic", "tanh"),
            _of_lens(refactored),
            "Another factorisation needs phi linear",
            "not linear",
            False,
        ),
        Case(
            FACTORISED,
            ("linear",),
            partial(_off_span, kernel=True),
            "Units off the span of the narrow ones, with v = 0 and R u = 0, rest: (iv) does not list all",
            "off span, R u = 0",
        ),
        Case(
            FACTORISED,
            ("linear",),
            partial(_off_span, kernel=False),
            "Units off the span with v = 0 need R u = 0",
            "off span, R u not 0",
            False,
        ),
    ]


# --------------------------------------------------------------------------------------------------------------- the experiment


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Embeds fixed points of ten kinds of units over seeds, with and without each assumption."""
    seeds = QUICK_SEEDS if quick else SEEDS
    out.mkdir(parents=True, exist_ok=True)
    problems: dict[str, list[Problem]] = {}
    chosen = [name for name in KINDS if not (quick and name in QUICK_WITHOUT)]
    for number, name in enumerate(chosen):
        progress(0.5 * number / len(chosen), f"theorem 1: fixed points of narrow networks, {name}")
        problems[name] = [problem(name, seed) for seed in range(seeds)]
    cases = _cases()
    rows = []
    for number, case in enumerate(cases):
        progress(0.5 + 0.4 * number / len(cases), f"theorem 1: {case.group} {case.dropped}")
        rows += [_row(case, name, problems[name], number) for name in case.kinds if name in problems]
    progress(0.9, "theorem 1: drawing")
    claims = [_claim(row) for row in rows] + _function_claims(rows)
    groups = grouped(rows)
    columns = [{g: groups[g] for g in (SPLIT, PROPORTIONAL, FACTORISED)}, {SILENT: groups[SILENT]}]
    figure = plots.strips(columns, "|grad L| of the wide network, a dot a seed", RESTS[1])
    table = f"{_narrow_table(problems)}\n\n{tables(rows, '|grad L| of the wide network')}"
    setting = f"{seeds} seeds{', without ' + ' and '.join(QUICK_WITHOUT) if quick else ''}.\n\n{__doc__}"
    return Outcome(claims, list(plots.save(figure, out / NAME)), table, setting, SUMMARY)


def measured(wide: AbstractNetwork, one: Problem) -> tuple[float, float]:
    """|grad L| of a wide network, and how much its function differs from the narrow one's."""
    outputs, gradient = look(wide, one.objective)
    return float(np.linalg.norm(gradient)), function_change(outputs, one)


def function_change(outputs: np.ndarray, one: Problem) -> float:
    scale = max(np.sqrt(np.mean(np.sum(np.square(f), axis=1))) for f in (one.outputs, np.asarray(one.objective.y)))
    return float(np.max(np.abs(outputs - one.outputs)) / scale)


def _row(case: Case, name: str, problems: Sequence[Problem], number: int) -> Row:
    values, changes = [], []
    for seed, one in enumerate(problems):
        rng = np.random.default_rng([seed, number, list(KINDS).index(name)])
        value, change = measured(case.make(one, rng), one)
        values.append(value)
        changes.append(change)
    return Row(case.group, name, case.dropped, case.rests, f"{case.sentence}: |grad L|, {name}.", values, changes)


def _claim(row: Row) -> Claim:
    return row_claim(NAME, row)


def _function_claims(rows: Sequence[Row]) -> list[Claim]:
    """That the function stays, in all constructions of one kind of unit together."""
    found = []
    for name in dict.fromkeys(row.kind for row in rows):
        changes = [row.changes for row in rows if row.kind == name and not row.dropped]
        sentence = f"The function does not change in any of these constructions: largest relative change, {name}."
        found.append(claim(NAME, name, "function", sentence, np.max(changes, axis=0).tolist(), RESTS, status="theorem"))
    return found


def _narrow_table(problems: dict[str, list[Problem]]) -> str:
    rows = [("narrow network", "fixed points", "starts", "largest |grad L|", "median rms residual")]
    for name, found in problems.items():
        residual = [np.sqrt(np.mean(np.sum((one.outputs - np.asarray(one.objective.y)) ** 2, axis=1))) for one in found]
        gradient = max(one.gradient for one in found)
        starts = sum(one.attempts for one in found)
        rows.append((name, str(len(found)), str(starts), f"{gradient:.1e}", f"{np.median(residual):.2f}"))
    return aligned(rows)
