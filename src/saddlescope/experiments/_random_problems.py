r"""The problems that theory is scored on, drawn once and frozen: nothing may be tuned on them.

A problem is a spec, so that anybody can run one again. For each family, problem `number` is drawn from a stream of its own, so more problems do not
change the first ones. Numbers in specs have six digits. A test holds a digest of the whole list: a change of a distribution is a change that somebody sees.

**The distribution.** Ratios of consecutive singular values uniform in 0.2 to 0.85, the largest log-uniform in 0.5 to 2; input eigenvalues
log-uniform within a factor 5 (around 1); dimensions 2 to 4; widths log-uniform on eight values from 5 to 500, a short list so that compiled programs
are shared; scales log-uniform in 1e-8 to 1e-1 where units are of order 1 and 1e-4 to 1e-1 where they are of order 2 or the network is deep; every
problem has an initial seed of its own. What a family calls a singular value:

- *linear*: of E[y x^T], whose right vectors are eigenvectors of the inputs' covariance, in a random basis;
- *linear, non-commuting*: the same, with a covariance in a basis of its own;
- *linear convolution*: of E[y patch], patches side by side;
- *ReLU*: |(1/n) sum of y_k x_k| over the samples with positive, and with negative targets; orthogonal inputs of different lengths;
- *quadratic*: |eigenvalues| of the teacher's matrix, signs at random, in a basis of its own; Gaussian inputs, population loss;
- *attention*, *merged attention*: squared eigenvalues of the tokens' covariance (E[psi y] = Lambda^2), population loss, 4 to 64 context tokens;
- *deep linear*: as *linear*, with two hidden layers of equal width.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

RATIO = (0.2, 0.85)
LARGEST = (0.5, 2.0)
#: The largest input eigenvalue over the smallest.
SPREAD = 5.0
WIDTHS = (5, 10, 19, 37, 70, 135, 260, 500)
DIMENSIONS = (2, 3, 4)
CONTEXT = (4, 64)
#: log10 of the scale.
SMALL, MODERATE = (-8.0, -1.0), (-4.0, -1.0)

Tables = dict[str, dict[str, Any]]


class Drawn(NamedTuple):
    """One problem: its spec, and what it was drawn with."""

    family: str
    number: int
    spec: Tables
    singular_values: tuple[float, ...]
    scale: float

    @property
    def separation(self) -> float:
        """(1 - s2/s1) ln(1/scale): how far the first two timescales are apart, in e-foldings of the faster."""
        return (1.0 - self.singular_values[1] / self.singular_values[0]) * float(np.log(1.0 / self.scale))


class Draw(NamedTuple):
    """A spec without its init, and the singular values it was drawn with."""

    network: dict[str, Any]
    task: dict[str, Any]
    singular_values: np.ndarray


def problem(family: str, number: int) -> Drawn:
    """Problem `number`, counted from 0, of a family of `FAMILIES`."""
    draw, scales = FAMILIES[family]
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([list(FAMILIES).index(family), number, 20512607])))
    network, task, s = draw(rng)
    scale = _digits(10.0 ** rng.uniform(*scales))
    init = {"kind": "gaussian", "scale": scale, "seed": int(rng.integers(2**31))}
    spec = {"network": network, "task": task, "init": init}
    return Drawn(family, number, spec, tuple(_plain(s)), scale)


def digest(count: int) -> str:
    """SHA-256 of the first `count` problems of each family."""
    listed = [[family, number, problem(family, number).spec] for family in FAMILIES for number in range(count)]
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()


def _linear(rng: np.random.Generator) -> Draw:
    inputs, outputs = (int(n) for n in rng.choice(DIMENSIONS, 2))
    s = _singular_values(rng, min(inputs, outputs))
    task = {
        "kind": "linear_teacher",
        "singular_values": _plain(s),
        "input_eigenvalues": _plain(_eigenvalues(rng, inputs)),
        "outputs": outputs,
        "rotate": True,
        "seed": int(rng.integers(2**31)),
    }
    return Draw(_neurons(rng, "linear"), task, s)


def _non_commuting(rng: np.random.Generator) -> Draw:
    # orthogonal inputs with any targets are every pair of covariance and correlation, up to a turn of the inputs
    inputs, outputs = (int(n) for n in rng.choice(DIMENSIONS, 2))
    s = _singular_values(rng, min(inputs, outputs))
    left, right = _orthogonal(rng, outputs)[:, : len(s)], _orthogonal(rng, inputs)[:, : len(s)]
    norms = np.sqrt(inputs * _eigenvalues(rng, inputs))
    targets = inputs * ((left * s) @ right.T).T / norms[:, None]
    task = {"kind": "orthogonal_relu", "norms": _plain(norms), "targets": [_plain(row) for row in targets]}
    return Draw(_neurons(rng, "linear"), task, s)


def _convolution(rng: np.random.Generator) -> Draw:
    kernel, positions = (int(n) for n in rng.choice(DIMENSIONS, 2))
    s = _singular_values(rng, min(kernel, positions))
    network = {"architecture": "convolutional", "activation": "linear", "kernel_size": kernel, "stride": kernel}
    task = {
        "kind": "convolutional_teacher",
        "kernel_size": kernel,
        "positions": positions,
        "singular_values": _plain(s),
        "input_eigenvalues": _plain(_eigenvalues(rng, kernel)),
    }
    return Draw(network | {"units": _width(rng)}, task, s)


def _relu(rng: np.random.Generator) -> Draw:
    samples = int(rng.choice(DIMENSIONS))
    s = _singular_values(rng, 2)
    norms = np.sqrt(samples * _eigenvalues(rng, samples))
    positive = int(rng.integers(1, samples))
    faster = rng.permutation(2)  # whether positive or negative targets are learned first
    targets = rng.uniform(0.5, 1.5, samples)
    for group, rate, sign in ((slice(0, positive), s[faster[0]], 1.0), (slice(positive, None), s[faster[1]], -1.0)):
        targets[group] *= sign * rate * samples / np.linalg.norm(targets[group] * norms[group])
    order = rng.permutation(samples)
    task = {
        "kind": "orthogonal_relu",
        "norms": _plain(norms[order]),
        "targets": _plain(targets[order]),
        "rotate": True,
        "seed": int(rng.integers(2**31)),
    }
    return Draw(_neurons(rng, "relu"), task, s)


def _quadratic(rng: np.random.Generator) -> Draw:
    inputs = int(rng.choice(DIMENSIONS))
    s = _singular_values(rng, inputs)
    basis = _orthogonal(rng, inputs)
    matrix = (basis * (s * rng.choice([-1.0, 1.0], inputs))) @ basis.T
    task = {
        "kind": "quadratic_teacher",
        "matrix": [_plain(row) for row in (matrix + matrix.T) / 2],
        "covariance": [_plain(row) for row in np.diag(_eigenvalues(rng, inputs))],
    }
    return Draw(_neurons(rng, "quadratic"), task, s)


def _attention(rng: np.random.Generator, merged: bool = False) -> Draw:
    inputs = int(rng.choice(DIMENSIONS))
    s = _singular_values(rng, inputs)
    while s[0] > SPREAD**2 * s[-1]:  # their roots are the input eigenvalues
        s = _singular_values(rng, inputs)
    context = int(np.exp(rng.uniform(*np.log(CONTEXT))))
    network = {"architecture": "attention", "units": _width(rng), "input": "cubic"}
    network |= {"merged": True} if merged else {"rank": 1}
    task = {"kind": "in_context_regression", "eigenvalues": _plain(np.sqrt(s)), "context": context}
    return Draw(network, task, s)


def _merged(rng: np.random.Generator) -> Draw:
    return _attention(rng, merged=True)


def _deep(rng: np.random.Generator) -> Draw:
    network, task, s = _linear(rng)
    return Draw(network | {"units": [network["units"]] * 2}, task, s)


#: Name -> how to draw, and the range of log10(scale). The order, and every line above, are part of what is frozen.
FAMILIES: dict[str, tuple[Callable[[np.random.Generator], Draw], tuple[float, float]]] = {
    "linear": (_linear, SMALL),
    "linear, non-commuting": (_non_commuting, SMALL),
    "linear convolution": (_convolution, SMALL),
    "ReLU": (_relu, SMALL),
    "quadratic": (_quadratic, MODERATE),
    "attention": (_attention, MODERATE),
    "merged attention": (_merged, SMALL),
    "deep linear": (_deep, MODERATE),
}


def _singular_values(rng: np.random.Generator, count: int) -> np.ndarray:
    ratios = rng.uniform(*RATIO, count - 1)
    return np.exp(rng.uniform(*np.log(LARGEST))) * np.cumprod([1.0, *ratios])


def _eigenvalues(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.exp(0.5 * np.log(SPREAD) * rng.uniform(-1.0, 1.0, count))


def _neurons(rng: np.random.Generator, activation: str) -> dict[str, Any]:
    return {"architecture": "fully_connected", "activation": activation, "units": _width(rng)}


def _width(rng: np.random.Generator) -> int:
    return int(rng.choice(WIDTHS))


def _orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def _plain(values: np.ndarray) -> list[float]:
    return [_digits(value) for value in values]
