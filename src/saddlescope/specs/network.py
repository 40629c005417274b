"""What a user says about a network: its architecture, and the options that this architecture has.

One dataclass an architecture, so that a key which means nothing to it is an error and not a silence.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

ACTIVATIONS = ("linear", "relu", "quadratic", "cubic", "tanh", "xtanhx")
"""Names of the neurons that come with the library; `"module:Class"` names a unit of the user's own."""

LATER = ("sigmoid", "sine")
"""Names that are kept for neurons to come."""


@dataclass(frozen=True, kw_only=True)
class FullyConnectedSpec:
    """Neurons that see the whole input; a list of widths makes a deep network.

    **Arguments:**

    - `activation`: one of `ACTIVATIONS`, or `"module:Class"`.
    - `units`: the width of the hidden layer, or the widths of all hidden layers, first to last.
    """

    architecture: ClassVar[str] = "fully_connected"

    activation: str = "linear"
    units: int | list[int]

    def __post_init__(self):
        _check_activation(self.activation)
        if self.units == []:
            raise ValueError("units = [] names no hidden layer: give one width, or a list of at least one.")
        for width in self.units if isinstance(self.units, list) else [self.units]:
            _check_size("units", width)


@dataclass(frozen=True, kw_only=True)
class ConvolutionalSpec:
    """Kernels that see one patch of a 1-D signal at a time, with a readout of their own at each position.

    **Arguments:**

    - `activation`: as in `FullyConnectedSpec`.
    - `units`: the number of kernels.
    - `kernel_size`: entries of the signal in one patch.
    - `stride`: entries from one patch to the next; `kernel_size`, patches side by side, unless given.
    """

    architecture: ClassVar[str] = "convolutional"

    activation: str = "linear"
    units: int
    kernel_size: int
    stride: int | None = None

    def __post_init__(self):
        _check_activation(self.activation)
        _check_size("units", self.units)
        _check_size("kernel_size", self.kernel_size)
        if self.stride is None:
            object.__setattr__(self, "stride", self.kernel_size)
        _check_size("stride", self.stride)


@dataclass(frozen=True, kw_only=True)
class AttentionSpec:
    """Heads of linear self-attention; they have no activation.

    **Arguments:**

    - `units`: the number of heads.
    - `rank`: rows of the key and query matrices of a head, which are then separate.
    - `merged`: one key-query matrix a head instead.
    - `softmax`: whether scores pass through a softmax.
    - `normalise`: whether the sum over tokens is divided by their number without the query; cubic features always are.
    - `input`: `"tokens"`, whole sequences, or `"cubic"`, the features (mean of y x over the context, query) that
        linear attention computes from them.
    """

    architecture: ClassVar[str] = "attention"

    units: int
    rank: int = 1
    merged: bool = False
    softmax: bool = False
    normalise: bool = True
    input: Literal["tokens", "cubic"] = "tokens"

    def __post_init__(self):
        _check_size("units", self.units)
        _check_size("rank", self.rank)
        if self.merged and self.rank != 1:
            raise ValueError(
                f"rank = {self.rank} needs separate keys and queries: merged = true has one full matrix a head. "
                "Leave out one of the two."
            )
        if self.softmax:
            raise ValueError("softmax = true is not yet available in this version: leave it out for linear attention.")


NETWORKS = {cls.architecture: cls for cls in (FullyConnectedSpec, ConvolutionalSpec, AttentionSpec)}

NetworkSpec = FullyConnectedSpec | ConvolutionalSpec | AttentionSpec


def _check_size(name: str, value: int | None) -> None:
    if value is None or value < 1:
        raise ValueError(f"{name} needs an integer of at least 1, found {value}.")


def _check_activation(name: str) -> None:
    if name in ACTIVATIONS or re.fullmatch(r"[^\W\d][\w.]*:[^\W\d]\w*", name):
        return
    known = f'(known: {", ".join(ACTIVATIONS)}, or "module:Class" for a unit of your own)'
    if name in LATER:
        raise ValueError(f"activation = {name!r} is not yet available in this version {known}.")
    import difflib  # slow to import, and only needed here

    nearest = difflib.get_close_matches(name, ACTIVATIONS, n=1, cutoff=0.0)[0]
    raise ValueError(f"activation knows no {name!r}; the nearest is {nearest!r} {known}.")
