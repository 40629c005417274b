"""Everybody who takes part."""

from ._base import AbstractContender, Reading, Solve, error_of, read_curve
from .jax_descent import JaxDescent
from .ours import Ours, by_method
from .with_diffrax import Dopri8, Kvaerno5, Tsit5
from .with_scipy import DOP853, LSODA, Radau


def _torch() -> list[AbstractContender]:
    # imported where it is needed: it costs seconds
    from .torch_descent import TorchDescent, TorchDescentLastQuery
    from .with_torchdiffeq import TorchDiffeq

    return [TorchDescent(), TorchDescentLastQuery(), TorchDiffeq()]


def _without_torch() -> list[AbstractContender]:
    return [Ours(), JaxDescent(), Tsit5(), Dopri8(), Kvaerno5(), DOP853(), LSODA(), Radau()]


def contenders() -> dict[str, AbstractContender]:
    """By name, ours first.

    **Raises:** `ImportError` where PyTorch or torchdiffeq is not installed; `make bench` installs them.
    """
    return {contender.name: contender for contender in [*_without_torch(), *_torch()]}


def named(name: str) -> AbstractContender:
    """One of them, PyTorch imported only if it is one of its."""
    for contender in _without_torch():
        if contender.name == name:
            return contender
    return contenders()[name]


__all__ = [
    "DOP853",
    "AbstractContender",
    "JaxDescent",
    "Ours",
    "Reading",
    "Solve",
    "by_method",
    "contenders",
    "error_of",
    "named",
    "read_curve",
]
