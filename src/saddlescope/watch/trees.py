"""A model of JAX on a probe batch: a pure function apply(params, x), and a tree of arrays that is handed over at each step."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .names import normalised
from .order import order_of_use
from .seen import Seen, Unfit, cross_entropy, loss_of, reference_of, slope_of, spread
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
        self.replaced: tuple[str, ...] = ()
        self.notes: list[str] = []
        self.order: list[int] = []
        self.reference = reference_of(self.targets)
        self.facts["cross_entropy"] = cross_entropy(self.targets, self.criterion)

    def waiting(self) -> str | None:
        return None

    def observe(self, params: Any, *, layers: bool) -> Seen:
        import equinox as eqx

        if params is None:
            raise ValueError("a JAX model needs its weights at each step: watcher(step, loss, params)")
        if self.compiled is None:
            self.compiled = eqx.filter_jit(self.apply)
            self.order = order_of_use(self.apply, params, self.probe)
            if strange := _complex(params):
                self.notes = [f"complex weights are not looked at: {', '.join(strange[:5])}"]
        weights, low, places = named_arrays(params)
        self.names = tuple(weights)
        self.shapes = tuple(a.shape for a in weights.values())
        self.frozen = np.zeros(len(weights), bool)
        result = self.compiled(params, self.probe)
        f = np.asarray(_output(result), np.float64)
        if self.targets is not None and not self.criterion and len(np.atleast_1d(self.targets)) != len(f):
            raise Unfit(
                f"targets need one for each of the {len(f)} samples of the probe: found {len(np.atleast_1d(self.targets))}"
            )
        loss = float(self.criterion(f, self.targets)) if self.criterion else loss_of(f, self.targets)
        self.facts["slope"] = None if self.criterion else slope_of(f, self.targets)
        norms = np.array([np.linalg.norm(a) for a in weights.values()])
        missing = np.full(len(weights), np.nan)
        largest, found = missing, {}
        if layers:
            largest = np.array([_largest(name, a) for name, a in weights.items()])
            rank = {place: i for i, place in enumerate(self.order)}
            found = measured(
                {n: weights[n] for n in sorted(weights, key=lambda n: rank.get(places[n], places[n]))}, low
            )
            self.facts["depth"] = sum(a.ndim >= 2 for a in weights.values())
            self.facts["normalised"] = any("norm" in name.lower() for name in weights)
        return Seen(*spread(f), loss, norms, largest, missing, float("nan"), found)


def named_arrays(params: Any) -> tuple[dict[str, np.ndarray], float, dict[str, int]]:
    """The arrays of real numbers in a tree, by name, as float64, the coarsest spacing of numbers among them, and each one's place among the tree's arrays."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    once: dict[int, tuple[str, Any, int]] = {}
    arrays = [(path, leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0] if eqx.is_array(leaf)]
    for place, (path, leaf) in enumerate(arrays):
        name = ".".join(_key(k) for k in path) or "params"
        if jnp.issubdtype(leaf.dtype, jnp.floating) and not BUFFERS.search(name):
            once.setdefault(id(leaf), (name, leaf, place))
    names: list[str] = []
    for name in normalised(name for name, _, _ in once.values()):
        # keys may have dots of their own: {"a.b": ..., "a": {"b": ...}}
        copies = (f"{name} ({n})" for n in range(2, len(once) + 2))
        names.append(name if name not in names else next(c for c in copies if c not in names))
    spacing = max((float(jnp.finfo(leaf.dtype).eps) for _, leaf, _ in once.values()), default=0.0)
    values = (np.asarray(leaf, np.float64) for _, leaf, _ in once.values())
    places = dict(zip(names, (place for _, _, place in once.values()), strict=True))
    return dict(zip(names, values, strict=True)), spacing, places


def _complex(params: Any) -> list[str]:
    import jax

    flat = jax.tree_util.tree_flatten_with_path(params)[0]
    return [
        ".".join(_key(k) for k in path) for path, a in flat if getattr(getattr(a, "dtype", None), "kind", "") == "c"
    ]


def _output(result: Any) -> Any:
    """The array that counts as f: the result, its `logits`, or the first array in it."""
    if hasattr(result, "logits"):
        return result.logits
    if hasattr(result, "keys") and len(result):
        return _output(result["logits"] if "logits" in result else result[next(iter(result))])
    return _output(result[0]) if isinstance(result, tuple | list) and result else result


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
