"""From the options of a spec to a network with zero weights: the one place that knows the names of architectures."""

import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..units import (
    NEURONS,
    AbstractNeuron,
    AbstractUnit,
    CubicHead,
    Kernel,
    SoftmaxHead,
    TokenHead,
    wrong_facts,
)
from ._base import AbstractNetwork
from .deep import Deep
from .layer import Layer
from .skip import Skip
from .stack import Stack

#: The library itself.
HERE = Path(__file__).resolve().parents[1]


def neuron(activation: str) -> AbstractNeuron:
    """The neuron called `activation`, or a user's own as "module:Class". Raises `ValueError` where there is none."""
    if activation in NEURONS:
        return NEURONS[activation]()
    if ":" not in activation:
        raise ValueError(
            f'activation = "{activation}" is not one of {", ".join(NEURONS)}; a unit of your own is "module:Class".'
        )
    module, _, name = activation.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f'activation = "{activation}" needs a module beside the spec, or one that Python finds, and a class in it: {error}.'
        ) from error
    except Exception as error:  # whatever a user's module does when it is read
        raise ValueError(f'activation = "{activation}" cannot be read: {_failure(error)}.') from error
    try:
        made = found()
    except TypeError as error:  # an abstract fact that is not declared, or arguments that are asked for
        raise ValueError(
            f'activation = "{activation}" needs a class without arguments that declares degree, linear, silent, order and parity: {error}.'
        ) from error
    if not isinstance(made, AbstractNeuron):
        raise ValueError(
            f'activation = "{activation}" needs a subclass of saddlescope.units.AbstractNeuron: found {name}.'
        )
    try:
        wrong = wrong_facts(made)
    except Exception as error:  # whatever a user's formula does
        raise ValueError(f'activation = "{activation}" cannot be computed: {_failure(error)}.') from error
    if wrong:
        raise ValueError(
            f'activation = "{activation}" declares facts that its formula contradicts: {"; ".join(wrong)}.'
        )
    return made


def _failure(error: Exception) -> str:
    """What went wrong in a user's module, and where: the last line of it that was reached."""
    what = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    if isinstance(error, SyntaxError):
        return f"{what} ({error.filename}, line {error.lineno})"
    theirs = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((str(HERE), "<"))
        and "site-packages" not in frame.filename
        and "importlib" not in frame.filename
    ]
    return f"{what} ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else what


def fully_connected(
    x_shape: tuple[int, ...], outputs: int, *, activation: str, units: int | list[int], skip: int | None = None
) -> AbstractNetwork:
    """One hidden layer of neurons, or, where `units` is a list, several, with a skip connection over `skip` of them where that is given."""
    made = neuron(activation)
    if isinstance(units, int):
        return Layer.zeros(made, units, x_shape, outputs, f"{activation}, fully connected")
    name = f"{activation}, {len(units) + 1} layers"
    if skip is not None:
        return Skip.zeros(made, units, skip, x_shape, outputs, name)
    return Deep.zeros(made, list(units), x_shape, outputs, name)


def convolutional(
    x_shape: tuple[int, ...], outputs: int, *, activation: str, units: int, kernel_size: int, stride: int | None = None
) -> AbstractNetwork:
    """A layer of kernels with a readout for each position; `stride` defaults to `kernel_size` (no overlap)."""
    unit = kernel(activation, kernel_size, stride)
    return Layer.zeros(unit, units, x_shape, outputs, f"{activation}, convolutional")


def kernel(activation: str, kernel_size: int, stride: int | None = None) -> Kernel:
    return Kernel(neuron(activation), kernel_size, stride or kernel_size)


def attention(
    x_shape: tuple[int, ...],
    outputs: int,
    *,
    units: int,
    rank: int = 1,
    merged: bool = False,
    softmax: bool = False,
    normalise: bool | None = None,
    input: str = "tokens",
) -> AbstractNetwork:
    """A layer of attention heads, linear ones on tokens or on cubic features, or with a softmax on tokens."""
    unit = head(outputs, rank=rank, merged=merged, softmax=softmax, normalise=normalise, input=input)
    name = "softmax attention" if softmax else "attention"
    return Layer.zeros(unit, units, x_shape, outputs, f"{name}, merged key-query" if merged else name)


def head(
    outputs: int,
    *,
    rank: int = 1,
    merged: bool = False,
    softmax: bool = False,
    normalise: bool | None = None,
    input: str = "tokens",
) -> AbstractUnit:
    if softmax:
        return SoftmaxHead(rank, merged, outputs)
    return CubicHead(rank, merged) if input == "cubic" else TokenHead(rank, merged, normalise is not False, outputs)


def layers(x_shape: tuple[int, ...], outputs: int, *, layers: list[dict[str, Any]]) -> AbstractNetwork:
    """Layers of different kinds, one after the other; each entry has its `architecture`, its `units` and its other options."""
    tables = [dict(layer) for layer in layers]
    widths = [table.pop("units") for table in tables]
    kinds = [table.pop("architecture") for table in tables]
    units = [UNITS[kind](outputs, **table) for kind, table in zip(kinds, tables, strict=True)]
    words = [WORDS[kind].format(**table) for kind, table in zip(kinds, tables, strict=True)]
    return Stack.zeros(units, widths, x_shape, outputs, " then ".join(words))


#: architecture -> the unit of one of its layers, from the number of outputs of the task and its options
UNITS: dict[str, Callable[..., AbstractUnit]] = {
    "fully_connected": lambda outputs, activation, **none: neuron(activation),
    "convolutional": lambda outputs, **options: kernel(**options),
    "attention": head,
}
WORDS = {"fully_connected": "{activation}", "convolutional": "{activation} convolution", "attention": "attention"}

ARCHITECTURES = {
    "fully_connected": fully_connected,
    "convolutional": convolutional,
    "attention": attention,
    "layers": layers,
}


def form(architecture: str, options: dict[str, Any]) -> str:
    """What one x has to be for this architecture; of several layers, for the first."""
    if architecture == "layers":
        first = options["layers"][0]
        return form(first["architecture"], first)
    if architecture == "attention":
        return str(options.get("input", "tokens"))
    return {"fully_connected": "vectors", "convolutional": "signals"}[architecture]


def build(architecture: str, x_shape: tuple[int, ...], outputs: int, options: dict[str, Any]) -> AbstractNetwork:
    """A network with zero weights for inputs of shape `x_shape`. Raises `ValueError` if they do not fit."""
    return ARCHITECTURES[architecture](x_shape, outputs, **options)
