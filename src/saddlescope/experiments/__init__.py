"""One claim of the paper, or of ours, a file; `reproduce` runs them and writes the report."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ..tasks import Digits
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
from ._side_by_side import side_by_side
from .report import write

#: The paper's experiments by name, in its order. A new one is a file with NAME, TITLE and `reproduce`; one with DIGITS can be given images.
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
    names: Sequence[str],
    out: Path,
    quick: bool,
    progress: Progress,
    *,
    fresh: bool = False,
    workers: int = 1,
    begin: Callable[[], None] = int,
    digits: Path | None = None,
) -> list[dict[str, Any]]:
    """Runs the named experiments (all of the paper's where none is named), writes report.html and claims.json into `out`.

    Pictures and tables (`NAME.txt`) stand beside them. An experiment that is done already, in `out` and by the same source, is taken as it is unless `fresh`; the report is written
    again after each, so that an interrupted reproduction has a report of what is done, and goes on where it was. Returns the claims as they stand in claims.json.

    `digits`: images of the user's own, for experiments on images of digits (those with `DIGITS`); as the task "digits" reads them, all ten classes. Outcomes that are expected are those of the
    images that come with the package.

    With more than one worker, experiments run side by side in processes of their own, each of which calls `begin` first (see `_side_by_side`). Numbers are the same.

    **Raises:** `ValueError`, `OSError` or `DataError` for `digits` that cannot be read, or that none of the experiments would read.
    """
    chosen: dict[str, ModuleType] = {}
    for name in names or EXPERIMENTS:
        chosen |= OURS if name == "ours" else {name: (EXPERIMENTS | OURS)[name]}
    read = {name: _images(module, digits) for name, module in chosen.items()}
    if digits is not None:
        if not any(read.values()):
            readers = ", ".join(name for name, module in EXPERIMENTS.items() if hasattr(module, "DIGITS"))
            raise ValueError(
                f"images of digits are for {readers}: found only {', '.join(chosen)}. Leave the images out."
            )
        Digits(file=str(digits), classes=tuple(range(10))).data("vectors")  # before anything else takes its time
    out.mkdir(parents=True, exist_ok=True)
    outcomes: dict[str, Outcome] = {}
    if not fresh:
        done = {name: _finished.load(name, out, quick, read[name]) for name in chosen}
        outcomes = {name: outcome for name, outcome in done.items() if outcome is not None}
    if outcomes:
        progress(len(outcomes) / len(chosen), f"done before: {', '.join(outcomes)}")
    todo = [name for name in chosen if name not in outcomes]
    rows: list[dict[str, Any]] = []
    many = min(workers, len(todo)) > 1
    does = partial(_reproduced, out, quick, digits)
    done = side_by_side(does, todo, workers, begin, progress) if many else _in_turn(does, todo, progress)
    for name, outcome in done:
        outcomes[name] = outcome
        rows = _written(chosen, outcomes, out, quick)
    return rows or _written(chosen, outcomes, out, quick)


def _written(
    chosen: dict[str, ModuleType], outcomes: dict[str, Outcome], out: Path, quick: bool
) -> list[dict[str, Any]]:
    """The report of what there is, in the order that was asked for."""
    return write({n: (chosen[n].TITLE, outcomes[n]) for n in chosen if n in outcomes}, out, quick, len(chosen))


def _images(module: ModuleType, digits: Path | None) -> Path | None:
    """The images that an experiment is to read: the user's, if it reads any."""
    return digits if hasattr(module, "DIGITS") else None


def _reproduced(out: Path, quick: bool, digits: Path | None, name: str, progress: Progress) -> Outcome:
    module = (EXPERIMENTS | OURS)[name]
    images = _images(module, digits)
    outcome = module.reproduce(out, quick, progress, **({"digits": images} if images else {}))
    if outcome.table:
        (out / f"{name}.txt").write_text(outcome.table + "\n", encoding="utf-8")
    _finished.save(name, outcome, out, quick, images)
    return outcome


def _in_turn(
    does: Callable[[str, Progress], Outcome], names: Sequence[str], progress: Progress
) -> Iterator[tuple[str, Outcome]]:
    for number, name in enumerate(names):

        def told(part: float | None, text: str, number: int = number) -> None:
            words = f"[{number + 1} of {len(names)}] {text}" if len(names) > 1 else text
            progress(None if part is None else (number + part) / len(names), words)

        yield name, does(name, told)


__all__ = ["EXPERIMENTS", "OURS", "Claim", "Outcome", "claim", "reproduce"]
