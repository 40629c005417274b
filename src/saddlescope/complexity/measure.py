"""Effective width: the fewest units found by any reduction that a layer's facts allow, and the narrow network itself."""

from dataclasses import dataclass

import numpy as np

from ..networks import AbstractNetwork
from ..objective import Objective
from ._base import TAU, LayerView, Reduced
from .active import by_activity
from .merged import by_merging
from .rank import by_rank


def reduce_layer(view: LayerView, tau: float = TAU) -> Reduced:
    """The narrowest of the reductions that the facts of the units allow; kind "none" where none is narrower than the layer, and units are not linear.

    Linear units: rank. Degree 1: rays. Else the smaller of active units and copies. An upper bound, as each is greedy.
    """
    none = np.zeros((0, view.u.shape[1])), np.zeros((0, *view.v.shape[1:]))
    if view.change(*none, view.phi[:, :0]) <= tau:
        return Reduced(*none, "origin")
    found = [by_rank(view, tau)] if view.lens.facts.linear else []
    if not view.lens.facts.linear:
        if view.lens.facts.degree != 1:
            found.append(by_activity(view, tau))
        found.append(by_merging(view, tau))
    best = min((r for r in found if r is not None), key=lambda r: r.width, default=None)
    if best is None or best.width >= len(view.u):
        # a rank is a rank also where it is full; other reductions that leave every unit have found nothing
        return Reduced(view.u, view.v, "rank" if view.lens.facts.linear else "none")
    return best


def inner_ranks(network: AbstractNetwork, objective: Objective, tau: float = TAU) -> list[int] | None:
    """For units that are bilinear forms inside (heads of rank above 1): the rank of each that contributes more than tau, largest
    first; None for all other units."""
    view = LayerView(network, 0, objective)
    order = [i for i in np.argsort(-view.contribution, kind="stable") if view.contribution[i] > tau * view.scale]
    ranks = [view.lens.unit.inner_rank(view.u[i], tau) for i in order]
    return None if any(r is None for r in ranks) or view.lens.unit.inner_rank(view.u[0], tau) is None else ranks


@dataclass(frozen=True)
class Complexity:
    """What a network needs: `widths` of its hidden layers, the `kind` of the narrowest layer's reduction."""

    widths: tuple[int, ...]
    kind: str


def effective_width(network: AbstractNetwork, objective: Objective, tau: float = TAU) -> Complexity:
    """The effective width of each hidden layer, the others left as they are. f = 0 has width 0 everywhere."""
    found = []
    outputs = None
    for layer in range(len(network.lenses())):
        view = LayerView(network, layer, objective, outputs)
        outputs = view.outputs
        found.append(reduce_layer(view, tau))
    widths = tuple(r.width for r in found)
    return Complexity(widths, min(found, key=lambda r: r.width).kind)


def reduce(
    network: AbstractNetwork, objective: Objective, tau: float = TAU
) -> tuple[AbstractNetwork | None, Complexity]:
    """A network as narrow as its effective width, layer after layer, and what it is; None where nothing is left.

    Each layer may change the function by tau.
    """
    widths, kinds = [], []
    for layer in range(len(network.lenses())):
        reduced = reduce_layer(LayerView(network, layer, objective), tau)
        if reduced.width == 0:
            return None, Complexity((0,) * len(network.lenses()), "origin")
        network = network.lenses()[layer].put(reduced.u, reduced.v)
        widths.append(reduced.width)
        kinds.append(reduced.kind)
    return network, Complexity(tuple(widths), kinds[int(np.argmin(widths))])
