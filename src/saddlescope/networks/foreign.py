r"""Lenses on somebody else's model: a pure function of named weights and one input, with hidden layers pointed out by name.

    model = Foreign(weights, apply, (Hidden(ReLU(), "w1", "w2", bias="b1"),))

says that `apply(weights, x)` contains units $\phi(x; u_i)$ with $u_i$ = (row $i$ of w1, b1[i]) and output weights $v_i$ = column $i$ of w2.
Embeddings, reductions, manifolds, effective width and fixed points then work on it as on any network of ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..units import AbstractUnit, features
from ._base import AbstractLens, AbstractNetwork, Arrays, Dims, require_lens


def _whole_input(weights: Arrays, x: Array) -> Array:
    return x


@dataclass(frozen=True)
class Hidden:
    r"""Where a hidden layer of units is among a model's weights.

    **Arguments:**

    - `unit`: $\phi$ and its facts. With a bias it sees the layer's input with a 1 appended.
    - `u`, `v`: names of the two weight arrays. `u_axis`, `v_axis`: the axes that number the units (0 of $W$ in $W x$ for u, 1 for v).
    - `bias`: name of the units' biases, which are input weights too; None where there are none.
    - `inputs`: inputs(weights, x) -> what the layer sees; x itself if left out. For deeper layers.
    - `direct`: whether the model's output is the sum of phi v over these units, with nothing after it and nothing added.
    - `frozen_width`: why the number of units cannot be changed, if it cannot (other weights have the same axis).
    """

    unit: AbstractUnit
    u: str
    v: str
    bias: str | None = None
    u_axis: int = 0
    v_axis: int = 1
    inputs: Callable[[Any, Any], Any] = _whole_input
    direct: bool = False
    frozen_width: str | None = None


class Foreign(AbstractNetwork):
    r"""A model that is not ours: `apply(weights, x)` for one input, jax-traceable.

    **Arguments:**

    - `weights`: arrays by name.
    - `apply`: (weights, x) -> outputs [outputs].
    - `layers`: its hidden layers, first first. Whether they describe it truly is checked by `wrong_lens`.

    **Raises:** `ValueError` where a layer names weights that there are not, or their numbers of units disagree.
    """

    weights: Arrays
    apply: Callable[[Arrays, Any], Any] = eqx.field(static=True)
    layers: tuple[Hidden, ...] = eqx.field(static=True)
    name: str = eqx.field(static=True, default="foreign model")

    def __check_init__(self):
        for layer in self.layers:
            for part in filter(None, (layer.u, layer.v, layer.bias)):
                if part not in self.weights:
                    raise ValueError(
                        f"Hidden names the weights {part!r}: this model has {', '.join(map(repr, self.weights))}."
                    )
            if not isinstance(self.weights[layer.u], np.ndarray | jax.Array):
                continue  # inside a transformation leaves may be anything
            units = {layer.u: self._units(layer.u, layer.u_axis), layer.v: self._units(layer.v, layer.v_axis)}
            if layer.bias is not None:
                units[layer.bias] = self._units(layer.bias, 0)
                if np.size(self.weights[layer.bias]) != units[layer.bias]:
                    raise ValueError(
                        f"Hidden needs one bias for each unit: {layer.bias} has shape {list(np.shape(self.weights[layer.bias]))}."
                    )
            if len(set(units.values())) > 1:
                found = ", ".join(f"{n} in {name}" for name, n in units.items())
                raise ValueError(f"Hidden needs one number of units in all its weights: found {found}. Check the axes.")

    def _units(self, name: str, axis: int) -> int:
        shape = np.shape(self.weights[name])
        if not -len(shape) <= axis < len(shape):
            raise ValueError(
                f"Hidden numbers its units by axis {axis} of {name}, which has shape {list(shape)}: name another axis."
            )
        return shape[axis]

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " outputs"]:
        return jnp.reshape(self.apply(self.weights, x), (-1,))

    def arrays(self) -> Arrays:
        return dict(self.weights)

    def with_arrays(self, arrays: Arrays) -> "Foreign":
        return Foreign({name: arrays[name] for name in self.weights}, self.apply, self.layers, self.name)

    def dims(self) -> dict[str, Dims]:
        return {name: {f"{name}_{axis}": n for axis, n in enumerate(np.shape(a))} for name, a in self.weights.items()}

    def lenses(self) -> tuple[AbstractLens, ...]:
        return tuple(ForeignLens(self, layer) for layer in range(len(self.layers)))

    @property
    def title(self) -> str:
        return self.name

    @property
    def form(self) -> str:
        return self.layers[0].unit.form if self.layers else "vectors"


class ForeignLens(AbstractLens):
    """The lens on a hidden layer that was pointed out in somebody's model."""

    network: Foreign
    layer: int = eqx.field(static=True)

    @property
    def hidden(self) -> Hidden:
        return self.network.layers[self.layer]

    @property
    def unit(self) -> AbstractUnit:
        return self.hidden.unit

    @property
    def direct(self) -> bool:
        return self.hidden.direct

    def get(self) -> tuple[Float[Array, "units weights"], Float[Array, "units 1 outputs"]]:
        at, weights = self.hidden, self.network.weights
        u = _rows(weights[at.u], at.u_axis)
        v = _rows(weights[at.v], at.v_axis)
        if at.bias is not None:
            u = _like(u, weights[at.bias]).concatenate([u, weights[at.bias].reshape(-1, 1)], axis=1)
        return u, v[:, None, :]

    def put(self, u: Float[Array, "units weights"], v: Float[Array, "units 1 outputs"]) -> Foreign:
        at, weights = self.hidden, dict(self.network.weights)
        old_u, old_v = self.get()
        if u.shape[1:] != old_u.shape[1:] or v.shape[1:] != old_v.shape[1:] or len(u) != len(v):
            raise ValueError(
                f"Layer {self.layer} of {self.network.title} takes u [units, {old_u.shape[1]}] and v [units, 1, "
                f"{old_v.shape[2]}]: found {list(u.shape)} and {list(v.shape)}."
            )
        if len(u) != len(old_u) and at.frozen_width:
            raise ValueError(f"Layer {self.layer} of {self.network.title} cannot change its width: {at.frozen_width}")
        if at.bias is not None:
            weights[at.bias] = _back(u[:, -1:], weights[at.bias], 0)
            u = u[:, :-1]
        weights[at.u] = _back(u, weights[at.u], at.u_axis)
        weights[at.v] = _back(v[:, 0], weights[at.v], at.v_axis)
        return self.network.with_arrays(weights)

    def of(self, network: AbstractNetwork) -> "ForeignLens":
        assert isinstance(network, Foreign)
        return ForeignLens(network, self.layer)

    def supports(self, change: str) -> str | None:
        return self.hidden.frozen_width if change == "width" else None

    def features(self, x: Float[Array, "..."], lifted: bool) -> Float[Array, "units 1"]:
        return features(self.unit, self._seen(x), self.get()[0])

    def rows(self, x: Float[Array, "..."], lifted: bool) -> Float[Array, "1 psi"]:
        return self.unit.psi(self._seen(x))

    def _seen(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        seen = self.hidden.inputs(self.network.weights, x)
        return seen if self.hidden.bias is None else jnp.append(seen, 1.0)


def wrong_lens(lens: AbstractLens, x: Float[np.ndarray, "samples ..."]) -> str | None:
    """None where a lens tells the truth about its model on inputs x, otherwise what does not fit.

    What every layer of units has: units may be numbered otherwise; a unit may be split in two; and the output depends on u and v
    through the sum of phi v alone, so that a random change of both that leaves this sum as it is on a sample leaves the output there.
    Inputs should be generic: what no sample shows (a bias that is not named where x is 0, say) cannot be told.
    """
    require_lens(lens, "wrong_lens")
    with jax.enable_x64(True):
        x = np.asarray(x)
        u, v = (np.asarray(part, np.float64) for part in lens.get())
        try:
            seen = _features(lens, x)
        except (TypeError, ValueError) as error:
            return f"its units cannot be computed from its input weights and inputs: {_first_line(error)}"
        if seen.shape[1:] != v.shape[:2]:
            return f"its units have {seen.shape[2]} features and its output weights are for {v.shape[1]}: check unit and inputs"
        rng = np.random.default_rng(0)
        other_u, other_v = (rng.normal(size=w.shape) * (np.sqrt(np.mean(w**2)) or 1.0) for w in (u, v))
        before = _outputs(lens.network, x)
        # also what cancels counts as size: weights may be zero, or in balance
        loud = [_outputs(lens.put(w, other_v), x) for w in (u, other_u)]
        size = max(float(np.abs(a).max()) for a in (before, *loud))

        def differ(after: np.ndarray, before: np.ndarray) -> bool:
            return not np.abs(after - before).max() <= 1e-9 * max(size, 1e-300)

        if differ(_outputs(lens.put(u[::-1], v[::-1]), x), before):
            return "numbering the units otherwise changes the function: another weight belongs to these units too"
        if lens.supports("width") is None:
            share = np.r_[0.25, np.ones(len(u) - 1)][:, None, None]
            wide = lens.put(np.vstack([u, u[:1]]), np.concatenate([share * v, 0.75 * v[:1]]))
            try:
                split = _outputs(wide, x)
            except (TypeError, ValueError) as error:
                return f"another unit does not fit: another weight has their number too ({_first_line(error)}). Say frozen_width."
            if differ(split, before):
                return "splitting a unit in two changes the function: something else depends on single units"
        drawn = _features(lens.of(lens.put(other_u, v)), x)
        for k in range(len(x)):
            total = np.einsum("hf,hfo->o", seen[k], v)
            # units that have some say on this sample take up what the random change of the others would add
            square = np.sum(drawn[k] ** 2)
            if square <= 1e-6 * np.sum(seen[k] ** 2):
                continue
            missing = total - np.einsum("hf,hfo->o", drawn[k], other_v)
            kept = other_v + np.einsum("hf,o->hfo", drawn[k], missing) / max(float(square), 1e-300)
            if differ(_outputs(lens.put(other_u, kept), x[k : k + 1]), before[k : k + 1]):
                return f"on sample {k} the output depends on more than the sum of phi v: check unit, inputs and bias"
        if lens.direct and differ(np.einsum("khf,hfo->ko", seen, v), before):
            return "the outputs are not the sum of phi v over these units: say direct=False, or check inputs and bias"
    return None


def _features(lens: AbstractLens, x: np.ndarray) -> np.ndarray:
    return np.asarray(jax.vmap(lambda x: lens.features(x, False))(jnp.asarray(x)))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _outputs(network: AbstractNetwork, x: Float[Array, "samples ..."]) -> np.ndarray:
    return np.asarray(jax.vmap(network)(jnp.asarray(x)))


def _like(*arrays: Array) -> Any:
    # NumPy in, NumPy out: outside a 64-bit scope JAX would truncate
    return np if all(isinstance(a, np.ndarray) for a in arrays) else jnp


def _rows(a: Array, axis: int) -> Array:
    moved = _like(a).moveaxis(a, axis, 0)
    return moved.reshape(moved.shape[0], int(np.prod(moved.shape[1:])))


def _back(rows: Array, old: Array, axis: int) -> Array:
    shape = [n for i, n in enumerate(old.shape) if i != axis % old.ndim]
    return _like(rows).moveaxis(rows.reshape(rows.shape[0], *shape), 0, axis)
