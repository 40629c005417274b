r"""Wider without changing anything, narrower without losing anything: embeddings and reductions put to use.

A narrow network that is stuck in a minimum of its own landscape is not stuck in a wider one: the same function sits on a saddle there. And a wide
network that computes what a narrow one could is cut to that width.
"""

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..complexity import TAU, Complexity, LayerView, reduce
from ..embeddings import AbstractEmbedding, Silent, Split
from ..networks import AbstractNetwork
from ..objective import Objective
from .find import relative_gradient
from .insertion import insertion
from .polish import polish


class Grown(NamedTuple):
    r"""A wider network.

    - `network`; `embedding`: what made it, one after the other.
    - `change`: root mean square change of the function on the data, relative to max(rms f, rms y): rounding without a kick.
    - `gradient`: $|\nabla L|$ of the grown network, relative to the residual times the narrow one's largest column.
    """

    network: AbstractNetwork
    embeddings: tuple[AbstractEmbedding, ...]
    change: float
    gradient: float


@dataclass(frozen=True)
class Pruned:
    """A narrower network.

    - `network`: None where the function is zero to within tau.
    - `complexity`: its widths, and the kind of reduction of the narrowest layer.
    - `change`: root mean square change of the function on the data, relative to max(rms f, rms y).
    """

    network: AbstractNetwork | None
    complexity: Complexity
    change: float


def grow(
    network: AbstractNetwork,
    objective: Objective,
    units: int,
    *,
    layer: int = 0,
    kick: float = 0.0,
    seed: int = 0,
) -> Grown:
    r"""Adds units to a hidden layer so that function and gradient stay: silent ones, or splits where $\phi(x; 0) \ne 0$.

    **Arguments:**

    - `units`: how many, at least 1.
    - `kick`: how far the new units start from rest, relative to the root mean square size of the layer's units; 0 leaves function and gradient as
        they are. Where the network is the sum over its units (`lens.direct`) they are kicked towards what lowers the loss fastest, the maximiser of
        $|E[(y - f)\,\phi(x; u)]|$, each a little turned so that they do not stay equal; elsewhere at random.
    - `seed`: of what is random in a kick.

    **Holds** exactly without a kick. With one the function changes by $O(\text{kick}^{p + 1})$ for units of order $p$.

    **Raises:** `ValueError` where the model cannot change the layer's width, or fewer than one unit is asked for.
    """
    if units < 1:
        raise ValueError(f"grow(units={units}) needs at least one unit to add.")
    hidden = len(network.lenses())
    if not 0 <= layer < hidden:
        raise ValueError(f"grow(layer={layer}) needs a hidden layer from 0 to {hidden - 1}: this network has {hidden}.")
    before = LayerView(network, layer, objective)
    lens = before.lens
    embeddings: list[AbstractEmbedding] = []
    if lens.facts.silent:
        embeddings.append(Silent(units))
    else:
        order = np.argsort(-before.contribution, kind="stable")
        embeddings += [Split(int(order[i % len(order)]), share=1.0 / (1 + i // len(order) + 1)) for i in range(units)]
    wide = network
    for embedding in embeddings:
        wide = embedding(lens.of(wide))
    gradient = relative_gradient(wide, network, objective)
    if kick != 0.0:
        wide = _kicked(wide, network, objective, layer, units, kick, seed)
    change = before.distance(LayerView(wide, 0, objective).outputs)
    return Grown(wide, tuple(embeddings), change, gradient)


def _kicked(
    wide: AbstractNetwork,
    narrow: AbstractNetwork,
    objective: Objective,
    layer: int,
    units: int,
    kick: float,
    seed: int,
) -> AbstractNetwork:
    lens = narrow.lenses()[layer]
    old_u, old_v = (np.asarray(part, np.float64) for part in lens.get())
    u, v = (np.array(part, np.float64) for part in wide.lenses()[layer].get())
    size_u = float(np.sqrt(np.mean(np.sum(old_u**2, axis=1)))) or 1.0
    size_v = float(np.sqrt(np.mean(np.sum(old_v**2, axis=(1, 2))))) or 1.0
    rng = np.random.Generator(np.random.PCG64(seed))
    towards_u, towards_v = rng.normal(size=u[-units:].shape), rng.normal(size=v[-units:].shape)
    if lens.direct:
        best = insertion(narrow, objective).u
        with jax.enable_x64(True):
            seen = np.asarray(_correlation(lens, jax.tree.map(jnp.asarray, objective), jnp.asarray(best)))
        # a tenth at random: units that start equal would stay equal
        towards_u = best + 0.1 * towards_u / np.linalg.norm(towards_u, axis=1, keepdims=True)
        towards_v = np.broadcast_to(seen, v[-units:].shape)
    towards_u = towards_u / np.linalg.norm(towards_u, axis=1, keepdims=True)
    length = np.sqrt(np.sum(towards_v**2, axis=(1, 2), keepdims=True))
    towards_v = towards_v / np.where(length > 0, length, 1.0)
    u[-units:] += kick * size_u * towards_u
    v[-units:] += kick * size_v * towards_v
    return wide.lenses()[layer].put(u, v)


def prune(network: AbstractNetwork, objective: Objective, *, tau: float = TAU) -> Pruned:
    r"""A network as narrow as the effective width at `tau`, with the function as near to this one's as its width allows.

    Reduced first, then fitted to the outputs of the wide network on the data by descent, so that what a narrow network can express exactly it does.

    **Holds:** `change` says what it cost. For a network at a fixed point that a narrower one embeds it is rounding, or what the fit leaves.
    """
    reduction = reduce(network, objective, tau)
    if reduction.network is None:
        return Pruned(None, reduction.complexity, reduction.change)
    here = LayerView(network, 0, objective)
    as_target = eqx.tree_at(lambda o: (o.y, o.irreducible), objective, (np.asarray(here.outputs), np.float64(0.0)))
    best, change = reduction.network, reduction.change
    fitted = polish(reduction.network, as_target, throw=False)
    after = here.distance(LayerView(fitted.network, 0, objective).outputs)
    if after < change:
        best, change = fitted.network, after
    return Pruned(best, reduction.complexity, change)


@eqx.filter_jit
def _correlation(lens, objective, u):
    return objective.correlation(lens, u)
