"""Everything mutable that a module holds, and how to put it back: tensors, containers, generators of random numbers, helper objects."""

import collections
import datetime
import decimal
import enum
import fractions
import functools
import io
import logging
import operator
import random
import re
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

import numpy as np

from ..seen import CannotLook

#: Besides parameters, gradients and buffers, a model may hold so many bytes; more are not copied at each look.
MOST_BYTES = 2**30
#: Objects of these packages are the training's own machinery (trainers, loaders, optimisers, loggers): a forward pass does not change them.
MACHINERY = frozenset(
    (
        *("torch", "lightning", "pytorch_lightning", "lightning_fabric", "accelerate", "deepspeed", "saddlescope"),
        *("logging", "threading", "multiprocessing", "concurrent", "asyncio", "tqdm", "wandb"),
    )
)
PLAIN = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented), range, slice)
PLAIN += (type, types.ModuleType, types.BuiltinFunctionType, types.CodeType, types.MappingProxyType, property)
PLAIN += (enum.Enum, PurePath, re.Pattern, re.Match, uuid.UUID, decimal.Decimal, fractions.Fraction, np.generic)
PLAIN += (datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, np.dtype, np.ufunc, weakref.ReferenceType)
PLAIN += (io.IOBase, logging.Logger, type(threading.Lock()), type(threading.RLock()))


class Held:
    """What was found from some roots, as it is now. `put_back()` makes all of it, bit for bit, what it was.

    Found: tensors with their gradients (content, storage and version), NumPy arrays, lists, dictionaries, sets, deques, generators of random numbers (PyTorch's,
    NumPy's, Python's), attributes of modules and of helper objects, what functions close over. Not followed: global variables, `MACHINERY`, weak references, files.

    **Raises:** `CannotLook` where something has a state that cannot be put back, such as an iterator.
    """

    def __init__(self, *roots: Any):
        import torch

        self.torch = torch
        self.known: dict[int, Any] = {}
        self.undo: list[Callable[[], object]] = []
        self.tensors: list[tuple[Any, Any, tuple]] = []
        self.versions: list[Any] = []
        self.storages: dict[int, tuple[Any, Any]] = {}
        self.bytes = 0
        self.keep = getattr(torch.autograd, "_unsafe_preserve_version_counter", None)
        self.standard = set(torch.nn.Module().__dict__) - {"_parameters", "_buffers", "_modules"}
        pending: list[tuple[str, Any]] = [(type(root).__name__, root) for root in roots]
        while pending:
            place, value = pending.pop()
            kind = type(value)
            if kind in _PLAIN_TYPES or isinstance(value, PLAIN) or id(value) in self.known:
                continue
            self.known[id(value)] = value  # kept alive, so that no id is used twice
            pending.extend(self._take(place, value))

    def put_back(self) -> None:
        """Bit for bit what it was; the numbers of tensors' versions too, so that a backward pass that is still to come finds what it saved."""
        for undo in self.undo:
            undo()
        for tensor, data, where in self.tensors:
            if _where(tensor) != where:
                tensor.data = data
        for storage, content in self.storages.values():
            if storage.nbytes() != content.nbytes():
                storage.resize_(content.nbytes())
            storage.copy_(content)
        for version in self.versions:
            version.__exit__(None, None, None)

    def _take(self, place: str, value: Any) -> list[tuple[str, Any]]:
        """Remembers one thing as it is; what it holds is next."""
        torch = self.torch
        if isinstance(value, torch.Tensor):
            return self._tensor(place, value)
        if isinstance(value, torch.nn.Module):
            hooks = [(place, a) for n in self.standard if (a := value.__dict__.get(n)) and isinstance(a, dict)]
            own = [(f"{place}.{n}", a) for n, a in value.__dict__.items() if n not in self.standard]
            self._dictionary(value.__dict__)
            return hooks + own
        if isinstance(value, np.ndarray):
            return self._array(place, value)
        if isinstance(value, list | collections.deque):
            before = list(value)
            self.undo.append(functools.partial(_refill, value, before, "extend"))
            return [(place, v) for v in before if type(v) not in _PLAIN_TYPES]
        if isinstance(value, set):
            self.undo.append(functools.partial(_refill, value, set(value), "update"))
            return [(place, v) for v in value]
        if isinstance(value, dict) and type(value).__module__.split(".")[0] not in MACHINERY:
            self._dictionary(value)
            return [(f"{place}[{n!r}]", v) for n, v in value.items()] + self._attributes(place, value)
        if isinstance(value, tuple | frozenset):
            return [(place, v) for v in value]
        if isinstance(value, bytearray):
            before = bytes(value)
            self.undo.append(lambda: value.__setitem__(slice(None), before))
            return []
        if (put := self._random(value)) is not None:
            self.undo.append(put)
            return []
        return self._other(place, value)

    def _other(self, place: str, value: Any) -> list[tuple[str, Any]]:
        if isinstance(value, types.MethodType):
            return [(place, value.__self__), (place, value.__func__)]
        if isinstance(value, functools.partial):
            return [(place, value.func), (place, value.args), (place, value.keywords)]
        if isinstance(value, types.FunctionType):
            return [(place, part) for part in (*(value.__closure__ or ()), *(value.__defaults__ or ()))]
        if isinstance(value, types.CellType):
            try:
                before = value.cell_contents
            except ValueError:  # nothing in it yet
                return []
            self.undo.append(lambda: setattr(value, "cell_contents", before))
            return [(place, before)]
        if any(c.__module__.split(".")[0] in MACHINERY for c in type(value).__mro__):
            return []
        if isinstance(value, Iterator):
            raise CannotLook(
                f"{place} is an iterator ({type(value).__name__}): a look would use it up, and cannot put it back, so only losses are recorded"
            )
        if hasattr(value, "__dict__") or _slots(value):
            return self._attributes(place, value)
        if callable(value):
            return []
        if type(value).__basicsize__ <= object.__basicsize__:  # nothing is in it
            return []
        raise CannotLook(
            f"{place} is a {type(value).__module__}.{type(value).__name__}, whose state cannot be put back after a look, so only losses are recorded"
        )

    def _tensor(self, place: str, tensor: Any) -> list[tuple[str, Any]]:
        torch = self.torch
        if torch.nn.parameter.is_lazy(tensor) or tensor.is_meta:
            return []
        if tensor.layout == torch.sparse_coo:
            parts = (tensor._indices(), tensor._values())
        elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
            parts = (tensor.crow_indices(), tensor.col_indices(), tensor.values())
        elif tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
            parts = (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
        else:
            parts = (tensor,)
            self.tensors.append((tensor, tensor.detach(), _where(tensor)))
            if self.keep is not None and not tensor.is_inference():
                self.versions.append(self.keep(tensor))
        for part in parts:
            storage = part.untyped_storage()
            if storage.nbytes() and storage.data_ptr() not in self.storages:
                if not tensor.requires_grad:
                    self._count(place, storage.nbytes())
                self.storages[storage.data_ptr()] = (storage, storage.clone())
        gradient = tensor.grad if tensor.is_leaf else None
        if tensor.is_leaf and tensor.requires_grad:
            self.undo.append(functools.partial(_put_gradient, tensor, gradient))
        # a subclass may hold more, such as the tensor that it wraps
        more = [] if type(tensor) in (torch.Tensor, torch.nn.Parameter) else self._attributes(place, tensor)
        return more + ([] if gradient is None else [(place, gradient)])

    def _array(self, place: str, array: np.ndarray) -> list[tuple[str, Any]]:
        self._count(place, array.nbytes)
        if array.flags.writeable:
            self.undo.append(functools.partial(np.copyto, array, array.copy()))
        return [(place, v) for v in array.flat] if array.dtype.hasobject else []

    def _count(self, place: str, size: int) -> None:
        self.bytes += size
        if self.bytes > MOST_BYTES:
            raise CannotLook(
                f"the model holds more than {MOST_BYTES} bytes besides what it trains (at {place}), too many to keep at each look, so only losses are recorded"
            )

    def _dictionary(self, value: dict) -> None:
        self.undo.append(functools.partial(_refill, value, dict(value), "update"))

    def _attributes(self, place: str, value: Any) -> list[tuple[str, Any]]:
        """What an object has: in its dictionary, in slots."""
        held = []
        if isinstance(own := getattr(value, "__dict__", None), dict):
            self._dictionary(own)
            held += [(f"{place}.{n}", a) for n, a in own.items()]
        for name in _slots(value):
            if hasattr(value, name):
                before = getattr(value, name)
                self.undo.append(functools.partial(_put_slot, value, name, before))
                held.append((f"{place}.{name}", before))
        return held

    def _random(self, value: Any) -> Callable[[], object] | None:
        """How to put a generator of random numbers back; None for what is none."""
        if isinstance(value, self.torch.Generator):
            return functools.partial(value.set_state, value.get_state())
        if isinstance(value, np.random.Generator):
            return functools.partial(setattr, value.bit_generator, "state", value.bit_generator.state)
        if isinstance(value, np.random.BitGenerator):
            return functools.partial(setattr, value, "state", value.state)
        if isinstance(value, np.random.RandomState):
            return functools.partial(value.set_state, value.get_state())
        return functools.partial(value.setstate, value.getstate()) if isinstance(value, random.Random) else None


_PLAIN_TYPES = frozenset((int, float, complex, str, bytes, bool, type(None)))


def _where(tensor: Any) -> tuple:
    """Of which memory a tensor is what view."""
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.storage_offset()


def _refill(held: Any, before: Any, fill: str) -> None:
    if isinstance(before, dict) and list(held) == list(before):
        for name, value in before.items():
            if held[name] is not value:
                held[name] = value
        return
    if isinstance(before, set):
        same = held == before
    else:
        same = len(held) == len(before) and all(map(operator.is_, held, before))
    if not same:
        held.clear()
        getattr(held, fill)(before)


def _slots(value: Any) -> list[str]:
    found = []
    for c in type(value).__mro__:
        slots = c.__dict__.get("__slots__", ())
        found += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in found if name not in ("__dict__", "__weakref__")]


def _put_slot(value: Any, name: str, before: Any) -> None:
    if getattr(value, name, None) is not before:
        object.__setattr__(value, name, before)


def _put_gradient(tensor: Any, gradient: Any) -> None:
    if tensor.grad is not gradient:
        tensor.grad = gradient
