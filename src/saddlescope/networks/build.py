"""From the options of a spec to a network with zero weights: the one place that knows the names of architectures."""

import importlib
from typing import Any

from ..units import NEURONS, AbstractNeuron, CubicHead, Kernel, TokenHead, wrong_facts
from ._base import AbstractNetwork
from .deep import Deep
from .layer import Layer


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
    wrong = wrong_facts(made)
    if wrong:
        raise ValueError(
            f'activation = "{activation}" declares facts that its formula contradicts: {"; ".join(wrong)}.'
        )
    return made


def fully_connected(
    x_shape: tuple[int, ...], outputs: int, *, activation: str, units: int | list[int]
) -> AbstractNetwork:
    """One hidden layer of neurons, or, where `units` is a list, several."""
    made = neuron(activation)
    if isinstance(units, int):
        return Layer.zeros(made, units, x_shape, outputs, f"{activation}, fully connected")
    return Deep.zeros(made, list(units), x_shape, outputs, f"{activation}, {len(units) + 1} layers")


def convolutional(
    x_shape: tuple[int, ...], outputs: int, *, activation: str, units: int, kernel_size: int, stride: int | None = None
) -> AbstractNetwork:
    """A layer of kernels with a readout for each position; `stride` defaults to `kernel_size` (no overlap)."""
    unit = Kernel(neuron(activation), kernel_size, stride or kernel_size)
    return Layer.zeros(unit, units, x_shape, outputs, f"{activation}, convolutional")


def attention(
    x_shape: tuple[int, ...],
    outputs: int,
    *,
    units: int,
    rank: int = 1,
    merged: bool = False,
    normalise: bool = True,
    input: str = "tokens",
) -> AbstractNetwork:
    """A layer of linear attention heads, on tokens or on cubic features."""
    unit = CubicHead(rank, merged) if input == "cubic" else TokenHead(rank, merged, normalise, outputs)
    return Layer.zeros(unit, units, x_shape, outputs, "attention, merged key-query" if merged else "attention")


ARCHITECTURES = {"fully_connected": fully_connected, "convolutional": convolutional, "attention": attention}


def form(architecture: str, options: dict[str, Any]) -> str:
    """What one x has to be for this architecture."""
    if architecture == "attention":
        return str(options.get("input", "tokens"))
    return {"fully_connected": "vectors", "convolutional": "signals"}[architecture]


def build(architecture: str, x_shape: tuple[int, ...], outputs: int, options: dict[str, Any]) -> AbstractNetwork:
    """A network with zero weights for inputs of shape `x_shape`. Raises `ValueError` if they do not fit."""
    return ARCHITECTURES[architecture](x_shape, outputs, **options)
