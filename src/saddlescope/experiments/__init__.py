"""One claim of the paper, or of ours, a file; `reproduce` runs them and writes the report."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from . import corollary_2, figure_1, in_the_wild, lemma_6, proposition_5, scoreboard, theorem_1, theorem_3, theorem_4
from ._base import Claim, Outcome, Progress, claim
from .report import write

#: The paper's experiments by name, in its order. A new one is a file with NAME, TITLE and `reproduce`.
EXPERIMENTS: dict[str, ModuleType] = {
    module.NAME: module for module in (figure_1, theorem_1, corollary_2, theorem_3, theorem_4, proposition_5, lemma_6)
}

#: Experiments of ours, which the paper does not have; the name "ours" stands for all of them.
OURS: dict[str, ModuleType] = {module.NAME: module for module in (scoreboard, in_the_wild)}


def reproduce(names: Sequence[str], out: Path, quick: bool, progress: Progress) -> list[dict[str, Any]]:
    """Runs the named experiments (all of the paper's where none is named), writes report.html and claims.json into `out`.

    Pictures and tables (`NAME.txt`) stand beside them. Returns the claims as they stand in claims.json.
    """
    chosen: dict[str, ModuleType] = {}
    for name in names or EXPERIMENTS:
        chosen |= OURS if name == "ours" else {name: (EXPERIMENTS | OURS)[name]}
    out.mkdir(parents=True, exist_ok=True)
    outcomes = {name: (module.TITLE, module.reproduce(out, quick, progress)) for name, module in chosen.items()}
    for name, (_, outcome) in outcomes.items():
        if outcome.table:
            (out / f"{name}.txt").write_text(outcome.table + "\n", encoding="utf-8")
    return write(outcomes, out, quick)


__all__ = ["EXPERIMENTS", "OURS", "Claim", "Outcome", "claim", "reproduce"]
