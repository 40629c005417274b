"""The user's own data, from a file or from memory: what every other task is a shorthand for."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from . import _keys
from ._base import FORMS, AbstractTask, DataError, Samples
from ._npz import read_npz


@dataclass(frozen=True, kw_only=True)
class Arrays(AbstractTask):
    """The data in a `.npz` file, written with `np.savez(file, x=x, y=y)`.

    **Arguments:**

    - `file`: path of an archive with `x [samples, ...]`, `y [samples, outputs]` (or `[samples]`) and optionally `weight
        [samples]` (from 0 up, divided by its sum). Integers become float64.

    **Shapes** of x for each form: `FORMS`; x is passed on as it stands.

    **Raises:** on `data`, `OSError` if the file cannot be read, `DataError` if its content will not do, `ValueError` if
    x has not the axes that the form needs.
    """

    kind: ClassVar[str] = "arrays"
    forms: ClassVar[tuple[str, ...]] = tuple(FORMS)

    file: str

    def __post_init__(self):
        object.__setattr__(self, "file", _keys.path(self.kind, "file", self.file))

    def build(self, form: str) -> Samples:
        found = read_npz(self.file, required=("x", "y"), optional=("weight",))
        try:
            samples = Samples(**found)
        except DataError as error:
            raise DataError(f"{self.file!r}: {error}") from error
        _check_axes(samples.x, form, f"{self.file!r}: ")
        return samples


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayTask(AbstractTask):
    """Data in memory, for use from Python: `ArrayTask(x=x, y=y)`.

    **Arguments:** `x`, `y`, `weight` as in `Samples`; copied, so that later changes of the caller's arrays do not reach
    the task.

    **Raises:** `DataError` at once if they will not do; on `data`, `ValueError` if x has not the axes that the form
    needs.
    """

    kind: ClassVar[str] = "arrays"
    forms: ClassVar[tuple[str, ...]] = tuple(FORMS)

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray = None  # type: ignore  # as in Samples

    def __post_init__(self):
        samples = Samples(self.x, self.y, self.weight)
        for name in ("x", "y", "weight"):
            object.__setattr__(self, name, getattr(samples, name))

    def build(self, form: str) -> Samples:
        _check_axes(self.x, form, "")
        return Samples(self.x, self.y, self.weight)


def _check_axes(x: np.ndarray, form: str, label: str) -> None:
    shape, network = FORMS[form]
    axes = {"vectors": 2, "signals": 2, "tokens": 3, "cubic": 3}[form]
    if x.ndim != axes or (form == "cubic" and x.shape[1] != 2):
        fitting = [other for other, n in (("vectors", 2), ("signals", 2), ("tokens", 3)) if n == x.ndim]
        networks = " or ".join(FORMS[other][1] for other in fitting)
        way_out = f"reshape x, or use {networks}" if fitting else "reshape x"
        raise ValueError(f"{label}{network} needs x {shape}, found {x.shape}: {way_out}.")
    if form == "tokens" and x.shape[1] < 2:
        raise ValueError(
            f"{label}{network} needs 2 tokens or more, one of context and the query, found {x.shape[1]} in x "
            f"of shape {x.shape}: add context tokens before the query."
        )
