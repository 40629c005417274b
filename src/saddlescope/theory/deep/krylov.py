r"""Deep linear networks compressed in the space of their hidden units.

The product and all gradients live, at t = 0, in what the input layer's columns reach going forward and the output layer's rows reach going back: at most inputs + outputs directions in
each hidden layer, $\mathcal K_0$. The flow leaves these spans only through what the inner layers make of them, $W_l \mathcal K$ and $W_{l+1}^\top \mathcal K$; each further round of
that costs half as many directions again and has a small effect (its error falls by a factor of 20 to 40 a round: measured, docs/theory_deep.md). With inner layers
whose squares are multiples of the identity (orthogonal, scaled) or of low rank the spans close, and the reduction is exact.

A skip connection adds one hidden layer to another, unit by unit: both then need the same basis, and the identity between them stays one. What goes around the layers in between is their largest
part while weights are small, so that the first spans follow the connection; what goes through these layers enters with the rounds.
"""

import numpy as np

#: A direction counts as new if it is longer than this part of the vectors that it comes from.
NEW = 1e-10


def bases(weights: list[np.ndarray], rounds: int, skip: int | None = None) -> list[np.ndarray]:
    """Orthonormal bases [units, dimensions], one a hidden layer, after `rounds` rounds; with a skip connection the two layers that it joins have one and the same.

    **Arguments:** `weights`: W_1 .. W_L; `skip`: how many layers the connection from the first hidden layer jumps over.
    """
    layers = len(weights) - 1
    # the first layer's basis is kept at the connection's end
    place = [skip if skip is not None and layer == 0 else layer for layer in range(layers)]
    found = [np.zeros((w.shape[0], 0)) for w in weights[:-1]]

    def add(layer: int, vectors: np.ndarray) -> None:
        size = float(np.linalg.norm(vectors, 2)) if vectors.size else 0.0
        at = place[layer]
        for _ in range(2):  # twice, so that what rounding leaves is orthogonal too
            vectors = vectors - found[at] @ (found[at].T @ vectors)
        if size > 0.0:
            left, length, _ = np.linalg.svd(vectors, full_matrices=False)
            found[at] = np.hstack([found[at], left[:, length > NEW * size]])

    forward, backward = np.eye(weights[0].shape[1]), np.eye(weights[-1].shape[0])
    for layer, w in enumerate(weights[:-1]):
        forward = w @ (weights[0] if skip is not None and layer == skip + 1 else forward)
        if layer != skip:
            add(layer, forward)
    for layer in reversed(range(layers)):
        backward = weights[layer + 1].T @ backward
        if layer != 0 or skip is None:
            add(layer, backward)
    for _ in range(rounds):
        before = [found[at] for at in place]
        for layer in range(1, layers):
            add(layer, weights[layer] @ before[layer - 1])
        for layer in range(layers - 1):
            add(layer, weights[layer + 1].T @ before[layer + 1])
    return [found[at] for at in place]


def projected(weights: list[np.ndarray], spans: list[np.ndarray]) -> list[np.ndarray]:
    """The narrow network's weights: each matrix between the spans of its two layers."""
    right = [np.eye(weights[0].shape[1]), *spans]
    left = [*spans, np.eye(weights[-1].shape[0])]
    return [a.T @ w @ b for a, w, b in zip(left, weights, right, strict=True)]
