"""Labelled images in the two forms in which MNIST is handed on: idx files, and `.npz` archives."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np

from ._base import DataError, as_numbers
from ._npz import read_npz

#: Bytes of unsigned integers, the only type that MNIST's files have.
UNSIGNED = 0x08
GZIP = b"\x1f\x8b"
#: How MNIST's files are called, and which of labels belongs to which of images.
IMAGES, LABELS = "images-idx3", "labels-idx1"
#: An idx file declares its shape; more numbers than this are refused before anything is read into memory.
MOST = 2**31


def read_images(file: str) -> tuple[np.ndarray, np.ndarray]:
    """Images `[samples, pixels]`, grey values from 0 to 1, and labels `[samples]`.

    **Arguments:** `file`: an idx file of images (perhaps .gz), named as MNIST's are, its labels beside it; or a `.npz` with `x [samples, ...]` and `y [samples]`.

    Integers are divided by 255; other numbers by the largest, if that is above 1.

    **Raises:** `OSError` if a file cannot be read, `DataError` if its content will not do.
    """
    if file.endswith(".npz"):
        found = read_npz(file, required=("x", "y"))
        images, labels = found["x"], found["y"]
    else:
        path = Path(file)
        if IMAGES not in path.name:
            raise DataError(
                f"{file!r} needs to be a .npz with x and y, or an idx file with {IMAGES!r} in its name, found neither: the labels are looked for under "
                f"that name with {LABELS!r}."
            )
        images, labels = read_idx(path, 3), read_idx(path.with_name(path.name.replace(IMAGES, LABELS)), 1)
    whole = np.asarray(images).dtype.kind in "iu"
    try:
        x, y = as_numbers("x", images), as_numbers("y", labels)
    except DataError as error:
        raise DataError(f"{file!r}: {error}") from error
    if x.ndim < 2 or y.shape != x.shape[:1] or not x.size:
        raise DataError(
            f"{file!r} needs images [samples, ...] and as many labels [samples], found shapes {x.shape} and {y.shape}: a label is one number."
        )
    x = x.reshape(len(x), -1)
    top = 255.0 if whole else max(float(x.max()), 1.0)
    if x.min() < 0 or x.max() > top:
        raise DataError(
            f"{file!r} needs grey values from 0 to {top:g}, found {x.min():g} to {x.max():g}: scale them first."
        )
    return x / top, y


def read_idx(path: Path, axes: int) -> np.ndarray:
    """An idx file of unsigned bytes with so many axes (LeCun, Cortes & Burges), perhaps compressed.

    **Raises:** `OSError`, `DataError` as above.
    """
    label = repr(os.fspath(path))
    with path.open("rb") as handle:
        packed = handle.read(2) == GZIP
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as handle:
            head = handle.read(4 + 4 * axes)
            if len(head) < 4 + 4 * axes or head[:2] != b"\0\0" or (head[2], head[3]) != (UNSIGNED, axes):
                raise DataError(
                    f"{label} needs to be an idx file of bytes with {axes} axes, found another beginning: check which file it is."
                )
            shape = struct.unpack(f">{axes}I", head[4:])
            count = int(np.prod(shape, dtype=object))
            if count > MOST:
                raise DataError(
                    f"{label} declares {count} numbers, more than any MNIST has: the file is damaged, get it again."
                )
            content = handle.read(count + 1)
    except (EOFError, gzip.BadGzipFile, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{label} needs to be a whole .gz file, found a damaged one: get it again.") from error
    if len(content) != count:
        more = "more" if len(content) > count else f"{len(content)}"
        raise DataError(f"{label} declares {count} numbers and holds {more}: the file is damaged, get it again.")
    return np.frombuffer(content, np.uint8).reshape(shape)
