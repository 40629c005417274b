"""A model of JAX on a probe batch: a pure function apply(params, x), and a tree of arrays that is handed over at each step."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .names import normalised
from .seen import Seen, loss_of, reference_of, spread
from .shapes import BUFFERS, measured, oriented
from .spectrum import largest_singular_value

OPTIMISERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}


class TreeModel:
    """See `AbstractModel`. Works in the user's precision, compiled once; hidden layers are seen by shapes."""

    def __init__(self, apply: Callable[[Any, Any], Any], probe: Any, targets: Any, optimizer: Any, criterion: Any):
        self.apply, self.probe, self.criterion = apply, probe, criterion
        self.targets = None if targets is None else np.asarray(targets)
        self.compiled: Callable[[Any, Any], Any] | None = None
        self.names: tuple[str, ...] = ()
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self.frozen = np.zeros(0, bool)
        name = optimizer if isinstance(optimizer, str) else type(optimizer).__name__ if optimizer is not None else None
        self.facts: dict[str, Any] = {"framework": "jax", "source": getattr(apply, "__name__", type(apply).__name__)}
        self.facts |= {"optimiser": OPTIMISERS.get(str(name).lower()), "optimiser_class": name}
        self.reference = reference_of(self.targets)

    def waiting(self) -> str | None:
        return None

    def observe(self, params: Any, *, layers: bool) -> Seen:
        import equinox as eqx

        if params is None:
            raise ValueError("a JAX model needs its weights at each step: watcher(step, loss, params)")
        if self.compiled is None:
            self.compiled = eqx.filter_jit(self.apply)
        weights, low = named_arrays(params)
        self.names = tuple(weights)
        self.shapes = tuple(a.shape for a in weights.values())
        self.frozen = np.zeros(len(weights), bool)
        result = self.compiled(params, self.probe)
        f = np.asarray(result[0] if isinstance(result, tuple | list) else result, np.float64)
        loss = float(self.criterion(f, self.targets)) if self.criterion else loss_of(f, self.targets)
        norms = np.array([np.linalg.norm(a) for a in weights.values()])
        missing = np.full(len(weights), np.nan)
        largest, found = missing, {}
        if layers:
            largest = np.array([_largest(name, a) for name, a in weights.items()])
            found = measured(weights, low)
            self.facts["depth"] = sum(a.ndim >= 2 for a in weights.values())
            self.facts["normalised"] = any("norm" in name.lower() for name in weights)
        return Seen(*spread(f), loss, norms, largest, missing, float("nan"), found)


def named_arrays(params: Any) -> tuple[dict[str, np.ndarray], float]:
    """The arrays of numbers in a tree, by name, as float64, and the coarsest spacing of numbers among them."""
    import jax
    import jax.numpy as jnp

    leaves = [
        (".".join(_key(k) for k in path) or "params", leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]
        if hasattr(leaf, "dtype") and hasattr(leaf, "ndim") and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    once: dict[int, tuple[str, Any]] = {}
    for name, leaf in leaves:
        if not BUFFERS.search(name):
            once.setdefault(id(leaf), (name, leaf))
    names = normalised(name for name, _ in once.values())
    spacing = max((float(jnp.finfo(leaf.dtype).eps) for _, leaf in once.values()), default=0.0)
    values = (np.asarray(leaf, np.float64) for _, leaf in once.values())
    return dict(zip(names, values, strict=True)), spacing


def _key(key: Any) -> str:
    for part in ("key", "name", "idx"):
        if hasattr(key, part):
            return str(getattr(key, part))
    return str(key)


def _largest(name: str, array: np.ndarray) -> float:
    if array.ndim < 2:
        return float("nan")
    turned = oriented(name, array)
    return largest_singular_value(turned.reshape(len(turned), -1))
