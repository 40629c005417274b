r"""What a task is: where inputs and targets come from, with no network in sight.

A task answers one question, `data(form)`: the pairs that a network of that form trains on. The answer is a finite
sample with weights, or, where the distribution is simple enough, its exact second moments, with which the loss of a
network that is linear in those features is exact and no sampling noise blurs a plateau.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

# form of x -> (its shape, the networks that take it)
FORMS: dict[str, tuple[str, str]] = {
    "vectors": ("[samples, inputs]", "a fully connected network"),
    "signals": ("[samples, length]", "a convolutional network"),
    "tokens": ("[samples, tokens, embedding]", 'an attention network with input = "tokens"'),
    "cubic": ("[samples, 2, inputs]", 'an attention network with input = "cubic"'),
}


class DataError(ValueError):
    """Data with bad content: a missing array, a wrong shape, a NaN. (What a spec asks wrongly is a ValueError.)"""


def as_numbers(name: str, value: object) -> np.ndarray:
    """Returns `value` as a new float64 array in C order, or says where it is not one.

    Integers, booleans and floats of any size are taken.

    **Raises:** `DataError` for complex numbers, text and objects, and at the first entry that is not finite, with its
    row and column counted from 0.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise DataError(
            f"{name} needs one array of numbers, found rows that do not fit together: pad or cut them."
        ) from error
    if array.dtype.kind not in "biuf":
        way_out = (
            "save its real and imaginary parts apart" if array.dtype.kind == "c" else "convert it with astype(float)"
        )
        raise DataError(f"{name} needs real numbers, found dtype {array.dtype}: {way_out}.")
    with np.errstate(over="ignore"):  # an extended float too large for 64 bits becomes inf, which is refused below
        array = np.array(array, dtype=np.float64, order="C")
    finite = np.isfinite(array)
    if not finite.all():
        found = tuple(int(i) for i in np.unravel_index(np.argmin(finite), array.shape))
        column = "" if len(found) < 2 else f", column {found[1] if len(found) == 2 else found[1:]}"
        row = f" at row {found[0]}{column} (counted from 0)" if found else ""
        raise DataError(
            f"{name} needs finite numbers, found {array[found]}{row}, {np.sum(~finite)} such in all: "
            "drop those samples or fill in the values."
        )
    return array


@dataclass(frozen=True, eq=False)
class Samples:
    r"""A finite data set, in float64; every mean is $\mathbb E\,g = \sum_n w_n\, g(x_n, y_n)$.

    **Arguments:**

    - `x`: inputs `[samples, ...]`.
    - `y`: targets `[samples, outputs]`; `[samples]` becomes one column.
    - `weight`: `[samples]`, not negative; divided by its sum. None weighs all samples alike.

    **Raises:** `DataError` if these are not finite real arrays of such shapes with one sample or more.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray = None  # type: ignore  # None when called; an array once made

    def __post_init__(self):
        x, y = as_numbers("x", self.x), as_numbers("y", self.y)
        if y.ndim == 1:
            y = y[:, None]
        if x.ndim < 2:
            raise DataError(
                f"x needs shape [samples, inputs] or more axes, found {x.shape}: for one input, give x[:, None]."
            )
        if y.ndim != 2:
            raise DataError(
                f"y needs shape [samples, outputs], found {y.shape}: flatten the outputs of a sample into a row."
            )
        if x.size == 0 or y.size == 0:
            raise DataError(
                f"x and y need at least one sample, one input and one output, found shapes {x.shape} and {y.shape}: "
                "check what was selected before saving."
            )
        num_samples = x.shape[0]
        if y.shape[0] != num_samples:
            raise DataError(
                f"x and y need as many samples, found {num_samples} in x and {y.shape[0]} in y "
                f"(shapes {x.shape}, {y.shape}): the first axis counts samples in both."
            )
        if self.weight is None:
            weight = np.full(num_samples, 1.0 / num_samples)
        else:
            weight = as_numbers("weight", self.weight)
            if weight.shape != (num_samples,):
                raise DataError(
                    f"weight needs shape ({num_samples},), one number a sample of x, found {weight.shape}: flatten it."
                )
            if weight.min() < 0:
                row = int(np.argmax(weight < 0))
                raise DataError(
                    f"weight needs numbers from 0 up, found {weight[row]} at row {row} (counted from 0): drop it."
                )
            if weight.max() == 0:
                raise DataError(
                    "weight needs a positive number, found only zeros: leave weight out to count all samples alike."
                )
            weight = weight / weight.max()  # first, so that the sum cannot overflow
            weight = weight / weight.sum()
        for name, value in (("x", x), ("y", y), ("weight", weight)):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Exact second moments of features $\psi(x)$ and targets $y$ over a population.

    With $f = C^\top \psi$ the loss is $\tfrac12 \operatorname{tr}(\mathbb E yy^\top - 2 C^\top \mathbb E\psi y^\top +
    C^\top \mathbb E\psi\psi^\top C)$.

    **Arguments:**

    - `name`: of psi. "inputs": x. "outer": x_a x_b for a <= b in the order of `numpy.triu_indices`. "cubic": beta_a x_b
        of (beta, x) = x, flattened in C order.
    - `psi_psi [P, P]`, `psi_y [P, outputs]`, `y_y [outputs, outputs]`: E[psi psi^T], E[psi y^T], E[y y^T].
    """

    name: str
    psi_psi: np.ndarray
    psi_y: np.ndarray
    y_y: np.ndarray

    def __post_init__(self):
        for name in ("psi_psi", "psi_y", "y_y"):
            object.__setattr__(self, name, as_numbers(name, getattr(self, name)))
        found = (self.psi_psi.shape, self.psi_y.shape, self.y_y.shape)
        features, outputs = self.psi_y.shape if self.psi_y.ndim == 2 else (None, None)
        if found != ((features, features), (features, outputs), (outputs, outputs)):
            raise DataError(
                f"Moments {self.name!r} need shapes [P, P], [P, outputs], [outputs, outputs], "
                f"found {found[0]}, {found[1]}, {found[2]}: give matrices, also for one output."
            )


@dataclass(frozen=True, eq=False)
class PopulationMoments:
    """A population, known through the exact moments of some features.

    **Arguments:**

    - `input_shape`: the shape of one x.
    - `outputs`: length of one y.
    - `moments`: name of psi -> its `Moments`; only those that are known exactly.
    """

    input_shape: tuple[int, ...]
    outputs: int
    moments: dict[str, Moments]


@dataclass(frozen=True, kw_only=True)
class AbstractTask(ABC):
    """A distribution of inputs and targets. Its fields are the keys of `[task]` in a spec, besides `kind`.

    A newcomer writes a frozen, keyword-only dataclass with `kind` (its name in a spec), `forms` (the forms of x that it
    can give), a `__post_init__` that checks the keys, and `build`; it then adds the class to the list in
    `tasks/__init__.py`.
    """

    kind: ClassVar[str]
    forms: ClassVar[tuple[str, ...]]

    def data(self, form: str) -> Samples | PopulationMoments:
        """Returns the data in the form that a network takes.

        **Arguments:**

        - `form`: one of "vectors", "signals", "tokens", "cubic" (shapes: `FORMS`).

        **Raises:** `ValueError` if this task does not come in that form; `DataError` if a file has bad content;
        `OSError` if it cannot be read.
        """
        if form not in FORMS:
            raise ValueError(
                f"A task was asked for the form {form!r}; it needs one of {', '.join(FORMS)}: choose one of them."
            )
        if form not in self.forms:
            shape, network = FORMS[form]
            suited = " or ".join(FORMS[name][1] for name in self.forms)
            others = [FORMS[name][0] for name in self.forms]
            raise ValueError(
                f'Task "{self.kind}" was asked for {form}, x {shape}, which {network} takes; '
                f'it has x {" or ".join(others)}: use {suited}, or kind = "arrays" with such data.'
            )
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # numbers beyond 64 bits are refused, by name, where they arrive
            return self.build(form)

    @abstractmethod
    def build(self, form: str) -> Samples | PopulationMoments:
        """Returns the data; `form` is one of `forms`."""
