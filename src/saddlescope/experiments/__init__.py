"""One claim of the paper, or of ours, a file; `reproduce` runs them and writes the report."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from . import (
    _finished,
    conjecture_7,
    corollary_2,
    figure_1,
    figure_2,
    figure_3,
    figure_4,
    figure_5,
    figure_6,
    in_the_wild,
    lemma_6,
    proposition_5,
    scoreboard,
    table_1,
    theorem_1,
    theorem_3,
    theorem_4,
)
from ._base import Claim, Outcome, Progress, claim
from .report import write

#: The paper's experiments by name, in its order. A new one is a file with NAME, TITLE and `reproduce`.
EXPERIMENTS: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        figure_1,
        figure_2,
        figure_3,
        table_1,
        figure_4,
        figure_5,
        figure_6,
        theorem_1,
        corollary_2,
        theorem_3,
        theorem_4,
        proposition_5,
        lemma_6,
        conjecture_7,
    )
}

#: Experiments of ours, which the paper does not have; the name "ours" stands for all of them.
OURS: dict[str, ModuleType] = {module.NAME: module for module in (scoreboard, in_the_wild)}


def reproduce(
    names: Sequence[str], out: Path, quick: bool, progress: Progress, *, fresh: bool = False
) -> list[dict[str, Any]]:
    """Runs the named experiments (all of the paper's where none is named), writes report.html and claims.json into `out`.

    Pictures and tables (`NAME.txt`) stand beside them. An experiment that is done already, in `out` and by the same source, is taken as it is unless `fresh`; the report is written
    again after each, so that an interrupted reproduction has a report of what is done, and goes on where it was. Returns the claims as they stand in claims.json.
    """
    chosen: dict[str, ModuleType] = {}
    for name in names or EXPERIMENTS:
        chosen |= OURS if name == "ours" else {name: (EXPERIMENTS | OURS)[name]}
    out.mkdir(parents=True, exist_ok=True)
    outcomes: dict[str, tuple[str, Outcome]] = {}
    rows: list[dict[str, Any]] = []
    for number, (name, module) in enumerate(chosen.items()):

        def told(part: float | None, text: str, number: int = number) -> None:
            words = f"[{number + 1} of {len(chosen)}] {text}" if len(chosen) > 1 else text
            progress(None if part is None else (number + part) / len(chosen), words)

        outcome = None if fresh else _finished.load(name, out, quick)
        if outcome is None:
            outcome = module.reproduce(out, quick, told)
            if outcome.table:
                (out / f"{name}.txt").write_text(outcome.table + "\n", encoding="utf-8")
            _finished.save(name, outcome, out, quick)
        else:
            told(1.0, f"{name}: done before")
        outcomes[name] = (module.TITLE, outcome)
        rows = write(outcomes, out, quick, len(chosen))
    return rows


__all__ = ["EXPERIMENTS", "OURS", "Claim", "Outcome", "claim", "reproduce"]
