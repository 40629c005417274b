r"""A quadratic form to learn from Gaussian inputs: the task on which quadratic units learn one after another.

Fourth moments of a Gaussian are sums of products of its covariance, so the loss of a quadratic network is a polynomial
known exactly, $L = \tfrac12 [\operatorname{tr}(D\Sigma)^2 + 2\operatorname{tr}(D\Sigma D\Sigma)]$ with $D$ the
difference of the two forms.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from . import _keys
from ._base import AbstractTask, DataError, Moments, PopulationMoments, Samples, as_numbers
from ._npz import read_npz
from ._random import Purpose, stream

# room, relative to the largest entry or eigenvalue, for a covariance that was computed in single precision
SINGLE_PRECISION = 1e-6


@dataclass(frozen=True, kw_only=True)
class QuadraticTeacher(AbstractTask):
    r"""$y = x^\top B x$ with $x \sim \mathcal N(0, \Sigma)$; one output.

    **Arguments:**

    - `file`: path of a `.npz` archive with `matrix [inputs, inputs]` (B; only its symmetric part counts) and optionally
        `covariance [inputs, inputs]` (Sigma, default the identity).
    - `matrix`, `covariance`: the same as lists of rows, in place of a file.
    - `samples`: "population", or a number of samples.
    - `seed`: of the draws (see `_random`).

    **Holds** exactly in the population: features "outer" (quadratic units) and "inputs" (linear ones, to which y is
    uncorrelated).

    **Raises:** `ValueError` unless exactly one of `file` and `matrix` is given, and for lists that are no such
    matrices; on `data`, `OSError` and `DataError` for a file.
    """

    kind: ClassVar[str] = "quadratic_teacher"
    forms: ClassVar[tuple[str, ...]] = ("vectors", "signals")

    file: str | None = None
    matrix: tuple[tuple[float, ...], ...] | None = None
    covariance: tuple[tuple[float, ...], ...] | None = None
    samples: int | Literal["population"] = "population"
    seed: int = 0

    def __post_init__(self):
        kind = self.kind
        resolved = {
            "file": None if self.file is None else _keys.path(kind, "file", self.file),
            "matrix": None if self.matrix is None else _keys.rows(kind, "matrix", self.matrix),
            "covariance": None if self.covariance is None else _keys.rows(kind, "covariance", self.covariance),
            "samples": _keys.sample_count(kind, self.samples),
            "seed": _keys.integer(kind, "seed", self.seed, least=0),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)
        if (self.file is None) == (self.matrix is None):
            found = _keys.words("neither" if self.file is None else "both")
            _keys.refuse(
                kind, "the quadratic form", "either file or matrix", found, "write matrix = [[1.0, 0.0], [0.0, 1.0]]"
            )
        if self.file is not None and self.covariance is not None:
            found = _keys.words("both covariance and file in the spec")
            _keys.refuse(
                kind, "covariance", "to stand beside matrix", found, "put it into the file, or write matrix in the spec"
            )
        if self.file is None:
            try:
                _checked(self.matrix, self.covariance)
            except DataError as error:  # in the spec itself, not in a file
                raise ValueError(f'Task "{kind}": {error}') from error

    def build(self, form: str) -> Samples | PopulationMoments:
        if self.file is None:
            b, covariance = _checked(self.matrix, self.covariance)
        else:
            found = read_npz(self.file, required=("matrix",), optional=("covariance",))
            try:
                b, covariance = _checked(found["matrix"], found.get("covariance"))
            except DataError as error:
                raise DataError(f"{self.file!r}: {error}") from error
        inputs = b.shape[0]
        if self.samples == "population":
            return PopulationMoments((inputs,), 1, {m.name: m for m in gaussian_moments(b, covariance)})
        values, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # the symmetric root: no sign is left to choice
        x = stream(self.seed, Purpose.INPUTS).standard_normal((self.samples, inputs)) @ root
        return Samples(x, np.einsum("na,ab,nb->n", x, b, x)[:, None])


def gaussian_moments(b: np.ndarray, covariance: np.ndarray) -> tuple[Moments, Moments]:
    r"""Returns the moments of $y = x^\top B x$, $x \sim \mathcal N(0, \Sigma)$, with x_a x_b (a <= b) and with x.

    $\mathbb E\,x_a x_b x_c x_d = \Sigma_{ab}\Sigma_{cd} + \Sigma_{ac}\Sigma_{bd} + \Sigma_{ad}\Sigma_{bc}$ (Isserlis
    1918), summed over $B_{cd}$ where a target enters.

    **Shapes:** `b`, `covariance` `[D, D]`, symmetric; the first result has P = D (D + 1) / 2, the second P = D.
    """
    inputs = b.shape[0]
    a1, a2 = np.triu_indices(inputs)
    bs = b @ covariance
    pairs = covariance[a1, a2]
    psi_psi = np.outer(pairs, pairs)
    psi_psi += covariance[np.ix_(a1, a1)] * covariance[np.ix_(a2, a2)]
    psi_psi += covariance[np.ix_(a1, a2)] * covariance[np.ix_(a2, a1)]
    psi_y = pairs * np.trace(bs) + 2 * (covariance @ bs)[a1, a2]
    y_y = np.array([[np.trace(bs) ** 2 + 2 * np.trace(bs @ bs)]])
    return (
        Moments("outer", psi_psi, psi_y[:, None], y_y),
        Moments("inputs", covariance, np.zeros((inputs, 1)), y_y),
    )


def _checked(matrix, covariance) -> tuple[np.ndarray, np.ndarray]:
    """Returns the symmetric part of `matrix` and a positive semidefinite covariance, or raises `DataError`."""
    b = as_numbers("matrix", matrix)
    if b.ndim != 2 or b.shape[0] != b.shape[1] or b.size == 0:
        raise DataError(f"matrix needs shape [inputs, inputs], found {b.shape}: give a square matrix.")
    b = (b + b.T) / 2
    if covariance is None:
        return b, np.eye(b.shape[0])
    c = as_numbers("covariance", covariance)
    if c.shape != b.shape:
        raise DataError(
            f"covariance needs the shape of matrix, {b.shape}, found {c.shape}: give one row and column an input."
        )
    asymmetry = np.abs(c - c.T).max()
    if asymmetry > SINGLE_PRECISION * np.abs(c).max():
        raise DataError(f"covariance needs to be symmetric, found entries {asymmetry:.3g} apart: give (C + C.T) / 2.")
    values, vectors = np.linalg.eigh((c + c.T) / 2)
    if values[0] < -SINGLE_PRECISION * np.abs(values).max():
        raise DataError(
            f"covariance needs eigenvalues from 0 up, found {values[0]:.3g}: no Gaussian has it, correct it."
        )
    if values[0] < 0:
        c = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return b, (c + c.T) / 2
