"""What the keys of a task may hold.

Each check returns the value in the type that the task computes with, or says in one line what was asked, what that
needs, what was found and the way out.
"""

import math
import numbers
import os
import reprlib
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np


def refuse(kind: str, key: str, needs: str, found: object, way_out: str) -> NoReturn:
    """Raises the `ValueError` of a key that cannot be used."""
    text = found if isinstance(found, _Words) else " ".join(reprlib.repr(found).split())
    raise ValueError(f'Task "{kind}": {key} needs {needs}, found {text}: {way_out}.')


class _Words(str):
    """A finding that is already a phrase, to be printed without quotes."""


def words(text: str) -> str:
    return _Words(text)


def integer(kind: str, key: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        refuse(kind, key, f"a whole number from {least} up", value, f"write {key} = {least}, for example")
    return int(value)


def number(kind: str, key: str, value: Any, *, positive: bool = False, signed: bool = False) -> float:
    """Returns a finite float, from 0 up unless it may be `signed`."""
    needs = "a finite number" + ("" if signed else " above 0" if positive else " from 0 up")
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    try:
        as_float = float(value) if is_number else math.nan
    except OverflowError:  # an integer too large for 64 bits
        as_float = math.inf
    if not math.isfinite(as_float) or (not signed and (as_float < 0 or (positive and as_float == 0))):
        refuse(kind, key, needs, value, "change it" if is_number else "give a number")
    return as_float


def row(kind: str, key: str, value: Any, *, positive: bool = False, signed: bool = False) -> tuple[float, ...]:
    """Returns a tuple of one finite float or more."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        refuse(kind, key, "a list of numbers", value, f"write {key} = [1.0, 0.5], for example")
    values = tuple(value)
    if not values:
        refuse(kind, key, "one number or more", list(values), f"write {key} = [1.0], for example")
    return tuple(number(kind, f"{key}[{i}]", entry, positive=positive, signed=signed) for i, entry in enumerate(values))


def rows(kind: str, key: str, value: Any) -> tuple[tuple[float, ...], ...]:
    """Returns a list of rows of numbers of one length."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        refuse(kind, key, "a list of rows of numbers", value, f"write {key} = [[1.0, 0.0], [0.0, 1.0]], for example")
    table = tuple(row(kind, f"{key}[{i}]", entry, signed=True) for i, entry in enumerate(value))
    if not table or len({len(entry) for entry in table}) > 1:
        lengths = [len(entry) for entry in table]
        refuse(
            kind, key, "one row or more, all of one length", words(f"rows of lengths {lengths}"), "complete the rows"
        )
    return table


def flag(kind: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        refuse(kind, key, "true or false", value, f"write {key} = false, for example")
    return bool(value)


def path(kind: str, key: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        refuse(kind, key, "the name of a .npz file", value, f'write {key} = "problem.npz", for example')
    return os.fspath(value)


def sample_count(kind: str, value: Any) -> Any:
    """Returns "population" or a number of samples from 1 up."""
    if isinstance(value, str) and value == "population":
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        refuse(kind, "samples", '"population" or a number of samples from 1 up', value, 'write samples = "population"')
    return int(value)
