"""Weights in one file that a training left: safetensors, npz or PyTorch's own, never with code in it unless that is asked for."""

import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .archive import MOST_BYTES, read_arrays
from .names import natural, normalised
from .shapes import BUFFERS

SUFFIXES = (".safetensors", ".npz", ".pt", ".pth", ".ckpt", ".bin")
#: Where a training script puts the weights among other things it saves.
PLACES = ("state_dict", "model_state_dict", "model", "module", "params", "weights", "net")
#: What the name of the step is, where one is saved.
STEPS = ("global_step", "step", "iteration", "iter", "it", "steps")
#: numpy's names of the types of safetensors; those that NumPy does not have are ml_dtypes', which JAX brings.
TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
TYPES |= {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
TYPES |= {f"{kind}{bits}": f"{name}{bits}" for kind, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)}
TYPES["BOOL"] = "bool"
#: A larger number, or one below 0, is no step that was counted.
MOST_STEP = 2**53
MOST_HEADER = 100 * 2**20
TRUST = "It may hold Python code. If you made it yourself, read it with trust_pickle=True."


class Saved(NamedTuple):
    """What one file holds: `weights` [name] as float64 and the spacing of numbers they were kept with; `step` and `learning_rate` where they were saved too."""

    weights: dict[str, np.ndarray]
    epsilon: float
    step: int | None
    learning_rate: float


def read_file(path: Path, *, trust_pickle: bool = False) -> Saved:
    """The weights in a file, names without wrappers' prefixes, buffers left out.

    **Raises:** `OSError` where it cannot be opened; `ValueError`, in one line, where it is damaged, declares more than it holds, holds no weights, or would need
    code to be run.
    """
    suffix = path.suffix.lower()
    step, rate = None, float("nan")
    if suffix == ".safetensors":
        # the library writes arrays in the order of their types: layers are found again by their numbers
        held = read_safetensors(path)
        arrays: Mapping[str, Any] = {name: held[name] for name in sorted(held, key=natural)}
    elif suffix == ".npz":
        arrays = read_arrays(path)
    else:
        arrays, step, rate = _read_torch(path, trust_pickle)
    floats = {n: a for n, a in arrays.items() if _is_float(a) and not BUFFERS.search(n)}
    if not floats:
        raise ValueError(f"{os.fspath(path)!r} holds no weights: no array of floating-point numbers.")
    epsilon = max(_spacing(a) for a in floats.values())
    weights = dict(zip(normalised(floats), (np.asarray(a, np.float64) for a in floats.values()), strict=True))
    return Saved(weights, epsilon, step, rate)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a safetensors file, by name.

    Read here because the library gives NumPy no bfloat16; and what a header declares is compared with the file's size before anything is allocated.

    **Raises:** as `read_file`.
    """
    import ml_dtypes

    label = repr(os.fspath(path))
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MOST_HEADER):
            raise ValueError(
                f"{label} needs to be a whole safetensors file: its header says {length} bytes, and it has {size}."
            )
        try:
            header = json.loads(file.read(length))
            entries = {
                n: (e["dtype"], [int(i) for i in e["shape"]], *map(int, e["data_offsets"]))
                for n, e in header.items()
                if n != "__metadata__"
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"{label} needs to be a safetensors file: its header cannot be read.") from error
        arrays = {}
        for name, (kind, shape, start, stop) in entries.items():
            if not isinstance(kind, str) or kind not in TYPES:
                raise ValueError(f"{label}, array {name!r}: numbers of type {kind} are not known.")
            named = TYPES[kind]
            dtype = np.dtype(getattr(ml_dtypes, named) if named.startswith(("bf", "float8")) else named)
            wanted = math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0 or not 0 <= start <= stop <= size - 8 - length or stop - start != wanted:
                raise ValueError(
                    f"{label}, array {name!r}: shape {shape} of {kind} is not the {stop - start} bytes that the file has for it."
                )
            file.seek(8 + length + start)
            arrays[name] = np.frombuffer(file.read(wanted), dtype).reshape(shape)
    return arrays


def _read_torch(path: Path, trust_pickle: bool) -> tuple[dict[str, Any], int | None, float]:
    label = repr(os.fspath(path))
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{label} has {path.stat().st_size} bytes: more than {MOST_BYTES} are not read.")
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            f"{label} is PyTorch's: reading it needs PyTorch, pip install 'saddlescope[torch]', or save it as safetensors."
        ) from error
    with path.open("rb"):  # a missing or closed file is an error of the system, not of the content
        pass
    _no_bomb(path, label)
    if not _looks_whole(path):
        raise ValueError(
            f"{label} cannot be read, the file is damaged: it is neither an archive nor a pickle, as PyTorch writes them."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except Exception as error:
        if "weights_only" in str(error) or "Unsupported global" in str(error) or "WeightsUnpickler" in str(error):
            raise ValueError(f"{label} holds more than tensors and plain values. {TRUST}") from error
        raise ValueError(f"{label} cannot be read, the file is damaged: {_first_line(error)}") from error
    step, rate = None, float("nan")
    if hasattr(held, "state_dict"):
        held = held.state_dict()
    if isinstance(held, Mapping):
        step = next((held[n] for n in STEPS if type(held.get(n)) is int and 0 <= held[n] <= MOST_STEP), None)
        optimizers = [held[n] for n in ("optimizer", "optimizer_state_dict", "optim") if n in held]
        optimizers += list(held["optimizer_states"]) if isinstance(held.get("optimizer_states"), list) else []
        rate = _rate(optimizers)
        for place in PLACES:
            inner = held.get(place)
            if isinstance(inner, Mapping) and any(isinstance(a, torch.Tensor) for a in inner.values()):
                held = inner
                break
    if not isinstance(held, Mapping):
        raise ValueError(f"{label} needs weights by name: found a {type(held).__name__}.")
    arrays: dict[str, Any] = {}
    seen: set[tuple[Any, ...]] = set()
    for name, a in held.items():
        if isinstance(a, torch.Tensor) and a.is_floating_point() and not a.is_sparse:
            # a tied weight is saved under two names and one storage
            where = (a.untyped_storage().data_ptr(), a.storage_offset(), tuple(a.shape), tuple(a.stride()))
            if a.numel() and where in seen:
                continue
            seen.add(where)
            arrays[str(name)] = a.detach()
    return {n: _Tensor(a) for n, a in arrays.items()}, step, rate


def _looks_whole(path: Path) -> bool:
    """Whether a file begins as PyTorch's do: an archive that can be opened, or a pickle that can be taken apart up to its end (nothing of it is run)."""
    import pickletools
    import zipfile

    with path.open("rb") as file:
        start = file.read(4)
        if start == b"PK\x03\x04":
            return zipfile.is_zipfile(path)
        file.seek(0)
        try:
            for _ in pickletools.genops(file):
                pass
        except Exception:  # whatever it is, it is no pickle
            return False
    return True


def _no_bomb(path: Path, label: str) -> None:
    """PyTorch's files are archives of stored, not packed, bytes: one that unpacks to more than it is was not written by PyTorch."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        total = sum(member.file_size for member in archive.infolist())
    if total > 2 * path.stat().st_size + 2**20:
        raise ValueError(
            f"{label} declares {total} bytes in {path.stat().st_size} bytes of file: nothing that PyTorch writes is like that."
        )


def _rate(optimizers: list[Any]) -> float:
    for one in optimizers:
        try:
            return float(one["param_groups"][0]["lr"])
        except (KeyError, IndexError, TypeError, ValueError):
            continue
    return float("nan")


class _Tensor:
    """A tensor that NumPy takes as float64, and whose spacing of numbers is known."""

    def __init__(self, tensor: Any):
        import torch

        self.tensor = tensor
        self.epsilon = torch.finfo(tensor.dtype).eps

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.tensor.double().numpy().astype(dtype or np.float64)


def _is_float(a: Any) -> bool:
    return isinstance(a, _Tensor) or a.dtype.kind == "f" or a.dtype.name.startswith(("bfloat", "float8"))


def _spacing(a: Any) -> float:
    if isinstance(a, _Tensor):
        return a.epsilon
    import ml_dtypes

    return float(ml_dtypes.finfo(a.dtype).eps)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().split("\n") or [""])[0][:200]
