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
from ..networks import AbstractNetwork
from ._base import Claim, Outcome, Progress, claim
from ._constructions import (
    CONSTRUCTIONS,
    FACTORISED,
    PROPORTIONAL,
    SILENT,
    SPLIT,
    added,
    dead,
    more,
    proportional,
    refactored,
    shared,
    with_inputs,
    with_nothing,
    with_outputs,
)
from ._problems import KINDS, Problem, look, problem
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


def _off_span(one: Problem, rng: np.random.Generator, kernel: bool) -> AbstractNetwork:
    r"""Two units more with v = 0 and u in the kernel of $R = E[(y - f) x^\top]$, or in its row space."""
    x, y = np.asarray(one.objective.x), np.asarray(one.objective.y)
    correlation = (y - one.outputs).T @ x / len(x)
    _, values, right = np.linalg.svd(correlation)
    rank = int(np.sum(values > 1e-9 * values[0]))
    rows = right[rank:] if kernel else right[:rank]
    u, v = more(one.lens, rng)
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
