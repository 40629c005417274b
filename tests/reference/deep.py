"""What networks of unlike layers, and with a skip connection, compute for one input: loops over named arrays."""

import numpy as np

from .units import ACTIVATIONS, dot


def stack(first, activations: list[str], x, arrays: dict[str, np.ndarray]) -> list[float]:
    """`first(x=x, **arrays of one unit)` gives the features of a first-layer unit; then layers of neurons, and a sum over the last.

    `arrays` as in an init file: `layers.0.*` [units, ...], `layers.k.u` [units, units before, features of those if there is that axis].
    """
    names = [name for name in arrays if name.startswith("layers.0.")]
    below = []  # features of each unit
    for i in range(len(arrays[names[0]])):
        below.append(list(first(x=x, **{name.split(".")[-1]: arrays[name][i] for name in names})))
    for k, activation in enumerate(activations, start=1):
        here = []
        for row in arrays[f"layers.{k}.u"]:
            total = 0.0
            for j, features in enumerate(below):
                for f, feature in enumerate(features):
                    total += (row[j] if np.ndim(row[j]) == 0 else row[j][f]) * feature
            here.append([ACTIVATIONS[activation](total)])
        below = here
    v = arrays[f"layers.{len(activations)}.v"]
    return [sum(v[i][o] * below[i][0] for i in range(len(v))) for o in range(len(v[0]))]


def skip(activation: str, jumps: int, x, weights: list[np.ndarray]) -> list[float]:
    """Layers of neurons; what the first hidden one puts out is added to what hidden layer 1 + `jumps` does."""
    values, first = list(x), None
    for depth, w in enumerate(weights[:-1]):
        values = [ACTIVATIONS[activation](dot(row, values)) for row in w]
        if depth == 0:
            first = values
        if depth == jumps:
            values = [a + b for a, b in zip(values, first, strict=True)]
    return [dot(row, values) for row in weights[-1]]
