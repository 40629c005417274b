r"""Hidden layers of a PyTorch model, found in the trace of its functions on the probe: Linear-Linear, Conv-Conv, Conv-Linear.

Going back from every layer that applies weights: if nothing but an activation, pooling, normalisation by unit and changes of shape lie before it,
up to another layer that applies weights, then the earlier layer's outputs are units, its rows are u and the later layer's columns are v.
Residual streams are no obstacle: what a block adds to its stream is S of its own two layers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..activations import ACTIVATIONS, LINEAR, Activation
from ..shown import MOST_OUTPUTS, Shown
from .trace import Node, Trace

PASS = {
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
    "contiguous",
    "clone",
}
PASS |= {"to", "float", "double", "bfloat16", "half", "type_as", "detach"}
SHAPE = {"flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze"}
POOL = {f"{kind}_pool{d}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max", "lp") for d in (1, 2, 3)}
POOL |= {"mean", "amax", "sum", "pad"}
#: Pooling that is linear, so that units stay as linear as they were.
LINEAR_POOL = {f"{kind}_pool{d}d" for kind in ("avg", "adaptive_avg") for d in (1, 2, 3)} | {"mean", "sum", "pad"}
CONV = {"conv1d": 1, "conv2d": 2}
#: phi is looked at on so many rows at most ...
ROWS = 512
#: ... of so many samples, for kernels ...
SAMPLES = 32
#: ... and fewer where the products for one question about it would be more than this many.
PRODUCTS = 1e7
#: A unit's slope counts as none below this part of the largest that the activation has (here 1), for dead units ...
DEAD = 1e-3
#: ... and as saturated below this, on this part of the rows.
FLAT, MOST_ROWS = 0.05, 0.95
#: S computed from the lens and S read off the model may differ by so many roundings, relative to the size of its terms.
ROUNDINGS = 1e3


@dataclass
class Weighing:
    """A call that applies weights: W [out, in, taps...] and a bias, to the result of call `source`, or to the probe itself (-1)."""

    node: int
    kind: str
    weight: str
    transposed: bool
    bias: str | None
    data: Any
    source: int


def weighings(traced: Trace) -> dict[int, Weighing]:
    """Every call that applies a weight matrix or kernel to something that depends on the probe."""
    found = {}
    for i, node in enumerate(traced.nodes):
        if not traced.depends[i]:
            continue
        if node.op == "linear" or node.op in CONV or node.op == "conv3d":
            args = _named(node, ("input", "weight", "bias"))
            name, bias = traced.name_of(args["weight"]), args.get("bias")
            if name is None or (bias is not None and traced.name_of(bias) is None):
                continue
            kind = "Linear" if node.op == "linear" else "Conv"
            data = args["input"]
            made = _source(traced, data)
            found[i] = Weighing(i, kind, name, False, None if bias is None else traced.name_of(bias), data, made)
        elif node.op in ("matmul", "mm", "rmatmul") and len(node.args) == 2:
            data, weight = node.args if node.op != "rmatmul" else reversed(node.args)
            name, transposed = _matrix(traced, weight)
            if name is not None and traced.name_of(data) is None and data.ndim >= 2:
                # x @ W has W [in, out]; x @ W.T has W [out, in]
                found[i] = Weighing(i, "Linear", name, not transposed, None, data, _source(traced, data))
        elif node.op == "addmm" and len(node.args) == 3 and not node.kwargs:
            bias, data, weight = node.args
            name, transposed = _matrix(traced, weight)
            if name is not None and traced.name_of(bias) is not None and data.ndim == 2:
                found[i] = Weighing(
                    i, "Linear", name, not transposed, traced.name_of(bias), data, _source(traced, data)
                )
    return found


def layers(traced: Trace, applied: dict[int, Weighing], *, training: bool) -> dict[int, Shown]:
    """A lens on every hidden layer of neurons or kernels, by the place of the call that reads it. `training`: whether that was the model's own mode."""
    shown = {}
    for reader in applied.values():
        path = _path(traced, reader, applied)
        if path is not None:
            shown[reader.node] = _show(traced, path[0], reader, path[1], training)
    return shown


def _path(traced: Trace, reader: Weighing, applied: dict[int, Weighing]) -> tuple[Weighing, list[int]] | None:
    """The layer that `reader` reads and the calls between, first first; None where something lies between that is no unit's own."""
    between: list[int] = []
    i = reader.source
    while i >= 0 and i not in applied:
        node = traced.nodes[i]
        known = node.op in PASS | SHAPE | POOL or node.op == "batch_norm" or activation_of(node) is not None
        if not known and not _adds_bias(traced, node):
            return None
        between.append(i)
        sources = {j for j in node.inputs if traced.depends[j]}
        if len(sources) != 1:
            return None
        i = sources.pop()
    return None if i < 0 else (applied[i], between[::-1])


def _show(traced: Trace, first: Weighing, reader: Weighing, between: list[int], training: bool) -> Shown:
    import torch

    nodes = [traced.nodes[i] for i in between]
    reasons = []
    name = first.weight.removesuffix(".weight") if first.weight.endswith(".weight") else first.weight
    kind = f"{first.kind}-{reader.kind}"
    watched = [first.node, *between]
    if any(len(set(traced.nodes[i].consumers)) > 1 or i in traced.outputs for i in watched):
        reasons.append(
            "its units are also read elsewhere, so that the layer after it does not hold all of their output weights"
        )
    for part in (first, reader):
        if part.kind == "Conv" and _named(traced.nodes[part.node], _CONV_ARGS).get("groups", 1) != 1:
            reasons.append("kernels in groups see, or are read by, a part of the channels only")
    activations = [a for n in nodes if (a := activation_of(n)) is not None]
    if len(activations) > 1:
        reasons.append("it has more than one activation")
    activation = activations[0] if activations else LINEAR
    facts = activation.facts
    if facts.linear and any(n.op in POOL - LINEAR_POOL for n in nodes):
        facts = facts._replace(linear=False, degree=1)
    w, b = _weights(traced, first, nodes)
    weight = _kernel(traced, reader)
    units = len(w)
    scale, shift, folding = _folded(nodes, training)
    reasons += folding
    if scale is not None and shift is not None and len(scale) == units:
        w, b = w * scale.reshape(-1, *[1] * (w.ndim - 1)), (0.0 if b is None else b) * scale + shift
    u = w.reshape(units, -1)
    if b is not None:
        u = np.hstack([u, b[:, None]])
    arrange = _Arranged.of(reader, traced, units, weight)
    if isinstance(arrange, str):
        return _unseen(name, kind, arrange, u, weight, facts)
    phi = arrange.phi(reader.data)
    v = arrange.v(weight)
    shown = Shown(name, kind, "", u, v, phi, facts)
    replay = _Replay(traced, first, nodes, arrange, w.shape, b is not None)
    if not reasons:
        again = replay.phi(u)
        if again is None or again.shape != phi.shape or not _near(again, phi, replay.rounding):
            reasons.append("what lies between its weights and its outputs could not be followed")
        elif not _near(shown.sum() + replay.constant(reader), arrange.outputs(traced, reader), replay.rounding):
            reasons.append("what the next layer takes in is not the sum over its units")
    if not reasons:
        shown.again = replay.phi
        power = facts.degree or facts.order
        shown.plain = scale is None
        if power > 0 and shown.plain:
            shown.sides = (float(np.linalg.norm(u)), float(np.linalg.norm(v)), float(power))
    with torch.no_grad():
        shown.dead, shown.saturated = _slopes(traced, first, nodes, activation)
    shown.exact = "; ".join(dict.fromkeys(reasons))
    shown.exact = shown.exact and shown.exact[0].upper() + shown.exact[1:] + "."
    shown.last = ends(traced, reader.node)
    return shown


def ends(traced: Trace, i: int) -> bool:
    """Whether the result of a call is what the model returns, up to shape and a bias."""
    node = traced.nodes[i]
    if i in traced.outputs:
        return True
    after = set(node.consumers)
    if len(after) != 1:
        return False
    (k,) = after
    follows = traced.nodes[k].op in PASS | SHAPE or _adds_bias(traced, traced.nodes[k])
    return follows and ends(traced, k)


def _unseen(name: str, kind: str, reason: str, u: np.ndarray, weight: np.ndarray, facts: Any) -> Shown:
    """A layer whose units could be named but not looked at."""
    empty = np.full((0, len(u), 1), np.nan)
    v = np.full((len(u), 1, 1), np.nan)
    return Shown(name, kind, reason[0].upper() + reason[1:] + ".", u, v, empty, facts)


# ------------------------------------------------------------------------------------------------------- parts of a layer

_CONV_ARGS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_NORM_ARGS = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


def _named(node: Node, names: tuple[str, ...]) -> dict[str, Any]:
    return dict(zip(names, node.args, strict=False)) | node.kwargs


def _source(traced: Trace, tensor: Any) -> int:
    made = traced.made_by(tensor)
    return -1 if made is None or not traced.depends[made] else made


def _matrix(traced: Trace, tensor: Any) -> tuple[str | None, bool]:
    """The name of a weight matrix, and whether this is its transpose."""
    name = traced.name_of(tensor)
    if name is not None:
        return (name, False) if tensor.ndim == 2 else (None, False)
    made = traced.made_by(tensor)
    if made is not None and traced.nodes[made].op in ("t", "T", "transpose", "adjoint") and tensor.ndim == 2:
        node = traced.nodes[made]
        if len(node.params) == 1 and tuple(tensor.shape) == tuple(reversed(traced.weights[node.params[0]].shape)):
            return node.params[0], True
    return None, False


def _adds_bias(traced: Trace, node: Node) -> bool:
    return node.op in ("add", "radd") and len(node.params) == 1 and traced.weights[node.params[0]].ndim == 1


def activation_of(node: Node) -> Activation | None:
    """What an activation is, whether it is written as a module, a function, a method or a power."""
    op = {"swish": "silu", "leakyrelu": "leaky_relu"}.get(node.op.rstrip("_"), node.op.rstrip("_"))
    if op in ACTIVATIONS:
        return ACTIVATIONS[op]
    if op == "pow" and len(node.args) == 2 and node.args[1] in (2, 3):
        return ACTIVATIONS["square" if node.args[1] == 2 else "cube"]
    if op == "mul" and len(node.args) == 2 and node.args[0] is node.args[1]:
        return ACTIVATIONS["square"]
    if op in ("clamp", "clip", "clamp_min"):
        low, high = _named(node, ("input", "min", "max")).get("min"), _named(node, ("input", "min", "max")).get("max")
        return ACTIVATIONS["relu"] if low == 0 and high is None else None
    return None


def numbers(tensor: Any) -> np.ndarray:
    """A tensor as a float64 copy."""
    return tensor.detach().double().cpu().numpy()


def _kernel(traced: Trace, part: Weighing) -> np.ndarray:
    """W [out, in, taps...]."""
    w = numbers(traced.weights[part.weight])
    return w.T if part.transposed else w


def applied_weights(traced: Trace, part: Weighing) -> tuple[np.ndarray, np.ndarray | None]:
    """W [out, in, taps...] and the bias of a layer."""
    return _kernel(traced, part), None if part.bias is None else numbers(traced.weights[part.bias])


def _weights(traced: Trace, first: Weighing, nodes: list[Node]) -> tuple[np.ndarray, np.ndarray | None]:
    """Weights and biases of the units of a layer."""
    biases = [first.bias] if first.bias else []
    biases += [n.params[0] for n in nodes if _adds_bias(traced, n)]
    w = _kernel(traced, first)
    b = sum((numbers(traced.weights[name]) for name in biases), np.zeros(len(w))) if biases else None
    return w, b


def _folded(nodes: list[Node], training: bool) -> tuple[np.ndarray | None, np.ndarray | None, list[str]]:
    """Batch norm as a factor and a shift of each unit, and why that is not the whole truth."""
    at = [i for i, n in enumerate(nodes) if n.op == "batch_norm"]
    if not at:
        return None, None, []
    if len(at) > 1 or any(activation_of(n) is not None or n.op in POOL for n in nodes[: at[0]]):
        return None, None, ["batch norm after an activation or pooling cannot be folded into input weights"]
    args = _named(nodes[at[0]], _NORM_ARGS)
    mean, variance = args.get("running_mean"), args.get("running_var")
    if mean is None or variance is None:
        return None, None, ["batch norm without running statistics divides by the spread of each batch"]
    factor = 1 / np.sqrt(numbers(variance) + float(args.get("eps", 1e-5)))
    if args.get("weight") is not None:
        factor = factor * numbers(args["weight"])
    shift = -numbers(mean) * factor + (0.0 if args.get("bias") is None else numbers(args["bias"]))
    if training:
        return (
            factor,
            shift,
            [
                "batch norm divides each unit by its spread over the batch while training: it is folded with the running "
                "statistics, which holds in evaluation only"
            ],
        )
    return factor, shift, []


def _slopes(traced: Trace, first: Weighing, nodes: list[Node], activation: Activation) -> tuple[float, float]:
    """Fractions of units through which no gradient passes on the probe, and of those at the flat ends of a bounded activation."""
    import torch

    if activation.facts.linear or activation.facts.degree not in (None, 1):
        return 0.0, 0.0
    k = next(i for i, n in enumerate(nodes) if activation_of(n) is not None)
    z = _applied(traced, first, first.data[:SAMPLES] if first.kind == "Conv" else first.data)
    z = _through([n for n in nodes[:k] if n.op not in POOL], z, traced)
    axis = -1 if first.kind == "Linear" else 1
    z = z.detach().double().movedim(axis, -1).reshape(-1, z.shape[axis])
    z = z[:: max(1, len(z) // 4096)]
    step = 1e-4
    rise = _call(nodes[k], z + step) - _call(nodes[k], z - step)
    slope = torch.abs(rise) / (2 * step)
    alive = slope > DEAD
    flat = (slope < FLAT).double().mean(0) >= MOST_ROWS
    if activation.bounded:
        return 0.0, float(flat.double().mean())
    return float((~alive.any(0)).double().mean()), 0.0


def _applied(traced: Trace, part: Weighing, data: Any) -> Any:
    """What a layer makes of some of its data, computed again: an activation in place has overwritten what the trace kept."""
    node = traced.nodes[part.node]
    if "input" in node.kwargs:
        return node.func(*node.args, **(node.kwargs | {"input": data}))
    args = list(node.args)
    args[next(i for i, a in enumerate(args) if a is part.data)] = data
    return node.func(*args, **node.kwargs)


def _call(node: Node, z: Any) -> Any:
    """The same function of something else. Never in place."""
    kwargs = {name: value for name, value in node.kwargs.items() if name != "inplace"}
    if node.op in ("mul", "rmul"):
        return z * z
    args = list(node.args)
    args[0] = z.clone()
    if "input" in kwargs:
        kwargs["input"], args = z.clone(), args[1:]
    return node.func(*args, **kwargs)


def _through(nodes: list[Node], z: Any, traced: Trace) -> Any:
    """z through the calls between, batch norm in evaluation included, changes of shape left out."""
    import torch

    for node in nodes:
        if node.op in SHAPE or node.op in PASS:
            continue
        if node.op == "batch_norm":
            args = list(node.args)
            args[0] = z
            moved = [a.to(z.dtype) if isinstance(a, torch.Tensor) else a for a in args]
            z = node.func(
                *moved, **{k: a.to(z.dtype) if isinstance(a, torch.Tensor) else a for k, a in node.kwargs.items()}
            )
        elif _adds_bias(traced, node):
            z = z + traced.weights[node.params[0]].detach().to(z.dtype)
        else:
            z = _call(node, z)
    return z


# ------------------------------------------------------------------------------------------- rows, units and features


class _Arranged:
    """How the data that a reading layer takes in are rows of units and features, and which rows are looked at."""

    def __init__(self, units: int, kind: str, shape: tuple[int, ...], options: dict[str, Any], taps: tuple[int, ...]):
        self.units, self.kind, self.shape, self.options, self.taps = units, kind, shape, options, taps
        self.chosen = np.arange(0)

    @classmethod
    def of(cls, reader: Weighing, traced: Trace, units: int, weight: np.ndarray) -> "_Arranged | str":
        shape = tuple(reader.data.shape)
        outputs = weight.shape[0]
        if reader.kind == "Linear":
            if shape[-1] % units:
                return f"its {units} units cannot be told apart in the {shape[-1]} numbers that the next layer reads"
            features, rows = shape[-1] // units, int(np.prod(shape[:-1]))
            made = cls(units, "Linear", shape, {}, ())
        else:
            op = traced.nodes[reader.node].op
            if op not in CONV:
                return "three-dimensional convolutions are not looked into"
            if shape[1] != units or len(shape) != CONV[op] + 2:
                return f"its {units} units are not the {shape[1]} channels that the next layer reads"
            options = _named(traced.nodes[reader.node], _CONV_ARGS)
            if options.get("groups", 1) != 1:
                return "kernels in groups read a part of the channels only"
            two = _two_dimensional(options, CONV[op], weight.shape[2:])
            if isinstance(two, str):
                return two
            features = int(np.prod(weight.shape[2:]))
            made = cls(units, "Conv", shape, two, tuple(weight.shape[2:]))
            rows = shape[0] * made._positions()
        most = int(np.clip(PRODUCTS / max(units * features * min(outputs, MOST_OUTPUTS), 1), 64, ROWS))
        if made.kind == "Linear":
            if len(shape) == 2 and features > 1:
                most = min(most, 2 * SAMPLES)
            made.chosen = np.unique(np.linspace(0, rows - 1, min(most, rows)).astype(int))
        else:
            positions = made._positions()
            samples = np.unique(np.linspace(0, shape[0] - 1, min(SAMPLES, shape[0])).astype(int))
            each = int(np.clip(most // len(samples), 1, positions))
            # other positions in every sample
            at = (
                np.linspace(0, positions, each, endpoint=False)[None, :] + 7.3 * np.arange(len(samples))[:, None]
            ) % positions
            made.chosen = np.unique((samples[:, None] * positions + at.astype(int)).reshape(-1))
        return made

    def samples(self) -> np.ndarray:
        """The samples that the chosen rows are of, where rows are samples or positions in them."""
        return self.chosen if self.kind == "Linear" else np.unique(self.chosen // self._positions())

    def phi(self, data: Any, *, cut: bool = False) -> np.ndarray:
        """[rows, units, features] of the chosen rows; `cut`: whether data are of `samples()` alone."""
        if self.kind == "Linear":
            flat = data.reshape(-1, data.shape[-1])
            flat = flat if cut else flat[self.chosen]
            return numbers(flat).reshape(len(self.chosen), self.units, -1)
        return numbers(self._patches((data if cut else data[self.samples()]).double()))

    def _patches(self, data: Any) -> Any:
        import torch

        if data.ndim == 3:
            data = data[:, :, None, :]
        kernel = self.taps if len(self.taps) == 2 else (1, *self.taps)
        positions = self._positions()
        unfolded = torch.nn.functional.unfold(data, kernel, **self.options)
        at = np.searchsorted(self.samples(), self.chosen // positions)
        rows = unfolded[at, :, self.chosen % positions]
        return rows.reshape(len(self.chosen), data.shape[1], -1)

    def _positions(self) -> int:
        size = self.shape[2:] if len(self.shape) == 4 else (1, *self.shape[2:])
        kernel = self.taps if len(self.taps) == 2 else (1, *self.taps)
        lengths = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                size, self.options["padding"], self.options["dilation"], kernel, self.options["stride"], strict=True
            )
        ]
        return int(np.prod(lengths))

    def v(self, weight: np.ndarray) -> np.ndarray:
        """[units, features, outputs]."""
        outputs = weight.shape[0]
        return np.moveaxis(weight.reshape(outputs, self.units, -1), 0, 2)

    def outputs(self, traced: Trace, reader: Weighing) -> np.ndarray:
        """What the reading layer put out on the chosen rows, computed again (what it kept may have been overwritten in place)."""
        if self.kind == "Linear":
            data = reader.data.reshape(-1, reader.data.shape[-1])[self.chosen]
            return numbers(_applied(traced, reader, data))
        out = _applied(traced, reader, reader.data[self.samples()])
        flat = out.reshape(*out.shape[:2], -1)
        positions = flat.shape[2]
        at = np.searchsorted(self.samples(), self.chosen // positions)
        return numbers(flat[at, :, self.chosen % positions])


def _two_dimensional(options: dict[str, Any], dims: int, taps: tuple[int, ...]) -> dict[str, Any] | str:
    """Stride, padding and dilation as pairs."""
    found = {}
    for name, default in (("stride", 1), ("padding", 0), ("dilation", 1)):
        value = options.get(name, default)
        if value == "valid":
            value = 0
        if value == "same":
            if any(k % 2 == 0 for k in taps):
                return 'padding "same" of even kernels is not symmetric'
            dilation = options.get("dilation", 1)
            dilation = (dilation,) * dims if isinstance(dilation, int) else tuple(dilation)
            value = tuple(d * (k - 1) // 2 for d, k in zip(dilation, taps, strict=True))
        value = (int(value),) * dims if isinstance(value, int) else tuple(int(a) for a in value)
        if len(value) == 1:
            value = value * dims
        found[name] = value if dims == 2 else (0 if name == "padding" else 1, *value)
    return found


class _Replay:
    """phi of other input weights, on the chosen rows: the same calls, with other weights, in float64."""

    def __init__(
        self, traced: Trace, first: Weighing, nodes: list[Node], arrange: _Arranged, shape: tuple[int, ...], bias: bool
    ):
        self.traced, self.first, self.arrange, self.shape, self.bias = traced, first, arrange, shape, bias
        # batch norm and biases are inside u
        self.nodes = [n for n in nodes if n.op != "batch_norm" and not _adds_bias(traced, n)]
        self.data = first.data.detach()
        self.follows = (
            first.kind == "Linear" or arrange.kind == "Conv" or len(self.data) == int(np.prod(arrange.shape[:-1]))
        )
        if first.kind == "Conv" and self.follows:
            self.data = self.data[arrange.samples()]
        self.data = self.data.double()
        self.rounding = ROUNDINGS * float(_epsilon(traced.weights[first.weight]))

    def phi(self, u: np.ndarray) -> np.ndarray | None:
        import torch

        if not self.follows:
            return None
        u = np.asarray(u, np.float64)
        full = np.zeros((self.shape[0], u.shape[1]))
        full[: len(u)] = u
        rows = torch.from_numpy(full).to(self.data.device)
        w, b = (rows[:, :-1], rows[:, -1]) if self.bias else (rows, None)
        functional = torch.nn.functional
        if self.first.kind == "Linear":
            data = self.data.reshape(-1, self.data.shape[-1])
            if self.arrange.kind == "Linear" and len(data) >= len(self.arrange.chosen):
                same_rows = len(data) == int(np.prod(self.arrange.shape[:-1]))
                if not same_rows:
                    return None
                data = data[self.arrange.chosen]
            z = _through(self.nodes, functional.linear(data, w, b), self.traced)
            return numbers(z).reshape(len(z), self.shape[0], -1)[:, : len(u)]
        node = self.traced.nodes[self.first.node]
        options = {k: a for k, a in _named(node, _CONV_ARGS).items() if k not in ("input", "weight", "bias")}
        z = getattr(functional, node.op)(self.data, w.reshape(self.shape), b, **options)
        z = _through(self.nodes, z, self.traced)
        if self.arrange.kind == "Linear":
            z = z.reshape(z.shape[0], -1)
            if z.shape[1] != self.arrange.shape[-1]:
                return None
        return self.arrange.phi(z, cut=True)[:, : len(u)]

    def constant(self, reader: Weighing) -> Any:
        return 0.0 if reader.bias is None else numbers(self.traced.weights[reader.bias])


def _near(a: np.ndarray, b: np.ndarray, rounding: float) -> bool:
    size = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
    return bool(np.all(np.abs(a - b) <= rounding * max(size, 1e-300)))


def _epsilon(tensor: Any) -> float:
    import torch

    return torch.finfo(tensor.dtype).eps
