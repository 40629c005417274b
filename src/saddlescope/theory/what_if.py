"""How a prediction changes with a factor 10 in scale, width and learning rate: by predicting again, since that costs so little."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..networks import AbstractNetwork
from ._base import Prediction, Problem
from .visible import root_mean_square

FACTORS = (0.1, 10.0)
#: Weights of the widest network that is drawn for this.
MOST_WEIGHTS = 20_000_000
#: After so much work on the changes before (`work`) no further one is tried, since whoever asked for a prediction is waiting: a few seconds. Counted, so that the answer is the same
#: on any machine.
MOST_WORK = 100_000


class WhatIf(NamedTuple):
    """What theory says of a changed problem.

    - `change`: "scale", "width" or "learning_rate"; `factor`; `value`: root mean square of the weights, units, or rate after it.
    - `heights`, `t_end`: of the stages; empty where theory does not apply, and then `reason` says why.
    """

    change: str
    factor: float
    value: float
    heights: tuple[float | None, ...]
    t_end: tuple[float | None, ...]
    reason: str = ""


def what_if(problem: Problem, predict: Callable[[Problem], Prediction]) -> tuple[WhatIf, ...]:
    """Smaller and larger scale and width, and learning rate where there is one.

    Another scale is a factor on every weight. Another width has weights drawn anew, normal, with the root mean square of each array as it is.
    """
    found = []
    spent = 0.0
    for change, factor, value, changed in _changes(problem):
        if spent > MOST_WORK:
            reason = f"left out: the changes before it took {spent:.3g} evaluations, above {MOST_WORK:.3g}; ask for it"
            found.append(WhatIf(change, factor, value, (), (), reason))
            continue
        try:
            said = predict(changed)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            found.append(WhatIf(change, factor, value, (), (), str(error)))
            continue
        spent += said.work
        heights, ends = tuple(s.height for s in said.stages), tuple(s.t_end for s in said.stages)
        found.append(WhatIf(change, factor, value, heights, ends, "; ".join(said.outside)))
    return tuple(found)


def _changes(problem: Problem) -> Iterator[tuple[str, float, float, Problem]]:
    arrays = {name: np.asarray(a, dtype=np.float64) for name, a in problem.network.arrays().items()}
    scale = root_mean_square(arrays.values())
    for factor in FACTORS:
        network = problem.network.with_arrays({name: factor * a for name, a in arrays.items()})
        yield "scale", factor, factor * scale, problem._replace(network=network)
    for factor in FACTORS:
        network, units = _of_width(problem.network, arrays, factor)
        if network is not None:
            yield "width", factor, units, problem._replace(network=network)
    if problem.learning_rate is not None:
        for factor in FACTORS:
            rate = factor * problem.learning_rate
            yield "learning_rate", factor, rate, problem._replace(learning_rate=rate)


def _of_width(
    network: AbstractNetwork, arrays: dict[str, np.ndarray], factor: float
) -> tuple[AbstractNetwork | None, float]:
    """The network with so many times the units in every hidden layer; None where it has no width to change, or too many weights then."""
    layers = {axis for lens in network.lenses() for axis in _hidden_axes(network) if lens.supports("width") is None}
    dims = network.dims()
    shapes = {
        name: tuple(max(1, round(factor * size)) if axis in layers else size for axis, size in dims[name].items())
        for name in arrays
    }
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    if not layers or total > MOST_WEIGHTS or all(shapes[name] == a.shape for name, a in arrays.items()):
        return None, 0.0
    draw = np.random.default_rng(0)
    drawn = {name: root_mean_square([a]) * draw.standard_normal(shapes[name]) for name, a in arrays.items()}
    units = max(size for name in arrays for axis, size in zip(dims[name], shapes[name], strict=True) if axis in layers)
    return network.with_arrays(drawn), float(units)


def _hidden_axes(network: AbstractNetwork) -> set[str]:
    """Axes that count units of a hidden layer: those that the arrays of one layer, or of two in a row, share."""
    return {axis for dims in network.dims().values() for axis in dims if axis == "units" or axis.startswith("hidden")}
