"""Effective width: the fewest units found by any reduction that a layer's facts allow, and the narrow network itself."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..embeddings import Mixing, fitted
from ..networks import AbstractLens, AbstractNetwork
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
        return Reduced(*none, "origin", np.full(len(view.u), -1))
    found = [by_rank(view, tau)] if view.lens.facts.linear else []
    if not view.lens.facts.linear:
        if view.lens.facts.degree != 1:
            found.append(by_activity(view, tau))
        found.append(by_merging(view, tau))
    best = min((r for r in found if r is not None), key=lambda r: r.width, default=None)
    if best is None or best.width >= len(view.u):
        # a rank is a rank also where it is full; other reductions that leave every unit have found nothing
        if view.lens.facts.linear:
            return Reduced(view.u, view.v, "rank", None)
        return Reduced(view.u, view.v, "none", np.arange(len(view.u)))
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
    """What a network needs: `widths` of its hidden layers, the `kind` of the narrowest layer's reduction, and the `kinds` of all layers'."""

    widths: tuple[int, ...]
    kind: str
    kinds: tuple[str, ...] = field(default=(), compare=False)


def effective_width(network: AbstractNetwork, objective: Objective, tau: float = TAU) -> Complexity:
    """The effective width of each hidden layer, the others left as they are. f = 0 has width 0 everywhere."""
    found = []
    outputs = None
    for layer in range(len(network.lenses())):
        view = LayerView(network, layer, objective, outputs)
        outputs = view.outputs
        found.append(reduce_layer(view, tau))
    widths = tuple(r.width for r in found)
    return Complexity(widths, min(found, key=lambda r: r.width).kind, tuple(r.kind for r in found))


class Step(NamedTuple):
    """One layer's reduction: the lens on it before, and which narrow unit each of its units went into (see `Reduced`)."""

    before: AbstractLens
    labels: np.ndarray | None


@dataclass(frozen=True)
class NearReduction:
    """A network as narrow as its effective width.

    - `network`: None where nothing is left.
    - `complexity`: its widths and kind.
    - `change`: root mean square change of the function on the data, relative to max(rms f, rms y).
    - `steps`: how it was reduced, layer after layer.
    """

    network: AbstractNetwork | None
    complexity: Complexity
    change: float
    steps: tuple[Step, ...]

    def back(self, narrow: AbstractNetwork) -> tuple[AbstractNetwork, tuple[Mixing, ...]]:
        """The wide network that embeds `narrow` (of the reduction's shapes) nearest to the one reduced, and its matrices, a pair a layer.

        Raises `ValueError` with the reason where the facts do not allow such an embedding.
        """
        embeddings = []
        for layer, step in reversed(list(enumerate(self.steps))):
            here = narrow.lenses()[layer]
            if step.before.tied is not None:
                alone = np.eye(len(step.before.get()[0]))
                embeddings.append(Mixing(alone, alone))
                continue
            embedding = fitted(step.before, here, step.labels)
            narrow = embedding(here)
            embeddings.append(embedding)
        return narrow, tuple(reversed(embeddings))


def reduce(network: AbstractNetwork, objective: Objective, tau: float = TAU) -> NearReduction:
    """A network as narrow as its effective width, layer after layer. Each layer may change the function by tau.

    A layer whose weights are tied to others' (`lens.tied`) stays as it is; its width is measured all the same.
    """
    widths, kinds, steps = [], [], []
    first: LayerView | None = None
    for layer in range(len(network.lenses())):
        view = LayerView(network, layer, objective)
        first = first or view
        reduced = reduce_layer(view, tau)
        if reduced.width == 0:
            nothing = first.change(first.u[:0], first.v[:0], first.phi[:, :0])
            layers = len(network.lenses())
            return NearReduction(None, Complexity((0,) * layers, "origin", ("origin",) * layers), nothing, ())
        steps.append(Step(view.lens, reduced.labels))
        if view.lens.tied is None:
            network = view.lens.put(reduced.u, reduced.v)
        widths.append(reduced.width)
        kinds.append(reduced.kind)
    assert first is not None
    change = first.distance(LayerView(network, 0, objective).outputs)
    narrowest = kinds[int(np.argmin(widths))]
    return NearReduction(network, Complexity(tuple(widths), narrowest, tuple(kinds)), change, tuple(steps))
