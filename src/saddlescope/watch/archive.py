"""Reading `.npz` archives that anybody may have written: never code, and nothing is allocated that the file cannot back."""

import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

#: One archive, unpacked, may be at most so many times its size on disk: deflate alone reaches 1032, of constants ...
MOST_INFLATED = 1100
#: ... and at most so many bytes altogether.
MOST_BYTES = 8 * 2**30


def read_arrays(path: "str | os.PathLike[str]", most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """All arrays of an archive by name.

    **Raises:** `OSError` where the file is missing or cannot be opened; `ValueError`, in one line, where it is not such an archive, is damaged, holds
    Python objects (which are never unpickled), or declares more numbers than it can hold. What it declares is compared with its size before
    anything is allocated.
    """
    with open(path, "rb") as file:
        try:
            return _read(file, os.fspath(path), most_bytes)
        except ValueError:
            raise
        except Exception as error:  # a damaged archive makes zipfile, zlib and NumPy raise many kinds
            raise ValueError(
                f"{os.fspath(path)!r} needs to be a whole .npz archive, and is damaged: {error}."
            ) from error


def _read(file: IO[bytes], label: str, most_bytes: int) -> dict[str, np.ndarray]:
    size = os.fstat(file.fileno()).st_size
    if not zipfile.is_zipfile(file):
        raise ValueError(
            f"{label!r} needs to be a .npz archive, found something else, or one that was not written to its end."
        )
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > min(most_bytes, MOST_INFLATED * size):
            raise ValueError(
                f"{label!r} declares {total} bytes of arrays in {size} bytes of file: nothing that a training writes is like that."
            )
        for member in members:
            name = member.filename.removesuffix(".npy")
            if not member.filename.endswith(".npy"):
                continue
            if name in arrays:
                raise ValueError(f"{label!r} needs one array of each name, and holds {name!r} twice.")
            with archive.open(member) as stream:
                arrays[name] = _array(stream, member.file_size, f"{label!r}, array {name!r}")
    return arrays


def _array(stream: IO[bytes], size: int, label: str) -> np.ndarray:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"{label}: needs format 1 or 2 of .npy, found {version}.")
    shape, fortran, dtype = header
    if dtype.hasobject or dtype.kind not in "biufUS":
        raise ValueError(f"{label}: needs numbers or text, found {dtype}. Python objects are never unpickled.")
    count = 1
    for length in shape:  # Python's integers: a product of NumPy's may wrap around
        count *= int(length)
    if min(shape, default=0) < 0 or count * dtype.itemsize > size:
        raise ValueError(f"{label}: declares shape {list(shape)} of {dtype}, which is more than its {size} bytes.")
    content = stream.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise ValueError(f"{label}: ends after {len(content)} of {count * dtype.itemsize} bytes.")
    flat = np.frombuffer(content, dtype).copy()
    return flat.reshape(shape, order="F" if fortran else "C")


def write_whole(path: "str | os.PathLike[str]", write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file under a temporary name beside it and renames it into place: readers see the old file or the new one, never a part.

    **Raises:** `OSError` where that is not possible; a file already there is then as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
