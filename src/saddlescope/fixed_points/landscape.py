r"""What lies around a fixed point: index and nullity, how the flow leaves, and what a silent unit would learn next."""

from dataclasses import dataclass

import numpy as np

from ..complexity import LayerView
from ..objective import Objective
from .certify import CORRELATION, CURVATURE, blind_layers, removable, spare
from .escape import Escape
from .find import FixedPoint
from .hessian import extreme_eigenvalues
from .insertion import Insertion, global_optimum, insertion, layer_insertion, path_insertion
from .spectrum import Spectrum, spectrum
from .structure import Counts, counts_by_structure

#: Up to this many weights the Hessian of the wide network is computed whole.
WHOLE = 600


@dataclass(frozen=True)
class Landscape:
    """The Hessian at a fixed point, and what it cannot see.

    - `index`, `nullity`: numbers of negative and of zero eigenvalues (zero: below 1e-6 of the largest); `index_interval`, `nullity_interval`: what they
        may be where an eigenvalue is near that threshold. None where there is no Hessian, or it cannot be counted; `reason` says why.
    - `symmetries`: how many zero eigenvalues the symmetries of the units explain; None where not computed.
    - `lowest`, `largest`: eigenvalues, by Lanczos above 600 weights.
    - `parts`: lowest and largest eigenvalue of the block of each array of weights; None above 600 weights.
    - `method`: "dense", or "structure": the narrow network's Hessian and the block of a silent unit.
    - `escape`: how the flow leaves.
    - `insertion`: what a silent unit would see; None in deep networks.
    - `global_optimum`: whether no network of such units has a lower loss; None where neither is proved.
    """

    index: int | None
    nullity: int | None
    index_interval: tuple[int, int] | None
    nullity_interval: tuple[int, int] | None
    symmetries: int | None
    lowest: float | None
    largest: float | None
    parts: dict[str, tuple[float, float]] | None
    method: str | None
    reason: str | None
    escape: Escape
    insertion: Insertion | None
    global_optimum: bool | None


def landscape(point: FixedPoint, objective: Objective) -> Landscape:
    """The surroundings of a fixed point that `find` found."""
    wide = point.network
    size = wide.num_weights()
    whole: Spectrum | None = None
    counts: Counts | None = None
    reason, lowest, largest, method = None, None, None, None
    kinks = on_a_kink(point)
    if kinks:
        reason = "silent units sit on kinks, where there is no Hessian"
    elif size <= WHOLE:
        whole, method = spectrum(wide, objective), "dense"
        lowest, largest = whole.lowest, whole.largest
    else:
        embedding = point.embeddings[0] if point.embeddings else None
        found = counts_by_structure(point.narrow, wide, embedding, objective)
        if isinstance(found, str):
            reason = f"{size} weights are too many to count eigenvalues, and {found}"
        else:
            counts, method = found, "structure"
        lowest, largest, _ = extreme_eigenvalues(wide, objective)
    seen = insertion(wide, objective) if wide.lenses()[0].direct else None
    of = whole if whole is not None else counts
    leaves, optimum = (
        _escape(point, objective, whole, counts, lowest, largest, seen),
        global_optimum(wide, objective, seen),
    )
    if optimum and leaves.law == "unknown":
        leaves = Escape("none")
    return Landscape(
        None if of is None else of.index,
        None if of is None else of.nullity,
        None if of is None else of.index_interval,
        None if of is None else of.nullity_interval,
        None if whole is None else whole.symmetries,
        lowest,
        largest,
        None if whole is None else whole.parts,
        method,
        reason,
        leaves,
        seen,
        optimum,
    )


def on_a_kink(point: FixedPoint) -> bool:
    """Whether some piecewise linear unit of some layer has u = 0, where all its kinks meet."""
    layers = [lens for lens in point.network.lenses() if lens.facts.kinks]
    return any(bool(np.any(~np.any(np.asarray(lens.get()[0]) != 0.0, axis=1))) for lens in layers)


def _escape(
    point: FixedPoint,
    objective: Objective,
    whole: Spectrum | None,
    counts: Counts | None,
    lowest: float | None,
    largest: float | None,
    seen: Insertion | None,
) -> Escape:
    facts = point.network.lenses()[0].facts
    index = whole.index if whole is not None else counts.index if counts is not None else None
    steep = lowest is not None and largest is not None and lowest < -CURVATURE * max(largest, 0.0)
    if lowest is not None and (index is None or index > 0) and (steep or index):
        return Escape("exponential", -lowest, 2, direction=None if whole is None else whole.direction)
    waiting = seen is not None and seen.relative > CORRELATION
    if waiting and np.any(removable(LayerView(point.network, 0, objective))):
        assert seen is not None
        if facts.order == 1 and facts.kinks:
            # a small unit of degree 1 turns to the maximiser, and its balanced weights grow as exp(value x t); those in use may leave faster
            inside = 0.0 if point.narrow is None else -extreme_eigenvalues(point.narrow, objective)[0]
            return Escape("exponential", max(seen.value, inside), 2)
        if facts.order >= 2:
            return Escape("algebraic", None, facts.order + 1, None if facts.degree is None else seen.value)
    if len(point.network.lenses()) > 1:
        if index is None and lowest is None:
            return Escape("unknown")
        if point.narrow is not None:  # at the origin a unit alone sees nothing through layers of zeros
            for layer in blind_layers(point.network, objective):
                alone = layer_insertion(point.network, objective, layer)
                if alone.relative > CORRELATION:
                    order = point.network.lenses()[layer].facts.order
                    return Escape("algebraic", None, order + 1, alone.value)
        if spare(point.network, objective):
            path = path_insertion(point.network, objective)
            if path.relative > CORRELATION:
                return Escape("algebraic", None, point.network.homogeneity, path.value)
    return Escape("none") if index is not None and not waiting else Escape("unknown")
