"""Reading arrays from a file that somebody else wrote: never code, never a silent guess, one line if it will not do."""

import difflib
import os
import reprlib

import numpy as np

from ._base import DataError


def read_npz(
    file: str | os.PathLike, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """Reads named arrays from a `.npz` archive, as they stand.

    Arrays of other names are left alone, except a near miss of an absent optional name ("weights" for "weight"), which
    would otherwise be dropped in silence.

    **Arguments:**

    - `file`: its path.
    - `required`, `optional`: names of arrays; those found are returned.

    **Raises:** `OSError` if the file is missing or cannot be opened; `DataError` if it is not such an archive, lacks a
    required array, or holds one that is damaged, too large for memory, or made of Python objects (which are never
    unpickled).
    """
    label = repr(os.fspath(file))
    with open(file, "rb") as handle:  # here, as NumPy leaves a damaged archive open
        return _read(handle, label, required, optional)


def _read(handle, label: str, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, np.ndarray]:
    recipe = ", ".join(f"{name}={name}" for name in required)
    try:
        archive = np.load(handle, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # a damaged archive makes NumPy, zipfile and zlib raise many kinds
        raise DataError(
            f"{label} needs to be a .npz archive, found something else: write it with np.savez(file, {recipe})."
        ) from error
    if isinstance(archive, np.ndarray):
        raise DataError(
            f"{label} needs to be a .npz archive, found a single array: write it with np.savez(file, {recipe})."
        )
    arrays = {}
    with archive:
        for name in (*required, *optional):
            if name in archive.files:
                arrays[name] = _member(archive, name, label)
            elif name in required:
                found = reprlib.repr(archive.files)
                raise DataError(
                    f"{label} needs an array {name!r}, found {found}: write it with np.savez(file, {recipe})."
                )
            else:
                spare = [other for other in archive.files if other not in (*required, *optional)]
                for miss in (other for other in spare if difflib.get_close_matches(other.lower(), [name], cutoff=0.8)):
                    raise DataError(
                        f"{label} may have an array {name!r}, found {miss!r}: rename it to {name!r}, or leave it out."
                    )
    return arrays


def _member(archive, name: str, label: str) -> np.ndarray:
    try:
        return np.asarray(archive[name])
    except MemoryError as error:
        raise DataError(
            f"{label} declares an array {name!r} that does not fit in memory: save fewer samples."
        ) from error
    except Exception as error:  # as above
        if "Object arrays" in str(error):
            raise DataError(
                f"{label} needs numbers in {name!r}, found Python objects (dtype object): save {name}.astype(float), "
                "rows of one length."
            ) from error
        raise DataError(
            f"{label} holds an array {name!r} that cannot be read, the file is damaged: write it again."
        ) from error
