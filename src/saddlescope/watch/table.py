"""A recording from a table: step, loss, and what else there is in a CSV file."""

import csv
import os
import re
from pathlib import Path

import numpy as np

from .losses import Losses
from .recording import Recording

#: What columns are called, in lower case and with _ for everything that is no letter or digit.
STEP = ("step", "steps", "global_step", "iteration", "iter", "it", "update", "updates", "t")
LOSS = ("loss", "train_loss", "training_loss", "loss_train", "train_loss_step", "loss_step")
OTHER = {
    "variation": ("variation", "q", "probe_variation"),
    "output": ("output", "output_rms", "rms_output"),
    "probe_loss": ("probe_loss", "loss_probe"),
    "learning_rate": ("learning_rate", "lr", "train_learning_rate", "lr_sgd", "lr_adam", "lr_adamw"),
}
#: "norm of NAME", "norm(NAME)", "norm:NAME", "weight_norm/NAME", "grad_norm/NAME", "largest/NAME"
WEIGHT = re.compile(
    r"^(?P<what>weight_norm|norm|grad_norm|gradient_norm|largest)(?: of |[(:/]\s*)(?P<name>.+?)\)?$", re.I
)
WHAT = {
    "weight_norm": "weight_norm",
    "norm": "weight_norm",
    "grad_norm": "gradient_norm",
    "gradient_norm": "gradient_norm",
    "largest": "weight_largest",
}
MOST_ROWS = 10_000_000
MOST_COLUMNS = 10_000


def read_table(path: Path) -> Recording:
    """A recording from a CSV file with a row of names on top: a step, a loss, and columns named as in `OTHER` or `WEIGHT`, in any order; others are left alone.

    Rows where a cell is empty, or no number, have not seen that column. Steps that go back replace what was seen of them, and the record says so.

    **Raises:** `OSError` where it cannot be opened; `ValueError`, in one line, where it has no step or nothing else to read.
    """
    label = repr(os.fspath(path))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            try:
                head = next(rows)
            except StopIteration:
                raise ValueError(f"{label} needs a row of names and rows of numbers: it is empty.") from None
            return _read(rows, head, label)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{label} needs to be a table in CSV, in UTF-8: {error}.") from error


def _read(rows, head: list[str], label: str) -> Recording:
    if len(head) > MOST_COLUMNS:
        raise ValueError(f"{label} has {len(head)} columns: more than {MOST_COLUMNS} are not read.")
    plain = [re.sub(r"\W+", "_", name.strip().lower()).strip("_") for name in head]

    def column(names: tuple[str, ...]) -> int | None:
        return next((plain.index(name) for name in names if name in plain), None)

    step_at, loss_at = column(STEP), column(LOSS)
    others = {name: at for name, names in OTHER.items() if (at := column(names)) is not None}
    by_weight = {
        (WHAT[m["what"].lower()], m["name"].strip()): i
        for i, name in enumerate(head)
        if (m := WEIGHT.match(name.strip()))
    }
    if step_at is None or (loss_at is None and not others and not by_weight):
        raise ValueError(
            f"{label} needs a column step and one of loss, variation, learning_rate: found {', '.join(map(repr, head[:20]))}."
        )
    losses, steps, seen, gaps, bad = Losses(), [], [], [], 0
    wanted = [*others.values(), *by_weight.values()]
    last: int | None = None
    for n, row in enumerate(rows):
        if n >= MOST_ROWS:
            raise ValueError(f"{label} has more than {MOST_ROWS} rows.")
        number = _number(row, step_at)
        if not np.isfinite(number) or abs(number) > 2**53:
            bad += any(cell.strip() for cell in row)
            continue
        step = int(number)
        if last is not None and step < last:
            gaps.append(
                f"steps went back from {last} to {step}: what was seen of {step} to {last} before is replaced by what came after"
            )
            losses.go_back(step)
            keep = int(np.searchsorted(steps, step, "left"))
            del steps[keep:], seen[keep:]
        last = step
        if loss_at is not None and _there(row, loss_at):
            losses.add(step, _number(row, loss_at))
        values = [_number(row, at) for at in wanted]
        if any(np.isfinite(v) for v in values):
            if steps and steps[-1] == step:  # the same step on two rows, as loggers write it
                seen[-1] = [b if np.isnan(a) else a for a, b in zip(values, seen[-1], strict=True)]
            else:
                steps.append(step)
                seen.append(values)
    loss_step, loss = losses.arrays()
    if not loss_step.size and not steps:
        raise ValueError(f"{label} needs rows of numbers below its names: found none with a step.")
    table = np.array(seen, np.float64).reshape(len(steps), len(wanted))
    at = {place: i for i, place in enumerate(wanted)}
    names = list(dict.fromkeys(name for _, name in by_weight))
    rest: dict = {name: table[:, at[i]] for name, i in others.items()}
    for what in set(WHAT.values()):
        columns = [by_weight.get((what, name)) for name in names]
        rest[what] = (
            np.stack([np.full(len(steps), np.nan) if c is None else table[:, at[c]] for c in columns], axis=1)
            if names
            else np.zeros((len(steps), 0))
        )
    skipped = [f"{bad} rows without a step"] if bad else []
    facts = {"source": label.strip("'\""), "gaps": gaps[:100], "skipped": skipped}
    return Recording.of(
        loss_step=loss_step, loss=loss, step=steps, weights=dict.fromkeys(names, ()), facts=facts, **rest
    )


def _there(row: list[str], at: int) -> bool:
    return at < len(row) and bool(row[at].strip())


def _number(row: list[str], at: int) -> float:
    try:
        return float(row[at])
    except (ValueError, IndexError):
        return float("nan")
