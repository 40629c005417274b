r"""Hidden layers of a model of which nothing is known but named arrays: matrices one after the other whose sizes fit.

What can be said of such a layer is said of its weights alone, $M = \sum_i u_i v_i^\top$, as if units were linear and inputs white.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from .activations import LINEAR
from .measures import measure
from .shown import Shown

#: Arrays that are no layer's weights.
BUFFERS = re.compile(r"(running_mean|running_var|num_batches_tracked|inv_freq|position_ids)$")
#: Matrices that a chain of layers does not go through, whatever their sizes.
APART = re.compile(
    r"(^|[._/])(q|k|v|qkv|c_attn|in_proj\w*|q_proj|k_proj|v_proj|query|key|value|attn|attention|self_attn|wte|wpe|emb\w*|\w*norm\w*|ln\w*)([._/]|$)",
    re.I,
)
REASON = "Seen by shapes alone: widths are of the weights, as if units were linear and inputs white; what lies between the two layers is not known."


def outputs_last(name: str) -> bool:
    """Whether an array of this name is kept as [in, out]: `kernel`, as in Flax and Keras."""
    return name.rsplit(".", 1)[-1] in ("kernel", "embedding")


def oriented(name: str, array: np.ndarray) -> np.ndarray:
    """An array of a layer as [out, everything else...]."""
    return np.moveaxis(array, -1, 0) if outputs_last(name) and array.ndim >= 2 else array


def chains(weights: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """Pairs of arrays, in the order in which they come, of which the second has inputs for the outputs of the first."""
    names = [n for n, a in weights.items() if np.ndim(a) >= 2 and not APART.search(n)]
    flip = _inputs_first({n: np.shape(weights[n]) for n in names})
    shapes = {n: _shape(n, np.shape(weights[n]), flip) for n in names}
    found = []
    for i, first in enumerate(names[:-1]):
        second = names[i + 1]
        units, inputs = shapes[first][0], shapes[second][1]
        convolution = len(shapes[second]) > 2
        # a dense layer may read several positions of a channel
        positions = len(shapes[first]) > 2 and not convolution and inputs % units == 0
        if inputs == units or positions:
            found.append((first, second))
    return found


def layers(weights: Mapping[str, np.ndarray]) -> list[Shown]:
    """A look at every hidden layer of a chain, at its weights alone."""
    flip = _inputs_first({n: np.shape(a) for n, a in weights.items() if np.ndim(a) >= 2 and not APART.search(n)})
    shown = []
    for first, second in chains(weights):
        w = _turned(first, np.asarray(weights[first], np.float64), flip)
        read = _turned(second, np.asarray(weights[second], np.float64), flip)
        units = len(w)
        u = w.reshape(units, -1)
        stem = first.rsplit(".", 1)[0]
        bias = weights.get(f"{stem}.bias") if "." in first else None
        if bias is not None and np.shape(bias) == (units,):
            u = np.hstack([u, np.asarray(bias, np.float64)[:, None]])
        if read.ndim > 2 or read.shape[1] == units:
            by_unit = np.moveaxis(read, 1, 0).reshape(units, -1)
        elif outputs_last(second):  # positions first, then channels
            by_unit = np.moveaxis(read.reshape(len(read), -1, units), 2, 0).reshape(units, -1)
        else:
            by_unit = np.moveaxis(read.reshape(len(read), units, -1), 1, 0).reshape(units, -1)
        kinds = ("Conv" if a.ndim > 2 else "Linear" for a in (w, read))
        name = first.removesuffix(".weight").removesuffix(".kernel")
        one = Shown(name, "-".join(kinds), REASON, u, by_unit[:, None, :], u.T[:, :, None], LINEAR.facts)
        a, b = np.sum(u**2), np.sum(by_unit**2)
        one.extra = {"imbalance": float((a - b) / (a + b)) if a + b > 0 else np.nan}
        shown.append(one)
    return shown


def measured(weights: Mapping[str, np.ndarray], epsilon: float = 0.0) -> dict[str, tuple[str, str, dict[str, float]]]:
    """Measures of every layer of a chain by name."""
    return {s.name: (s.kind, s.exact, measure(s, epsilon=epsilon)) for s in layers(weights)}


def _shape(name: str, shape: tuple[int, ...], flip: bool) -> tuple[int, ...]:
    if outputs_last(name):
        return (shape[-1], shape[-2], *shape[:-2])
    return (shape[1], shape[0]) if flip and len(shape) == 2 else shape


def _turned(name: str, array: np.ndarray, flip: bool) -> np.ndarray:
    """[out, in, taps...]."""
    if outputs_last(name):
        return np.moveaxis(array, (-1, -2), (0, 1))
    return array.T if flip and array.ndim == 2 else array


def _inputs_first(shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether bare matrices fit one after the other as [in, out] and not as [out, in]."""
    plain = [s for n, s in shapes.items() if not outputs_last(n) and len(s) == 2]
    as_they_are = sum(a[0] == b[1] for a, b in pairwise(plain))
    turned = sum(a[1] == b[0] for a, b in pairwise(plain))
    return turned > as_they_are
