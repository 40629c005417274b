r"""Units that a flow need not carry: it stays in a subspace that a narrower network describes exactly.

Gradient flow commutes with every symmetry of the loss, so weights that start in a symmetric subspace stay there. With $q$ an isometry from few units to all
of them ($q^\top q = 1$), the flow of the wide network is $q$ times the flow of the narrow one, distances and speeds included:

- **linear units**: $u \to Qu,\ v \to Qv$ with orthogonal $Q$ changes nothing, so all units stay in the span of the columns of $[u, v]$, of at most
    weights + outputs dimensions (Fukumizu 1998; Saxe, McClelland & Ganguli 2014, for the symmetry). Width 10 000 costs what that does.
- **copies** (any unit): $m$ equal units move as one, with $\sqrt m$ times its weights.
- **silent units** at zero see nothing and feel nothing, if $\phi$ is silent.

Gradient descent and momentum commute with isometries too; methods that treat each weight by itself (Adam, sign descent) do not, and are not compressed.
"""

from dataclasses import dataclass

import jax
import numpy as np

from ..networks import AbstractNetwork
from .field import Share


def weights_of(network: AbstractNetwork) -> np.ndarray:
    """All weights as one vector, in the order of the network's leaves (that of `jax.flatten_util.ravel_pytree`)."""
    return np.concatenate([np.asarray(leaf, np.float64).reshape(-1) for leaf in jax.tree.leaves(network)])


def with_weights(template: AbstractNetwork, weights: np.ndarray) -> AbstractNetwork:
    """The template with weights from one vector, as NumPy float64."""
    leaves, structure = jax.tree.flatten(template)
    parts = np.split(weights, np.cumsum([np.size(leaf) for leaf in leaves])[:-1])
    return jax.tree.unflatten(structure, [p.reshape(np.shape(leaf)) for p, leaf in zip(parts, leaves, strict=True)])


@dataclass(frozen=True, eq=False)
class Narrowed:
    """One hidden layer told by fewer units.

    - `place`: which lens of the network.
    - `isometry` [units, fewer]: orthonormal columns.
    - `share` [fewer]: sqrt of how many copies each of the fewer units stands for; None where each stands for one.
    """

    place: int
    isometry: np.ndarray
    share: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Compression:
    r"""The way between a network and the narrower one that its flow is integrated as.

    **Arguments:**

    - `whole`: the network, at the start.
    - `narrow`: its coordinates, shaped like a narrower network of its kind.
    - `steps`: what was done to its layers, in order; empty where nothing could be.
    """

    whole: AbstractNetwork
    narrow: AbstractNetwork
    steps: tuple[Narrowed, ...] = ()

    @property
    def shares(self) -> tuple[Share, ...]:
        return tuple(Share(step.place, step.share) for step in self.steps if step.share is not None)

    @property
    def rotates(self) -> bool:
        """Whether all that was done is to turn linear units: the narrow network then computes the function and has every way out that the whole one has."""
        return all(self.whole.lenses()[step.place].facts.linear for step in self.steps)

    def network(self, coordinates: np.ndarray) -> AbstractNetwork:
        """The whole network at narrow coordinates given as one vector."""
        return self.widen(with_weights(self.narrow, coordinates))

    def at_rest(self, coordinates: np.ndarray) -> AbstractNetwork:
        """The network to ask whether the flow can rest here: a turned one has every way out that the whole one has, for less."""
        return with_weights(self.narrow, coordinates) if self.steps and self.rotates else self.network(coordinates)

    def widen(self, narrow: AbstractNetwork) -> AbstractNetwork:
        """The whole network at narrow coordinates, as NumPy float64."""
        network = narrow
        for step in reversed(self.steps):
            lens = network.lenses()[step.place]
            u, v = (np.asarray(a, np.float64) for a in lens.get())
            network = lens.put(step.isometry @ u, np.einsum("hk,kfo->hfo", step.isometry, v))
        return network


def compress(network: AbstractNetwork) -> Compression:
    """Finds what the flow from these weights need not carry.

    **Holds** exactly in real numbers; in 64 bits the wide flow, integrated as it is, leaves the subspace by rounding, and this one does not.
    """
    steps: list[Narrowed] = []
    narrow = network
    lenses = network.lenses()
    for place in range(len(lenses)):
        lens = narrow.lenses()[place] if steps else lenses[place]
        if lens.supports("width") is not None:
            continue
        u, v = (np.asarray(a, np.float64) for a in lens.get())
        facts = lens.facts
        step = _linear(u, v, place) if facts.linear else _copies(u, v, place, silent=facts.silent, kinks=facts.kinks)
        if step is None:
            continue
        steps.append(step)
        narrow = lens.put(step.isometry.T @ u, np.einsum("hk,hfo->kfo", step.isometry, v))
    return Compression(network, narrow, tuple(steps))


def _linear(u: np.ndarray, v: np.ndarray, place: int) -> Narrowed | None:
    units = len(u)
    columns = np.concatenate([u, v.reshape(units, -1)], axis=1)
    if columns.shape[1] >= units:
        return None
    isometry, _ = np.linalg.qr(columns)
    return Narrowed(place, isometry)


def _copies(u: np.ndarray, v: np.ndarray, place: int, *, silent: bool, kinks: bool) -> Narrowed | None:
    """Equal units as one, silent ones as none; never all of them."""
    units = len(u)
    rows = np.concatenate([u, v.reshape(units, -1)], axis=1)
    if rows[:, 0].all() and len(set(rows[:, 0].tolist())) == units:
        return None  # the first weights tell them all apart
    kept, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort([np.flatnonzero(inverse == k)[0] for k in range(len(kept))])  # by first appearance
    groups = [k for k in order if not (silent and not np.any(kept[k]))]
    if not groups or len(groups) == units:
        return None
    isometry = np.stack([(inverse == k) / np.sqrt(counts[k]) for k in groups], axis=1)
    share = np.sqrt(counts[groups].astype(np.float64))
    alone = bool(np.all(share == 1))
    if kinks and not alone:
        return None  # kinks are followed in the weights themselves, not in multiples of them
    return Narrowed(place, isometry, None if alone else share)
