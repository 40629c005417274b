"""Holds one value of a specification to a type annotation, in the words of TOML rather than of Python."""

import math
import numbers
import pathlib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal


class Mismatch(Exception):
    """A value that its annotation does not admit. The text goes after the key: `[2] needs a number, found 'x'`."""


_PLURALS = {
    "a finite number": "finite numbers",
    "an integer": "integers",
    "a string": "strings",
    "true or false": "booleans",
    "a list": "lists",
    "a table": "tables",
    "a path": "paths",
}


def convert(annotation: Any, value: Any) -> Any:
    """The value as the annotation wants it: an integer as a float, a list as a tuple; everything else unchanged.

    **Arguments:**

    - `annotation`: of `bool`, `int`, `float`, `str`, `Path`, `Any`, `Literal`, `list`, `tuple`, `Sequence`, `dict`,
        and unions and nestings of these.

    **Raises:** `Mismatch`; `TypeError` for an annotation that is not one of these (a mistake in the dataclass).
    """
    if hasattr(value, "tolist"):  # NumPy, of which this room knows nothing
        value = value.tolist()
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(annotation, value)
    if annotation is type(None):
        return value if value is None else _refuse(annotation, value)
    if origin is Literal:
        # True == 1 in Python, and neither is the other in a specification
        same = [choice for choice in arguments if choice == value and type(choice) is type(value)]
        return same[0] if same else _refuse(annotation, value)
    if annotation is bool or annotation is str:
        return value if isinstance(value, annotation) else _refuse(annotation, value)
    if annotation is int:
        admitted = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        return int(value) if admitted else _refuse(annotation, value)
    if annotation is float:
        return _convert_number(value)
    if annotation is pathlib.Path:
        return pathlib.Path(value) if isinstance(value, str | pathlib.Path) else _refuse(annotation, value)
    kind = origin or annotation
    if kind in (list, tuple, Sequence):
        return _convert_list(annotation, kind, arguments, value)
    if kind in (dict, Mapping):
        return value if isinstance(value, Mapping) else _refuse(annotation, value)
    raise TypeError(f"an option cannot be annotated {annotation!r}: specs.values knows no reading of it.")


def wanted(annotation: Any) -> str:
    """An annotation in words: `a list of finite numbers`, `'converged', 'settled' or a finite number`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _alternatives([wanted(member) for member in arguments if member is not type(None)])
    if origin is Literal:
        return _alternatives([shown(choice) for choice in arguments])
    names = {
        bool: "true or false",
        int: "an integer",
        float: "a finite number",
        str: "a string",
        pathlib.Path: "a path",
    }
    if annotation in names:
        return names[annotation]
    kind = origin or annotation
    if kind in (dict, Mapping):
        return "a table"
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)}: {', '.join(wanted(member) for member in arguments)}"
    if not arguments or arguments[0] is Any:
        return "a list"
    return f"a list of {_plural(wanted(arguments[0]))}"


def shown(value: Any) -> str:
    """A value as its author would recognise it, in one short line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, str):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:56]}...'"  # a line of a terminal holds 80
    if isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item) for item in value[:4])}{', ...' if len(value) > 4 else ''}]"
        return text if len(text) <= 60 else f"a list of {len(value)}"
    return str(value)


def _convert_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return _refuse(float, value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return number if math.isfinite(number) else _refuse(float, value)


def _convert_list(annotation: Any, kind: Any, arguments: tuple, value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return _refuse(annotation, value)
    fixed = kind is tuple and arguments and arguments[-1] is not Ellipsis
    if fixed and len(value) != len(arguments):
        return _refuse(annotation, value)
    members = arguments if fixed else [arguments[0] if arguments else Any] * len(value)
    items = []
    for n, (member, item) in enumerate(zip(members, value, strict=True)):
        try:
            items.append(convert(member, item))
        except Mismatch as error:
            raise Mismatch(f"[{n}]{error}") from None
    return items if kind is list else tuple(items)


def _convert_union(annotation: Any, value: Any) -> Any:
    # integers are tried before floats, which would take them too, and literals before strings
    members = sorted(typing.get_args(annotation), key=lambda member: member is float)
    deeper = None
    for member in members:
        try:
            return convert(member, value)
        except Mismatch as error:
            if str(error).startswith("["):  # a list was wanted and found, and one of its items is wrong
                deeper = error
    if deeper is not None:
        raise deeper
    return _refuse(annotation, value)


def _refuse(annotation: Any, value: Any) -> typing.NoReturn:
    raise Mismatch(f" needs {wanted(annotation)}, found {shown(value)}{_nearest(annotation, value)}")


def _nearest(annotation: Any, value: Any) -> str:
    """For a misspelt word: the choice that is meant."""
    members = (
        typing.get_args(annotation)
        if typing.get_origin(annotation) in (typing.Union, types.UnionType)
        else (annotation,)
    )
    choices = [c for member in members if typing.get_origin(member) is Literal for c in typing.get_args(member)]
    words = [choice for choice in choices if isinstance(choice, str)]
    if not words or not isinstance(value, str):
        return ""
    import difflib  # slow to import, and only needed here

    return f" (the nearest is {difflib.get_close_matches(value, words, n=1, cutoff=0.0)[0]!r})"


def _alternatives(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _plural(phrase: str) -> str:
    for singular, plural in _PLURALS.items():
        if phrase.startswith(singular):
            return plural + phrase[len(singular) :]
    return f"values, each {phrase}"
