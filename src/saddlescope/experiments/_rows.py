"""What the experiments on the landscape share: one number a seed under a condition, as a claim, a row of a table and a strip of a picture."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from .. import plots
from ._base import Claim, claim

#: The gradient of a fixed point: zero to rounding, with data and weights of order 1.
RESTS = (0.0, 1e-13)


#: What is clearly no fixed point: ten decades above, and finite.
MOVES = (1e-3, 1e6)


Status = Literal["theorem", "heuristic"]


class Row(NamedTuple):
    """A case for one kind of unit, measured: a number for each seed, and how much the function changed."""

    group: str
    kind: str
    dropped: str
    rests: bool
    sentence: str
    values: list[float]
    changes: list[float]


def row_claim(
    experiment: str, row: Row, rests: tuple[float, float] = RESTS, moves: tuple[float, float] = MOVES
) -> Claim:
    """A row as a claim: a theorem where it rests, and where it moves a counterexample, measured."""
    name = f"{row.group}: {row.dropped or 'holds'}"
    status: Status = "theorem" if row.rests else "heuristic"
    return claim(experiment, row.kind, name, row.sentence, row.values, rests if row.rests else moves, status=status)


def grouped(rows: Iterable[Row]) -> dict[str, list[plots.Strip]]:
    """Rows for the picture by group, those with all assumptions first."""
    groups: dict[str, list[plots.Strip]] = {}
    for row in sorted(rows, key=lambda row: bool(row.dropped)):
        label = f"{row.kind}: {row.dropped}" if row.dropped else row.kind
        groups.setdefault(row.group, []).append(plots.Strip(label, row.values, not row.dropped, row.rests))
    return groups


def tables(rows: Sequence[Row], what: str, first: str = "construction", second: str = "function changes by") -> str:
    """What holds, group by unit, and what breaks where an assumption is dropped: median and largest over seeds."""
    head = (first, "unit", "median", "largest", second)
    held = [
        (row.group, row.kind, *_spread(row.values), f"{max(row.changes):.1e}" if row.changes else "")
        for row in rows
        if not row.dropped
    ]
    head_dropped = (first, "unit", "dropped", "median", "smallest", "largest", "")
    dropped = [
        (
            row.group,
            row.kind,
            row.dropped,
            *_spread(row.values, smallest=True),
            "still holds" if row.rests else "breaks",
        )
        for row in rows
        if row.dropped
    ]
    return f"{what}: assumptions hold\n{aligned([head, *held])}\n\n{what}: one assumption dropped\n{aligned([head_dropped, *dropped])}"


def _spread(values: Sequence[float], smallest: bool = False) -> tuple[str, ...]:
    found = (np.median(values), *([np.min(values)] if smallest else []), np.max(values))
    return tuple(f"{value:.1e}" for value in found)


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
