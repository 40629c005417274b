r"""What a reduction is, and one hidden layer on the data, which every reduction works on.

A **reduction** of a layer is a narrower layer that does nearly the same. What it costs is the root mean square change of the whole network's
function on the data, relative to max(rms f, rms y).
"""

from functools import cached_property
from typing import NamedTuple

import jax
import numpy as np

from ..networks import AbstractLens, AbstractNetwork
from ..objective import Objective

#: Tolerance of effective width: a change of the function by this part of max(rms f, rms y) does not count.
TAU = 1e-2


class Reduced(NamedTuple):
    """A narrower layer: `u` [width, weights], `v` [width, features, outputs], and the kind of reduction.

    `labels` [units] tells which narrow unit each of the layer's units went into, -1 for those that were dropped; None where they mix freely.
    """

    u: np.ndarray
    v: np.ndarray
    kind: str
    labels: np.ndarray | None

    @property
    def width(self) -> int:
        return self.u.shape[0]


class LayerView:
    """One hidden layer on the data, in NumPy.

    - `u` [units, weights], `v` [units, features, outputs];
    - `phi` [rows, units, features], times the square root of the rows' weights;
    - `contribution` [units]: root mean square of phi v.
    """

    def __init__(self, network: AbstractNetwork, layer: int, objective: Objective, outputs: np.ndarray | None = None):
        self.layer = layer
        with jax.enable_x64(True):
            self.objective = objective
            self.lens = network.lenses()[layer]
            self.u, self.v = (np.asarray(a) for a in self.lens.get())
            self.root = np.sqrt(np.asarray(objective.weight))
            self.phi = np.asarray(_features(self.lens, self.objective)) * self.root[:, None, None]
            self.outputs = np.asarray(_outputs(self.lens.network, self.objective)) if outputs is None else outputs
        target = np.sum((self.root[:, None] * np.asarray(objective.y)) ** 2) + 2 * float(objective.irreducible)
        self.scale = float(np.sqrt(max(np.sum((self.root[:, None] * self.outputs) ** 2), target)))
        parts = np.einsum("khf,hfo->kho", self.phi, self.v)
        self.contribution = np.sqrt(np.sum(parts**2, axis=(0, 2)))

    def rows(self) -> np.ndarray:
        """psi of the layer's units [rows, features, psi], times the square root of the rows' weights."""
        with jax.enable_x64(True):
            return np.asarray(_rows(self.lens, self.objective)) * self.root[:, None, None]

    def features_of(self, u: np.ndarray) -> np.ndarray:
        """phi of other input weights, at most as many as there are units."""
        with jax.enable_x64(True):
            found = _features_of(*self.held, *self._filled(u, np.zeros((len(u), *self.v.shape[1:]))))
        return np.asarray(found)[:, : len(u)] * self.root[:, None, None]

    def change(self, u: np.ndarray, v: np.ndarray, phi: np.ndarray) -> float:
        """Relative change of the network's function if the layer becomes (u, v), which may be narrower, with features `phi`."""
        if self.lens.direct:  # the sum itself is enough
            outputs = np.tensordot(phi, v, axes=((1, 2), (0, 1)))
        else:
            with jax.enable_x64(True):
                outputs = self.root[:, None] * np.asarray(_outputs_of(*self.held, *self._filled(u, v)))
        return self._relative(outputs)

    def distance(self, outputs: np.ndarray) -> float:
        """Root mean square difference of the network's function from one given by its values on the rows, relative."""
        return self._relative(self.root[:, None] * outputs)

    def _relative(self, weighted: np.ndarray) -> float:
        norm = float(np.linalg.norm(weighted - self.root[:, None] * self.outputs))
        return norm / self.scale if self.scale > 0 else 0.0

    def _filled(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """With units of v = 0 up to the width, so that one compiled function serves every candidate."""
        spare = len(self.u) - len(u)
        return (
            np.concatenate([u, np.zeros((spare, u.shape[1]))]),
            np.concatenate([v, np.zeros((spare, *v.shape[1:]))]),
        )

    @cached_property
    def held(self) -> tuple[AbstractLens, Objective]:
        """Lens and objective where they are computed with: candidates are many, and only they go there again and again."""
        with jax.enable_x64(True):
            return jax.tree.map(jax.numpy.asarray, (self.lens, self.objective))


@jax.jit
def _features(lens: AbstractLens, objective: Objective):
    return objective.features(lens)


@jax.jit
def _rows(lens: AbstractLens, objective: Objective):
    return jax.vmap(lambda x: lens.rows(x, objective.lifted))(objective.x)


@jax.jit
def _outputs(network: AbstractNetwork, objective: Objective):
    return objective.outputs(network)


@jax.jit
def _features_of(lens: AbstractLens, objective: Objective, u, v):
    return objective.features(lens.of(lens.put(u, v)))


@jax.jit
def _outputs_of(lens: AbstractLens, objective: Objective, u, v):
    return objective.outputs(lens.put(u, v))


def fewest(total: int, fits) -> int | None:
    """The smallest n in 0..total for which `fits(n)`, by halving as if it were monotone; None if `fits(total)` is False."""
    if not fits(total):
        return None
    low, high = -1, total
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle
    return high
