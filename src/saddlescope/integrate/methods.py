"""The methods, with the coefficients of their authors.

- Order 8: DOP853 of Hairer, Norsett & Wanner, *Solving Ordinary Differential Equations I* (1993), II.5; dense output of order 7.
- Order 5: Dormand & Prince (1980), dense output of order 4 by Shampine (1986).

The numbers stand in `dormand_prince.json`, in the layout of SciPy's classes DOP853 and RK45, and a test holds them to these. They are
not read from there at run time, because importing an integration library costs more than a short run.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ._base import AbstractMethod
from .explicit import Explicit
from .rosenbrock import rosenbrock_5


@functools.cache
def _coefficients(order: int) -> dict[str, np.ndarray]:
    text = (Path(__file__).parent / "dormand_prince.json").read_text(encoding="utf-8")
    return {name: np.array(values) for name, values in json.loads(text)[str(order)].items()}


def _stages(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All stages and the step itself as one square table."""
    count = len(b)
    stages = np.zeros((count + 1, count + 1))
    stages[:count, : a.shape[1]] = a
    stages[count, :count] = b
    return stages


@functools.cache
def dormand_prince_8() -> Explicit:
    """Order 8 with an error estimate made of orders 5 and 3: 12 gradients a step."""
    c = _coefficients(8)
    stages = _stages(c["A"], c["B"])
    extra = np.zeros((3, len(stages) + 3))
    extra[:, : c["A_EXTRA"].shape[1]] = c["A_EXTRA"]
    return Explicit(8, stages, np.stack([c["E5"], c["E3"]]), extra, c["D"], "hairer", reach=6.1)


@functools.cache
def dormand_prince_5() -> Explicit:
    """Order 5 with an error estimate of order 4: 6 gradients a step."""
    c = _coefficients(5)
    stages = _stages(c["A"], c["B"])
    return Explicit(5, stages, c["E"][None], np.zeros((0, len(stages))), c["P"], "polynomial", reach=3.3)


#: What `order` of a spec may ask for ...
EXPLICIT: dict[int, Callable[[], Explicit]] = {8: dormand_prince_8, 5: dormand_prince_5}
#: ... and what long plateaus are integrated with besides.
METHODS: dict[int | str, Callable[[], AbstractMethod]] = {**EXPLICIT, "rosenbrock": rosenbrock_5}
