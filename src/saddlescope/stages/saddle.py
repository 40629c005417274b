"""The fixed point near a state: reduce, polish the narrow network, embed it back, look at its Hessian."""

from dataclasses import dataclass

import numpy as np

from ..complexity import TAU, Complexity, LayerView, effective_width, reduce
from ..fixed_points import hessian, nearest_fixed_point, polish
from ..networks import AbstractNetwork
from ..objective import Objective
from ..results import RESULTS

#: A plateau at finite scale already shows the next unit: reduction is tried again with larger tolerances.
TOLERANCES = (TAU, 3e-2, 1e-1, 2.5e-1)
#: The Hessian of the wide network is computed up to this many weights.
INDEX_WEIGHTS = 300
#: A network that no reduction fits is polished as it is up to this many.
WHOLE_WEIGHTS = 600
#: A fixed point whose function differs by at most this part of max(rms f, rms y) is the one visited; farther ones are compared.
NEAR = 0.1
#: Eigenvalues count as zero below this part of the largest (formulas of the index hold with it on linear networks).
ZERO_EIGENVALUE = 1e-6


@dataclass(frozen=True)
class Saddle:
    """A fixed point of the wide network, embedded from a narrow one with silent units."""

    height: float
    complexity: Complexity
    wide: AbstractNetwork


def saddle_near(
    network: AbstractNetwork,
    objective: Objective,
    loss: float,
    reach: float,
    *,
    whole: bool = False,
    farthest: float = np.inf,
) -> Saddle | None:
    """The fixed point near a slow state, or None.

    **Arguments:**

    - `loss`: at the state. `reach`: a fixed point is accepted if its loss is within this of it.
    - `farthest`: and if its function differs by at most this part of max(rms f, rms y).
    - `whole`: try the network as it is last, if it has at most 600 weights. For the end of a run, which no narrower network need reach.

    Accepted is the first, over increasing tolerances of reduction, whose fixed point keeps the width it was reduced to and whose loss is within
    reach. It is looked for by descent; where that moves the function by more than a tenth, also by Newton's method, and the nearer one counts.
    """
    here = LayerView(network, 0, objective)
    tried = set()
    for tau in TOLERANCES:
        narrow, complexity = reduce(network, objective, tau)
        if complexity.widths in tried:
            continue
        tried.add(complexity.widths)
        if narrow is None:
            wide = _silenced(network)
            outputs = LayerView(wide, 0, objective).outputs
            height = float(objective.loss_of(outputs))
            if abs(height - loss) <= reach and here.distance(outputs) <= farthest:
                return Saddle(height, complexity, wide)
            continue
        found = []
        for search in (polish, nearest_fixed_point):
            point = search(narrow, objective, throw=False)
            if point.result is not RESULTS.successful or abs(point.loss - loss) > reach:
                continue
            if effective_width(point.network, objective).widths != complexity.widths:
                continue
            wide = _embedded(point.network, network)
            moved = here.distance(LayerView(wide, 0, objective).outputs)
            if moved > farthest:
                continue
            found.append((moved, Saddle(point.loss, complexity, wide)))
            if moved <= NEAR:
                break
        if found:
            return min(found, key=lambda pair: pair[0])[1]
    if whole and network.num_weights() <= WHOLE_WEIGHTS:
        polished = polish(network, objective, throw=False)
        if polished.result is RESULTS.successful and abs(polished.loss - loss) <= reach:
            return Saddle(polished.loss, effective_width(polished.network, objective), polished.network)
    return None


def index_of(saddle: Saddle, objective: Objective) -> tuple[int | None, int | None, float | None]:
    """Index, nullity and most negative eigenvalue at a saddle; None for large networks, and where a kink hides the Hessian.

    Silent units of a piecewise linear network sit on kinks, where no Hessian exists.
    """
    facts = saddle.wide.lenses()[0].facts
    if saddle.wide.num_weights() > INDEX_WEIGHTS or facts.kinks:
        return None, None, None
    values = np.linalg.eigvalsh(hessian(saddle.wide, objective))
    zero = ZERO_EIGENVALUE * max(values[-1], -values[0], 0.0)
    return int(np.sum(values < -zero)), int(np.sum(np.abs(values) <= zero)), float(values[0])


def _silenced(network: AbstractNetwork) -> AbstractNetwork:
    return network.with_arrays({name: np.zeros(a.shape) for name, a in network.arrays().items()})


def _embedded(narrow: AbstractNetwork, wide: AbstractNetwork) -> AbstractNetwork:
    """The narrow network with silent units up to the shapes of the wide one."""
    shapes = {name: a.shape for name, a in wide.arrays().items()}
    padded = {
        name: np.pad(np.asarray(a), [(0, w - n) for n, w in zip(a.shape, shapes[name], strict=True)])
        for name, a in narrow.arrays().items()
    }
    return wide.with_arrays(padded)
