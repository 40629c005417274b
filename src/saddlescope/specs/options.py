"""Reads a table of a specification into the dataclass that declares its options.

A dataclass says everything about its options once: names, types, defaults, and in `__post_init__` what the types
cannot say. So a new task or method needs no parser of its own, and a typing error is told in the same words everywhere.
"""

import dataclasses
import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from ._errors import SpecError
from .source import Source
from .values import Mismatch, convert, shown


def read_options(
    cls: type,
    mapping: Mapping[str, Any],
    where: str = "task",
    source: Source | None = None,
    besides: Iterable[str] = (),
) -> Any:
    """An instance of the dataclass `cls` from the keys and values of a table.

    **Arguments:**

    - `cls`: a dataclass; its `init` fields are the keys, their annotations the types. An integer is accepted for a
        number, never a boolean for either; NaN and infinities never; a list where the field is a tuple; NumPy arrays
        and scalars for lists and numbers.
    - `mapping`: the table.
    - `where`: the table's name, for messages.
    - `source`: the text that the table came from, if there is one: messages then give the line.
    - `besides`: keys of the table that are read elsewhere (such as `kind`), to be named when keys are listed.

    **Raises:** `SpecError`, one line, for an unknown key (naming the nearest), a missing one, a wrong type, and for a
    `ValueError` of the class itself. Other exceptions, subclasses of `ValueError` among them, are the class's own
    matter (a file with bad content, say) and pass through.
    """
    if not isinstance(mapping, Mapping):
        raise SpecError(f"{place(source, where)}[{where}] needs a table of keys, found {shown(mapping)}.")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    besides = tuple(besides)
    for key in mapping:
        if key not in fields:
            raise unknown(key, [*besides, *fields], f"[{where}] has no key", place(source, where, key))
    for name, field in fields.items():
        if name not in mapping and field.default is field.default_factory is dataclasses.MISSING:
            keys = ", ".join([*besides, *fields])
            raise SpecError(
                f"{place(source, where)}[{where}] needs the key {name!r}, which has no default (keys: {keys})."
            )
    annotations = typing.get_type_hints(cls)
    values = {}
    for key, value in mapping.items():
        try:
            values[key] = convert(annotations[key], value)
        except Mismatch as error:
            raise SpecError(f"{place(source, where, key)}[{where}] {key}{error}.") from None
    try:
        return cls(**values)
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        # such messages begin with the key that they are about
        named = re.match(r"\w+", str(error))
        key = named.group() if named and named.group() in mapping else None
        at = place(source, where) if key is None else place(source, where, key)
        raise SpecError(f"{at}[{where}] {error}") from error


def read_variant(
    variants: Mapping[str, type],
    mapping: Mapping[str, Any],
    where: str,
    selector: str,
    default: str | None = None,
    source: Source | None = None,
) -> Any:
    """As `read_options`, for a table in which one key, the `selector`, chooses the dataclass.

    A key that exists, but for another choice, is an error that says so: `until` means nothing to gradient descent.

    **Raises:** `SpecError`, also where the selector is missing without a `default` or names no variant.
    """
    if not isinstance(mapping, Mapping):
        raise SpecError(f"{place(source, where)}[{where}] needs a table of keys, found {shown(mapping)}.")
    choices = ", ".join(variants)
    chosen = mapping.get(selector, default)
    if chosen is None:
        raise SpecError(f"{place(source, where)}[{where}] needs the key {selector!r}: one of {choices}.")
    if not isinstance(chosen, str):
        raise SpecError(
            f"{place(source, where, selector)}[{where}] {selector} needs one of {choices}, found {shown(chosen)}."
        )
    if chosen not in variants:
        raise unknown(chosen, variants, f"[{where}] {selector} knows no", place(source, where, selector))
    options = {key: value for key, value in mapping.items() if key != selector}
    own = _keys(variants[chosen])
    for key in options:
        others = [name for name, cls in variants.items() if key in _keys(cls)]
        if key not in own and others:
            raise SpecError(
                f"{place(source, where, key)}[{where}] {key!r} does not apply to {selector} = {chosen!r}, only to "
                f"{', '.join(others)}: leave it out (keys: {', '.join([selector, *own])})."
            )
    return read_options(variants[chosen], options, where, source, besides=(selector,))


def unknown(found: object, known: Iterable[str], what: str, at: str = "") -> SpecError:
    """The error for a name that is none of the `known` ones: it names the nearest, and lists all."""
    import difflib  # only for a message, and as slow to import as all of this room

    known = list(known)
    # cutoff 0: the nearest is named however far it is, and the list beside it shows the rest
    nearest = difflib.get_close_matches(str(found), known, n=1, cutoff=0.0)
    hint = f"; the nearest is {nearest[0]!r}" if nearest else ""
    return SpecError(f"{at}{what} {found!r}{hint} (known: {', '.join(known)}).")


def place(source: Source | None, *path: str) -> str:
    """Where something stands, to begin a message with; nothing for a specification without text. Tables may be nested: `network.layers[0]`."""
    if source is None:
        return ""
    steps = [step for part in path for step in re.findall(r"[^.\[\]]+", part)] if "[" in path[0] else list(path)
    return source.place([int(step) if step.isdecimal() else step for step in steps])


def _keys(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if field.init]
