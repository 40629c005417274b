"""What a plateau is, with which constants it was found, and what a series must look like before anyone searches it."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
class PlateauConstants:
    """The constants in the definition of a plateau; a record carries them with every count of stages.

    **Arguments:**

    - `persistence`: least rise of log10(speed) on both sides of a plateau, in decades.
    - `loss_difference`: least difference of loss to the neighbouring plateaus and to the final state, as a part of
      (first loss - final loss).
    - `marginal`: a persistence between `persistence` and this, in decades, is to be reported as marginal.
    - `start_ratio`: the first sample is a plateau if its speed is at most this part of the next maximum.
    - `noise_factor`: both differences above must also exceed this many standard deviations of the measured noise.
      Extremes of 1e6 independent Gaussian samples lie 9.8 standard deviations apart, of 1e4 samples 7.7.
    - `kink_jump`: least jump of log10(speed) between adjacent samples that can be a kink, in decades.
    - `kink_ratio`: a kink changes log10(speed) by more than this many times what the slopes beside it explain.

    **Raises:** `ValueError` if one of them is not positive and finite, or `start_ratio` is above 1.
    """

    persistence: float = 0.1
    loss_difference: float = 1e-3
    marginal: float = 0.3
    start_ratio: float = 0.5
    noise_factor: float = 8.0
    kink_jump: float = 0.02
    kink_ratio: float = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"PlateauConstants: `{field.name}` must be positive and finite, found {value}.")
        if self.start_ratio > 1:
            raise ValueError(f"PlateauConstants: `start_ratio` must be at most 1, found {self.start_ratio}.")


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """One plateau of a run, at its slowest sample.

    `index` is the position of that sample in the series; `t` (learning rate x steps), `loss` and `speed` are its
    values; `persistence` is the rise of log10(speed), in decades, that separates it from the rest of the run. A run
    that starts on a plateau has it at index 0, though its persistence is measured from the slowest sample of all.
    """

    index: int
    t: float
    loss: float
    speed: float
    persistence: float


def checked_series(t: ArrayLike, loss: ArrayLike, speed: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """The three columns as float64 arrays of one length.

    **Shapes:** three times `[time]`, at least one sample. Equal adjacent times are allowed (an event).

    **Raises:** `ValueError` if the shapes disagree, a value is not finite, times decrease or a speed is negative; the
    message names the first bad index.
    """
    columns = {name: np.asarray(a, dtype=np.float64) for name, a in (("t", t), ("loss", loss), ("speed", speed))}
    shapes = {name: a.shape for name, a in columns.items()}
    if len(set(shapes.values())) != 1 or columns["t"].ndim != 1 or columns["t"].size == 0:
        raise ValueError(f"A series needs t, loss and speed of one shape [time], not empty: found {shapes}.")
    finite = np.all([np.isfinite(a) for a in columns.values()], axis=0)
    if not finite.all():
        bad = int(np.argmin(finite))
        found = ", ".join(f"{name} = {a[bad]}" for name, a in columns.items())
        raise ValueError(f"A series needs finite values: index {bad} has {found}. Cut the padding off first.")
    if (bad := int(np.argmax(columns["speed"] < 0))) or columns["speed"][0] < 0:
        raise ValueError(f"A speed is a norm and cannot be negative: index {bad} has {columns['speed'][bad]}.")
    if np.any(backwards := np.diff(columns["t"]) < 0):
        bad = int(np.argmax(backwards)) + 1
        raise ValueError(f"Times must not decrease: index {bad} has {columns['t'][bad]} after {columns['t'][bad - 1]}.")
    return columns["t"], columns["loss"], columns["speed"]
