r"""Can the flow rest here? A small gradient alone does not tell a minimum from a plateau."""

from typing import NamedTuple

import numpy as np

from ..complexity import LayerView, effective_width
from ..networks import AbstractNetwork
from ..objective import Objective
from .hessian import extreme_eigenvalues
from .insertion import insertion, layer_insertion, path_insertion

#: Lowest Hessian eigenvalue allowed, relative to the largest; the state asked about is itself only near a fixed point.
CURVATURE = 1e-5
#: Largest correlation of a residual with a silent unit's features allowed, relative to sqrt(E y^2 E phi^2).
CORRELATION = 1e-5
#: A unit counts as silent or removable if it contributes less than this part of max(rms f, rms y).
REMOVABLE = 1e-3
#: A residual below this part of rms y leaves nothing to learn: every correlation is then below it too.
RESIDUAL = 1e-6


class Certificate(NamedTuple):
    """Why the flow can, or cannot, rest at a network.

    - `rests`: the claim.
    - `lowest`, `largest`: eigenvalues of the Hessian; NaN where not needed.
    - `insertion`: what a silent unit would see; NaN where there is none, or the Hessian sees it.
    - `products`: Hessian-vector products used.
    """

    rests: bool
    lowest: float
    largest: float
    insertion: float
    products: int


def certify(network: AbstractNetwork, objective: Objective) -> Certificate:
    r"""Whether a network whose speed is small is at a place that the flow does not leave.

    It rests if nothing is left to learn, or if the lowest Hessian eigenvalue is above -1e-5 of the largest and no unit that the Hessian
    is blind to sees a residual (`insertion`): units of order 2 or more that are silent or removable, and units of piecewise linear
    networks with u = 0, where all kinks meet. A unit is dead if its features vanish on all data though u does not: the flow cannot move it,
    nor could a small push.

    **Holds** up to these tolerances: an escape slower than 1e-5 of the stiffest motion is not seen.
    """
    view = LayerView(network, 0, objective)
    error = view.root[:, None] * (view.outputs - np.asarray(objective.y))
    residual = float(np.sqrt(np.sum(error**2)))
    target = float(np.sqrt(np.sum((view.root[:, None] * np.asarray(objective.y)) ** 2)))
    if residual <= RESIDUAL * target:
        return Certificate(True, np.nan, np.nan, np.nan, 0)
    lowest, largest, products = extreme_eigenvalues(network, objective)
    if lowest < -CURVATURE * max(largest, 0.0):
        return Certificate(False, lowest, largest, np.nan, products)
    seen = np.nan
    if len(network.lenses()) == 1 and np.any(removable(view)):
        seen = insertion(network, objective).relative
    elif len(network.lenses()) > 1:
        found = [path_insertion(network, objective)] if spare(network, objective) else []
        found += [layer_insertion(network, objective, layer) for layer in blind_layers(network, objective)]
        seen = max((one.relative for one in found), default=np.nan)
    if seen > CORRELATION:  # not where it is NaN
        return Certificate(False, lowest, largest, seen, products)
    return Certificate(True, lowest, largest, seen, products)


def removable(view: LayerView) -> np.ndarray:
    """The units [units] that the Hessian is blind to: silent or removable ones of order 2 or more, and those of piecewise linear networks
    with u = 0. A unit is dead, and stays so, if its features vanish on all data though u does not."""
    facts = view.lens.facts
    vacant = np.all(view.u == 0.0, axis=1)
    dead = (np.max(np.abs(view.phi), axis=(0, 2)) == 0.0) & ~vacant
    return (view.contribution <= REMOVABLE * view.scale) & ~dead if facts.order >= 2 else vacant & facts.kinks


def spare(network: AbstractNetwork, objective: Objective) -> bool:
    """Whether every hidden layer has more units that could learn than the function needs, to a thousandth: then a path of silent ones leads through
    all of them. Dead units cannot learn. False where a layer's width cannot be changed, as a path then cannot be looked at."""
    if any(lens.supports("width") is not None and lens.tied is None for lens in network.lenses()):
        return False
    widths = effective_width(network, objective, REMOVABLE).widths
    return all(n < alive(LayerView(network, layer, objective)) for layer, n in enumerate(widths))


def blind_layers(network: AbstractNetwork, objective: Objective) -> list[int]:
    """Hidden layers with units that the Hessian is blind to (order 2 or more) and that could learn, beyond those that the function needs."""
    lenses = network.lenses()
    if all(lens.facts.order < 2 for lens in lenses):
        return []
    widths = effective_width(network, objective, REMOVABLE).widths
    return [
        layer
        for layer, (n, lens) in enumerate(zip(widths, lenses, strict=True))
        if lens.facts.order >= 2 and lens.supports("width") is None and n < alive(LayerView(network, layer, objective))
    ]


def alive(view: LayerView) -> int:
    """How many units of a layer are not dead."""
    vacant = np.all(view.u == 0.0, axis=1)
    return int(np.sum((np.max(np.abs(view.phi), axis=(0, 2)) > 0.0) | vacant))
