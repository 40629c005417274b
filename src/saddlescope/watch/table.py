"""A recording from a table: step, loss, and what else there is in a CSV file."""

import csv
import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .heading import WHAT, columns, encoding, heading
from .losses import Losses
from .recording import Recording

MOST_ROWS = 10_000_000
MOST_COLUMNS = 10_000
#: Snapshots that a table gives at most, of each column.
MOST_SNAPSHOTS = 4000
#: Larger numbers have no square in float64, and no training: what they were is not known.
LARGEST = 1e150
#: Where steps go back at so many rows, at least, and in such a part of them, that is no training gone on with, but no order.
MOST_RESTARTS, RESTARTS_PART = 3, 0.05
CHUNK = 100_000
#: 1,000 or 1,234.5, in quotes where commas separate cells.
THOUSANDS = re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$")


def read_table(path: Path) -> Recording:
    """A recording from a table with a row of names on top: a step, a loss, and columns named as in `OTHER` or `WEIGHT`, in any order; others are left alone.

    Cells are separated by commas, semicolons (decimal commas then), tabs, bars or spaces. TensorBoard's (Wall time, Step, Value) and wandb's ("run - train/loss") are
    known. In UTF-8, or UTF-16 as spreadsheets write it. A column of epochs counts as steps where there is no other, and the record says so. Rows where a cell is empty, or no number, have not seen that column. Steps that go back a few times replace what was seen of them, and the record says so; rows in no order
    are sorted, and the record says that.

    **Raises:** `OSError` where it cannot be opened; `ValueError`, in one line, where it has no step or nothing else to read, steps are no whole numbers, or
    begin anew again and again.
    """
    label = repr(os.fspath(path))
    try:
        with path.open(newline="", encoding=encoding(path)) as file:
            top = next((line for line in file if line.strip()), None)
            if top is None:
                raise ValueError(f"{label} needs a row of names and rows of numbers: it is empty.")
            separator, head = heading(top)
            rows = csv.reader(file, delimiter=separator, skipinitialspace=separator == " ")
            return _read(rows, head, label, decimal_comma=separator != ",")
    except (UnicodeError, csv.Error) as error:
        raise ValueError(f"{label} needs to be a table in CSV, in UTF-8 or UTF-16: {error}.") from error


def _read(rows: Iterable[list[str]], head: list[str], label: str, *, decimal_comma: bool) -> Recording:
    if len(head) > MOST_COLUMNS:
        raise ValueError(f"{label} has {len(head)} columns: more than {MOST_COLUMNS} are not read.")
    step_at, epochs, loss_at, others, by_weight = columns(head)
    if step_at is None or (loss_at is None and not others and not by_weight):
        raise ValueError(
            f"{label} needs a column step (or epoch) and one of loss, variation, learning_rate: found {', '.join(map(repr, head[:20]))}."
        )
    wanted = [*others.values(), *by_weight.values()]
    steps, loss, heard, values, bad = _numbers(rows, step_at, loss_at, wanted, label, decimal_comma=decimal_comma)
    if not steps.size:
        raise ValueError(f"{label} needs rows of numbers below its names: found none with a step.")
    counted = _counted(steps) if epochs else ""
    if counted and counted != EPOCHS:
        steps = np.arange(len(steps), dtype=float)
    broken = steps != np.floor(steps)
    if broken.any():
        raise ValueError(
            f"{label} needs whole numbers as steps: found {steps[broken][0]:g}, and {int(broken.sum())} such in {len(steps)} rows. Multiply them, or name another "
            "column step."
        )
    skipped = [f"{bad} rows without a step"] if bad else []
    large = np.isfinite(loss) & (np.abs(loss) > LARGEST)
    if large.any():
        if large.sum() == heard.sum():
            raise ValueError(f"{label} needs losses below {LARGEST:g}: all {int(heard.sum())} are above.")
        loss = np.where(large, np.copysign(np.inf, loss), loss)
        skipped.append(f"{int(large.sum())} losses above {LARGEST:g}, taken as infinite")
    values = np.where(np.abs(values) <= LARGEST, values, np.nan)
    steps = steps.astype(np.int64)
    kept, gaps = _in_order(steps, label)
    gaps += [counted] if counted else []
    steps, loss, heard, values = steps[kept], loss[kept], heard[kept], values[kept]
    losses, at = (
        Losses(),
        np.searchsorted(steps[heard], steps[heard], "right") - 1,
    )  # of the same step on several rows the last
    at = np.unique(at)
    if repeated := int(heard.sum()) - len(at):
        skipped.append(f"{repeated} losses of steps of which there is another: the last counts")
    for step, one in zip(steps[heard][at].tolist(), loss[heard][at].tolist(), strict=True):
        losses.add(step, one)
    loss_step, loss = losses.arrays()
    steps, table = _merged(steps, values)
    if not loss_step.size and not steps.size:
        raise ValueError(f"{label} needs rows of numbers below its names: found none with a step.")
    place = {column: i for i, column in enumerate(wanted)}
    names = list(dict.fromkeys(name for _, name in by_weight))
    rest: dict = {name: table[:, place[i]] for name, i in others.items()}
    for what in set(WHAT.values()):
        places = [by_weight.get((what, name)) for name in names]
        rest[what] = (
            np.stack([np.full(len(steps), np.nan) if c is None else table[:, place[c]] for c in places], axis=1)
            if names
            else np.zeros((len(steps), 0))
        )
    facts = {"source": label.strip("'\""), "gaps": gaps, "skipped": skipped}
    return Recording.of(
        loss_step=loss_step, loss=loss, step=steps, weights=dict.fromkeys(names, ()), facts=facts, **rest
    )


def _numbers(
    rows: Iterable[list[str]], step_at: int, loss_at: int | None, wanted: list[int], label: str, *, decimal_comma: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Steps [n], losses [n], whether there was one [n], the columns wanted [n, columns], NaN where there is no number; and how many rows had no step."""
    parts: list[tuple[np.ndarray, ...]] = []
    bad, read = 0, 0
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, CHUNK)):
        read += len(chunk)
        if read > MOST_ROWS:
            raise ValueError(f"{label} has more than {MOST_ROWS} rows.")
        step = np.array([_number(row, step_at, decimal_comma) for row in chunk])
        good = np.abs(step) <= 2**53  # not NaN either
        bad += sum(any(cell.strip() for cell in chunk[i]) for i in np.flatnonzero(~good))
        chunk = [chunk[i] for i in np.flatnonzero(good)]
        if loss_at is None:
            loss, heard = np.full(len(chunk), np.nan), np.zeros(len(chunk), bool)
        else:
            loss = np.array([_number(row, loss_at, decimal_comma) for row in chunk], float)
            heard = ~np.isnan(loss) | np.array([_there(row, loss_at) for row in chunk], bool)
        others = [[_number(row, at, decimal_comma) for row in chunk] for at in wanted]
        parts.append((step[good], loss, heard, np.array(others, float).reshape(len(wanted), len(chunk)).T))
    if not parts:
        return np.zeros(0), np.zeros(0), np.zeros(0, bool), np.zeros((0, len(wanted))), bad
    step, loss, heard, others = (np.concatenate(part) for part in zip(*parts, strict=True))
    return step, loss, heard, others, bad


#: What is said of steps that are epochs.
EPOCHS = "steps are epochs, as there was no other column: a learning rate is that of a step, and the clock is not known"


def _counted(epochs: np.ndarray) -> str:
    """What epochs as steps are taken for: themselves where each has one row, otherwise a count of rows."""
    if np.array_equal(epochs, np.floor(epochs)) and not np.any(np.diff(epochs) == 0):
        return EPOCHS
    return "steps are rows, counted from 0, as there was only a column of epochs, with parts of them or several rows each: the clock is not known"


def _in_order(steps: np.ndarray, label: str) -> tuple[np.ndarray, list[str]]:
    """The rows that count, in the order of their steps, and what there is to say about that."""
    back = np.flatnonzero(np.diff(steps) < 0) + 1
    if not back.size:
        return np.arange(len(steps)), []
    if len(back) >= MOST_RESTARTS and np.mean(steps[back] == steps.min()) > 0.9:
        raise ValueError(
            f"{label} needs steps that go on: they begin anew at {steps.min()} in {len(back)} rows. Give one training, and steps counted through all of its epochs."
        )
    if len(back) >= MOST_RESTARTS and len(back) > RESTARTS_PART * len(steps):
        return np.argsort(steps, kind="stable"), [
            f"steps went back in {len(back)} of {len(steps)} rows: they are in no order, and were sorted"
        ]
    # a row is replaced where the steps later go back to it or before it
    restarts = np.full(len(steps) + 1, np.iinfo(np.int64).max)
    restarts[back] = steps[back]
    kept = np.flatnonzero(steps < np.minimum.accumulate(restarts[::-1])[::-1][1:])
    said = [
        f"steps went back from {steps[i - 1]} to {steps[i]}: what was seen of {steps[i]} to {steps[i - 1]} before is replaced by what came after"
        for i in back[:MOST_RESTARTS]
    ]
    if len(back) > MOST_RESTARTS:
        said = [
            f"steps went back {len(back)} times, by {int(np.max(steps[back - 1] - steps[back]))} at most: what was seen of them before is replaced by what came after, "
            f"{len(steps) - len(kept)} rows"
        ]
    return kept, said


def _merged(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row for each step at which there is a number, of all that its rows say, the last first; of very many, some of each column."""
    finite = np.isfinite(values)
    there = finite.any(axis=1)
    steps, values, finite = steps[there], values[there], finite[there]
    once, where = np.unique(steps, return_inverse=True)
    table = np.full((len(once), values.shape[1]), np.nan)
    for j in range(values.shape[1]):
        table[where[finite[:, j]], j] = values[finite[:, j], j]
    if len(once) <= MOST_SNAPSHOTS:
        return once, table
    chosen: set[int] = set()
    for j in range(table.shape[1]):
        known = np.flatnonzero(np.isfinite(table[:, j]))
        early, late = known[: MOST_SNAPSHOTS // 2], known[MOST_SNAPSHOTS // 2 :]
        if len(late) > MOST_SNAPSHOTS // 2:
            late = late[np.linspace(0, len(late) - 1, MOST_SNAPSHOTS // 2).astype(int)]
        chosen.update(early.tolist(), late.tolist())
    picked = np.array(sorted(chosen))
    return once[picked], table[picked]


def _there(row: list[str], at: int) -> bool:
    return at < len(row) and bool(row[at].strip())


def _number(row: list[str], at: int, decimal_comma: bool) -> float:
    if at >= len(row):
        return float("nan")
    cell = row[at]
    try:
        return float(cell)
    except ValueError:
        if "," not in cell:
            return float("nan")
    cell = cell.strip()
    if decimal_comma and cell.count(",") == 1 and "." not in cell:
        cell = cell.replace(",", ".")
    elif THOUSANDS.match(cell):
        cell = cell.replace(",", "")
    try:
        return float(cell)
    except ValueError:
        return float("nan")
