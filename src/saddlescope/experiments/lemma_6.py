r"""Lemma 6: the fixed points of a two-layer linear network are the subsets of eigenvectors of Syx Sxx^-1 Sxy.

**Setting.** Random linear problems with 4 inputs and 3 outputs, 20 samples, targets with a part that no linear function explains: with *white* inputs, with inputs whose
second moment *commutes* with the targets' (shares its eigenvectors with the singular vectors of Syx), and with inputs that do not (*non-commuting*). For each subset S of the three eigenvectors e_j,
with eigenvalues s_j^2, the network of width 2 or 4 with W = sum over S of e_j e_j^T Syx Sxx^-1, in a random factorisation U to A U, V to B V, B^T A = 1.

**Measured** are |grad L|, absolute (data and weights are of order 1; zero to rounding at 1e-13); the loss against (tr Syy - sum over S of s_j^2) / 2, relative to the loss at 0; and the
Hessian's index, eigenvalues below -1e-6 of the largest, against the formula

    (H - r) #{j not in S} + #{(k in S, j not in S): s_j > s_k}.

The library's list of saddles (`fixed_points.linear`) is compared with all of it. **Searches** from random weights and with deflation, at width 2 on a few of the problems, look for others.

**What breaks it.** The same construction on a random subspace in place of a subset: the gradient of U vanishes and that of V does not. And on singular vectors of Syx, which are eigenvectors
where the inputs commute, and otherwise are not: rates of learning read off Syx alone are then wrong.
"""

from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import plots
from ..fixed_points import fixed_points_of, hessian, linear_saddles
from ..networks import Layer
from ..units import Linear
from . import _problems, _rows
from ._base import Claim, Outcome, Progress, claim
from ._linear_problems import INPUTS, KINDS, OUTPUTS, Problem, network, problem
from ._rows import MOVES, RESTS, Row

NAME = "lemma-6"
TITLE = "Lemma 6: all fixed points of linear networks"

#: Problems of each kind of inputs: more than 100 together.
SEEDS, QUICK_SEEDS = 34, 5
#: Of these so many are searched, from so many random starts.
SEARCHED, QUICK_SEARCHED, STARTS = 4, 1, 12
WIDTHS = (2, 4)
SUBSETS = [subset for size in range(OUTPUTS + 1) for subset in combinations(range(OUTPUTS), size)]

#: An eigenvalue is negative below this part of the largest.
NEGATIVE = 1e-6
#: At the origin the spectrum is symmetric, lowest over largest -1; elsewhere what has been learned curves upwards more.
STRICT = (-1.0 - 1e-9, -NEGATIVE)
#: A loss, relative to the loss at 0.
PREDICTED = (0.0, 1e-12)
#: A fixed point found is one of the list if their functions differ by at most this.
SAME = (0.0, 1e-6)


class Found(NamedTuple):
    """All subsets of one problem: the worst of each number over subsets and widths.

    - `gradient`, `loss`: |grad L|, and the relative error of the predicted loss.
    - `wrong`: Hessians whose index differs from the formula. `strict`: lowest eigenvalue over the largest, at points that are not optimal.
    - `listed`: by how much the library's list differs: in loss, relative, and infinite where an index does.
    """

    gradient: float
    loss: float
    wrong: int
    strict: float
    listed: float


def _measured(one: Problem, rng: np.random.Generator) -> Found:
    top = one.loss(())
    gradients, losses, lowest, wrong, listed = [], [], [], 0, []
    for width in WIDTHS:
        saddles = linear_saddles(Layer.zeros(Linear(), width, (INPUTS,), OUTPUTS), one.objective)
        for subset in SUBSETS:
            if len(subset) > width:
                continue
            point = network(one, one.modes[:, list(subset)], width, rng)
            outputs, gradient = _problems.look(point, one.objective)
            gradients.append(float(np.linalg.norm(gradient)))
            losses.append(abs(float(one.objective.loss_of(outputs)) - one.loss(subset)) / top)
            values = np.linalg.eigvalsh(hessian(point, one.objective))
            index = int(np.sum(values < -NEGATIVE * values[-1]))
            wrong += index != one.index(subset, width)
            if subset != tuple(range(min(width, OUTPUTS))):
                lowest.append(float(values[0] / values[-1]))
            same = saddles.index(subset, width) == index
            listed.append(abs(saddles.loss(subset) - one.loss(subset)) / top if same else np.inf)
    return Found(max(gradients), max(losses), wrong, max(lowest), max(listed))


def _subspace(one: Problem, rng: np.random.Generator) -> float:
    """|grad L| on a random subspace in place of eigenvectors, the smaller of one and of two dimensions."""
    found = []
    for size in (1, 2):
        directions = np.linalg.qr(rng.normal(size=(OUTPUTS, size)))[0]
        found.append(float(np.linalg.norm(_problems.look(network(one, directions, 4, rng), one.objective)[1])))
    return min(found)


def _singular(one: Problem, rng: np.random.Generator) -> float:
    """|grad L| on the leading left singular vector of Syx."""
    directions = np.linalg.svd(one.yx)[0][:, :1]
    return float(np.linalg.norm(_problems.look(network(one, directions, 4, rng), one.objective)[1]))


class Searched(NamedTuple):
    """What searches found: the largest distance of a function found from the list, and how many of the list's were found, of how many."""

    distance: float
    found: int
    of: int
    searches: int


def _searched(one: Problem, seed: int) -> Searched:
    width, rng = min(WIDTHS), np.random.default_rng([seed, 6])
    start = _problems.random_weights(Layer.zeros(Linear(), width, (INPUTS,), OUTPUTS), rng)
    found = fixed_points_of(start, one.objective, exact=False, starts=STARTS, seed=seed)
    x, y = np.asarray(one.objective.x), np.asarray(one.objective.y)
    subsets = [list(subset) for subset in SUBSETS if len(subset) <= width]
    known = [x @ (one.modes[:, s] @ one.modes[:, s].T @ one.fit).T for s in subsets]
    scale, seen, farthest = np.sqrt(np.mean(np.sum(y**2, axis=1))), set(), 0.0
    for point in found.points:
        f = np.zeros_like(y) if point.network is None else _problems.look(point.network, one.objective)[0]
        apart = [np.sqrt(np.mean(np.sum((f - other) ** 2, axis=1))) / scale for other in known]
        seen.add(int(np.argmin(apart)))
        farthest = max(farthest, float(min(apart)))
    return Searched(farthest if found.points else np.inf, len(seen), len(subsets), found.starts + found.searches)


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Tries every subset of every problem, searches for others, and drops the assumptions."""
    seeds, searched = (QUICK_SEEDS, QUICK_SEARCHED) if quick else (SEEDS, SEARCHED)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    claims: list[Claim] = []
    numbers = [
        (
            "inputs",
            "problems",
            "fixed points",
            "wrong indices",
            "lowest/largest eigenvalue",
            "searches",
            "of the list",
            "others",
        )
    ]
    for place, kind in enumerate(KINDS):
        problems = [problem(kind, seed) for seed in range(seeds)]
        found = []
        for seed, one in enumerate(problems):
            progress((place + 0.6 * seed / seeds) / len(KINDS), f"lemma 6: {kind} inputs, problem {seed}")
            found.append(_measured(one, np.random.default_rng([seed, place, 1])))
        progress((place + 0.6) / len(KINDS), f"lemma 6: {kind} inputs, searches")
        searches = [_searched(one, seed) for seed, one in enumerate(problems[:searched])]
        rows += _rows_of(kind, problems, found)
        claims += _claims(kind, found, searches)
        count = sum(len(s) <= width for width in WIDTHS for s in SUBSETS) * seeds
        numbers.append(
            (
                kind,
                str(seeds),
                str(count),
                str(sum(f.wrong for f in found)),
                f"{max(f.strict for f in found):.1e} or lower",
                str(sum(s.searches for s in searches)),
                f"{sum(s.found for s in searches)} of {sum(s.of for s in searches)}",
                str(sum(s.distance > SAME[1] for s in searches)),
            )
        )
    claims = [_row_claim(row) for row in rows] + claims
    what = "|grad L| (worst of all subsets and widths)"
    losses = [
        row._replace(group="their loss, predicted", values=row.changes) for row in rows if row.group == EIGENVECTORS
    ]
    groups = _rows.grouped([*rows, *losses])
    figure = plots.strips(
        [{g: groups[g] for g in (EIGENVECTORS, "their loss, predicted")}, {g: groups[g] for g in (SUBSPACE, SINGULAR)}],
        LABEL,
        RESTS[1],
    )
    table = f"{_rows.tables(rows, what, 'W on', 'loss off by')}\n\nindex and searches\n{_rows.aligned(numbers)}"
    return Outcome(
        claims,
        list(plots.save(figure, out / NAME)),
        table,
        f"{seeds} problems of each kind of inputs.\n\n{__doc__}",
        "Every subset of eigenvectors of Syx Sxx^-1 Sxy is put into a linear network: the gradient there, and how far its loss is from the "
        "predicted one, are rounding. Other subspaces, and singular vectors of Syx where inputs do not commute with it, are no fixed points.",
    )


EIGENVECTORS, SUBSPACE, SINGULAR = "eigenvectors of Syx Sxx⁻¹ Sxy", "a random subspace", "singular vectors of Syx"
LABEL = "|grad L|, or error of the loss; a dot a problem"


def _rows_of(kind: str, problems: list[Problem], found: list[Found]) -> list[Row]:
    name = f"{kind} inputs"

    def row(group: str, dropped: str, rests: bool, sentence: str, values: list[float], changes: list[float]) -> Row:
        return Row(group, name, dropped, rests, f"{sentence}: |grad L|, {name}.", values, changes)

    def generators():
        return (np.random.default_rng([seed, KINDS.index(kind), 2]) for seed in range(len(problems)))

    subspaces = [_subspace(one, rng) for one, rng in zip(problems, generators(), strict=True)]
    singular = [_singular(one, rng) for one, rng in zip(problems, generators(), strict=True)]
    commute = kind != "non-commuting"
    words = (
        "Singular vectors of Syx are eigenvectors" if commute else "Singular vectors of Syx do not do in their place"
    )
    return [
        row(
            EIGENVECTORS,
            "",
            True,
            "Every subset of eigenvectors is a fixed point",
            [f.gradient for f in found],
            [f.loss for f in found],
        ),
        row(SUBSPACE, "not eigenvectors", False, "Another subspace is no fixed point", subspaces, []),
        row(SINGULAR, "" if commute else "not commuting", commute, words, singular, []),
    ]


def _row_claim(row: Row) -> Claim:
    name = {EIGENVECTORS: "subsets rest", SUBSPACE: "a random subspace moves", SINGULAR: "singular vectors of Syx"}[
        row.group
    ]
    status = "theorem" if row.rests else "heuristic"
    return claim(NAME, row.kind, name, row.sentence, row.values, RESTS if row.rests else MOVES, status=status)


def _claims(kind: str, found: list[Found], searches: list[Searched]) -> list[Claim]:
    panel, made = f"{kind} inputs", []

    def add(name: str, sentence: str, values: list, bounds: tuple[float, float], status: str = "theorem") -> None:
        made.append(claim(NAME, panel, name, sentence, values, bounds, status=status))

    add(
        "loss",
        "The loss is (tr Syy - sum of the eigenvalues learned) / 2: error, relative to the loss at 0.",
        [f.loss for f in found],
        PREDICTED,
    )
    add(
        "index",
        "The Hessian's index is that of the formula, at every subset and both widths: how many differ.",
        [f.wrong for f in found],
        (0, 0),
    )
    add(
        "strict saddles",
        "Every point that is not optimal for its width has a direction down: lowest over largest eigenvalue.",
        [f.strict for f in found],
        STRICT,
    )
    add(
        "list",
        "The library's list has the same losses and indices: largest difference, relative to the loss at 0.",
        [f.listed for f in found],
        PREDICTED,
    )
    add(
        "no other",
        "Searches find no fixed point that is not one of these: largest distance of a function found from the list, relative to rms y.",
        [s.distance for s in searches],
        SAME,
    )
    return made
