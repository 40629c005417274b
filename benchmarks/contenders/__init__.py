"""Everybody who takes part."""

from ._base import AbstractContender, Reading, error_of, read_curve
from .jax_descent import JaxDescent
from .ours import Ours, by_method
from .with_diffrax import Dopri8, Kvaerno5, Tsit5
from .with_scipy import DOP853, LSODA, Radau


def contenders() -> dict[str, AbstractContender]:
    """By name, ours first. PyTorch is imported here, where it is needed: it costs seconds.

    **Raises:** `ImportError` where it is not installed; `make bench` installs it.
    """
    from .torch_descent import TorchDescent, TorchDescentLastQuery
    from .with_torchdiffeq import TorchDiffeq

    made = [Ours(), TorchDescent(), TorchDescentLastQuery(), JaxDescent(), Tsit5(), Dopri8(), Kvaerno5()]
    made += [DOP853(), LSODA(), Radau(), TorchDiffeq()]
    return {contender.name: contender for contender in made}


__all__ = ["AbstractContender", "JaxDescent", "Ours", "Reading", "by_method", "contenders", "error_of", "read_curve"]
