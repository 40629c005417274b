"""What a user says about a network: its architecture, and the options that this architecture has.

One dataclass an architecture, so that a key which means nothing to it is an error and not a silence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ._errors import SpecError
from .options import read_variant
from .source import Source
from .values import shown

ACTIVATIONS = ("linear", "relu", "quadratic", "cubic", "tanh", "sigmoid", "sine", "xtanhx")
"""Names of the neurons that come with the library; `"module:Class"` names a unit of the user's own."""


@dataclass(frozen=True, kw_only=True)
class FullyConnectedSpec:
    """Neurons that see the whole input; a list of widths makes a deep network.

    **Arguments:**

    - `activation`: one of `ACTIVATIONS`, or `"module:Class"`.
    - `units`: the width of the hidden layer, or the widths of all hidden layers, first to last.
    - `skip`: how many layers one skip connection jumps over. It starts at the first hidden layer and adds it, as it is, to hidden layer 1 + skip, which has to
        be equally wide. None: no skip connection.
    """

    architecture: ClassVar[str] = "fully_connected"

    activation: str = "linear"
    units: int | list[int]
    skip: int | None = None

    def __post_init__(self):
        _check_activation(self.activation)
        if self.units == []:
            raise ValueError("units = [] names no hidden layer: give one width, or a list of at least one.")
        for width in self.units if isinstance(self.units, list) else [self.units]:
            _check_size("units", width)
        if self.skip is not None:
            self._check_skip(self.skip)

    def _check_skip(self, skip: int) -> None:
        _check_size("skip", skip)
        widths = self.units if isinstance(self.units, list) else [self.units]
        if len(widths) <= skip:
            raise ValueError(
                f"skip = {skip} needs a list of at least {skip + 1} hidden layers to jump over {skip} of them: found units = {self.units}."
            )
        if widths[skip] != widths[0]:
            raise ValueError(
                f"skip = {skip} adds hidden layer 1 to hidden layer {skip + 1}, so both need one width: found {widths[0]} and {widths[skip]}."
            )


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
    """Heads of self-attention; they have no activation.

    **Arguments:**

    - `units`: the number of heads.
    - `rank`: rows of the key and query matrices of a head, which are then separate.
    - `merged`: one key-query matrix a head instead.
    - `softmax`: whether the scores of all tokens, the query's own included, pass through a softmax; otherwise attention is linear.
    - `normalise`: whether the sum over tokens is divided by their number without the query (unless given, it is); cubic features always are. It means
        nothing where a softmax weighs the tokens.
    - `input`: `"tokens"`, whole sequences, or `"cubic"`, the features (mean of y x over the context, query) that
        linear attention computes from them.
    """

    architecture: ClassVar[str] = "attention"

    units: int
    rank: int = 1
    merged: bool = False
    softmax: bool = False
    normalise: bool | None = None
    input: Literal["tokens", "cubic"] = "tokens"

    def __post_init__(self):
        _check_size("units", self.units)
        _check_size("rank", self.rank)
        if self.merged and self.rank != 1:
            raise ValueError(
                f"rank = {self.rank} needs separate keys and queries: merged = true has one full matrix a head. "
                "Leave out one of the two."
            )
        if self.softmax and self.normalise is not None:
            raise ValueError("normalise means nothing with softmax = true, whose weights add up to 1: leave it out.")
        if self.softmax and self.input == "cubic":
            raise ValueError(
                'input = "cubic" needs linear attention, which those features are of: leave out softmax, or use input = "tokens".'
            )
        if not self.softmax and self.normalise is None:
            object.__setattr__(self, "normalise", True)


LAYERS = {cls.architecture: cls for cls in (FullyConnectedSpec, ConvolutionalSpec, AttentionSpec)}
"""What one layer can be."""


@dataclass(frozen=True, kw_only=True)
class LayersSpec:
    """Layers of different kinds, one after the other: `[[network.layers]]`, a table each.

    **Arguments:**

    - `layers`: two or more tables with the keys of one layer, `architecture` and one width in `units` among them. The first may be of any architecture; those after
        it read the vector of all that the one before puts out, and are fully connected.
    """

    architecture: ClassVar[str] = "layers"

    layers: list[dict]

    def __post_init__(self):
        if len(self.layers) < 2:
            raise ValueError(
                f"layers needs at least two tables, found {len(self.layers)}: one layer is a [network] with the same keys."
            )
        read = []
        for k, table in enumerate(self.layers):
            layer: Any = table if type(table) in LAYERS.values() else read_layer(table, k)
            if k > 0 and not isinstance(layer, FullyConnectedSpec):
                raise ValueError(
                    f'layers[{k}] needs architecture = "fully_connected", as it reads the vector that the layer before puts out: found '
                    f"{layer.architecture!r}."
                )
            if isinstance(layer, FullyConnectedSpec) and not (isinstance(layer.units, int) and layer.skip is None):
                raise ValueError(
                    f"layers[{k}] is one layer, with one width in units and no skip: give each hidden layer a table of its own."
                )
            read.append(layer)
        object.__setattr__(self, "layers", read)


def read_layer(
    table: object, number: int, source: Source | None = None
) -> FullyConnectedSpec | ConvolutionalSpec | AttentionSpec:
    """One of `[[network.layers]]`, counted from 0. Raises `SpecError` as `read_variant` does."""
    if not isinstance(table, Mapping):
        raise SpecError(f"[network] layers[{number}] needs a table of keys, found {shown(table)}.")
    return read_variant(LAYERS, table, f"network.layers[{number}]", "architecture", source=source)


NETWORKS = LAYERS | {LayersSpec.architecture: LayersSpec}

NetworkSpec = FullyConnectedSpec | ConvolutionalSpec | AttentionSpec | LayersSpec


#: A width, rank or size above this is a slip of the keyboard: the weights of one such layer alone would fill the memory, at 8 bytes for each input and output.
MOST = 10_000_000


def _check_size(name: str, value: int | None) -> None:
    if value is None or value < 1:
        raise ValueError(f"{name} needs an integer of at least 1, found {value}.")
    if value > MOST:
        raise ValueError(f"{name} needs an integer of at most {MOST}, or its weights could not be held: found {value}.")


def _check_activation(name: str) -> None:
    if name in ACTIVATIONS or re.fullmatch(r"[^\W\d][\w.]*:[^\W\d]\w*", name):
        return
    known = f'(known: {", ".join(ACTIVATIONS)}, or "module:Class" for a unit of your own)'
    import difflib  # slow to import, and only needed here

    nearest = difflib.get_close_matches(name, ACTIVATIONS, n=1, cutoff=0.0)[0]
    raise ValueError(f"activation knows no {name!r}; the nearest is {nearest!r} {known}.")
