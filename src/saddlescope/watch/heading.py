"""The first row of a table: what separates cells, what columns are called, and how the file is encoded."""

import csv
import re
from pathlib import Path
from typing import NamedTuple

#: What columns are called, in lower case and with _ for everything that is no letter or digit.
STEP = ("step", "steps", "global_step", "iteration", "iter", "it", "update", "updates", "t")
EPOCH = ("epoch", "epochs", "train_epoch")
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
#: What may stand between cells.
SEPARATORS = (",", ";", "\t", "|", " ")
#: Marks at the start of a file that say how it is encoded, the longer ones first. Spreadsheets write "Unicode text" in UTF-16.
MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


class Columns(NamedTuple):
    """Where the step is, and whether it counts epochs; the loss; what goes by a name of its own, and what by weights."""

    step: int | None
    epochs: bool
    loss: int | None
    others: dict[str, int]
    by_weight: dict[tuple[str, str], int]


def encoding(path: Path) -> str:
    """By the mark at the start, or by where zeros are: UTF-16 without a mark has one beside every letter.

    **Raises:** `OSError` where it cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(256)
    for mark, name in MARKS:
        if start.startswith(mark):
            return name
    if start.count(0) >= max(len(start) // 4, 1):
        return "utf-16-le" if start[1::2].count(0) >= start[::2].count(0) else "utf-16-be"
    return "utf-8-sig"


def heading(line: str) -> tuple[str, list[str]]:
    """What separates the cells of a table, and its names: the first separator with which there is a step."""
    heads = {}
    for separator in SEPARATORS:
        try:
            heads[separator] = next(csv.reader([line], delimiter=separator, skipinitialspace=separator == " "))
        except StopIteration:
            continue
        if columns(heads[separator]).step is not None:
            return separator, heads[separator]
    return ",", heads[","]


def columns(head: list[str]) -> Columns:
    """What the names on top say; epochs are steps where there are no others."""
    # wandb puts the name of the run in front: "run-1 - train/loss"
    bare = [name.rsplit(" - ", 1)[-1] for name in head]
    plain = [re.sub(r"\W+", "_", name.strip().lower()).strip("_") for name in bare]

    def column(names: tuple[str, ...]) -> int | None:
        return next((plain.index(name) for name in names if name in plain), None)

    loss = column(LOSS)
    if loss is None and set(plain) == {"wall_time", "step", "value"}:  # one scalar, as TensorBoard writes it
        loss = plain.index("value")
    others = {name: at for name, names in OTHER.items() if (at := column(names)) is not None}
    by_weight = {
        (WHAT[m["what"].lower()], m["name"].strip()): i
        for i, name in enumerate(head)
        if (m := WEIGHT.match(name.strip()))
    }
    step, epoch = column(STEP), column(EPOCH)
    return Columns(epoch if step is None else step, step is None and epoch is not None, loss, others, by_weight)
