"""The calls in a trace that apply weights, and those that may lie between two of them; any of them made again on other numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..activations import ACTIVATIONS, Activation
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
CONV_ARGS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
NORM_ARGS = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


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
            args = arguments(node, ("input", "weight", "bias"))
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


def ends(traced: Trace, i: int) -> bool:
    """Whether the result of a call is what the model returns, up to shape and a bias."""
    node = traced.nodes[i]
    if i in traced.outputs:
        return True
    after = set(node.consumers)
    if len(after) != 1:
        return False
    (k,) = after
    follows = traced.nodes[k].op in PASS | SHAPE or adds_bias(traced, traced.nodes[k])
    return follows and ends(traced, k)


def arguments(node: Node, names: tuple[str, ...]) -> dict[str, Any]:
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


def adds_bias(traced: Trace, node: Node) -> bool:
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
        low, high = (
            arguments(node, ("input", "min", "max")).get("min"),
            arguments(node, ("input", "min", "max")).get("max"),
        )
        return ACTIVATIONS["relu"] if low == 0 and high is None else None
    return None


def numbers(tensor: Any) -> np.ndarray:
    """A tensor as a float64 copy."""
    return tensor.detach().double().cpu().numpy()


def kernel_of(traced: Trace, part: Weighing) -> np.ndarray:
    """W [out, in, taps...]."""
    w = numbers(traced.weights[part.weight])
    return w.T if part.transposed else w


def applied_weights(traced: Trace, part: Weighing) -> tuple[np.ndarray, np.ndarray | None]:
    """W [out, in, taps...] and the bias of a layer."""
    return kernel_of(traced, part), None if part.bias is None else numbers(traced.weights[part.bias])


def computed_again(traced: Trace, part: Weighing, data: Any) -> Any:
    """What a layer makes of some of its data, computed again: an activation in place has overwritten what the trace kept."""
    node = traced.nodes[part.node]
    if "input" in node.kwargs:
        return node.func(*node.args, **(node.kwargs | {"input": data}))
    args = list(node.args)
    args[next(i for i, a in enumerate(args) if a is part.data)] = data
    return node.func(*args, **node.kwargs)


def called_on(node: Node, z: Any) -> Any:
    """The same function of something else. Never in place."""
    kwargs = {name: value for name, value in node.kwargs.items() if name != "inplace"}
    if node.op in ("mul", "rmul"):
        return z * z
    args = list(node.args)
    args[0] = z.clone()
    if "input" in kwargs:
        kwargs["input"], args = z.clone(), args[1:]
    return node.func(*args, **kwargs)


def through(nodes: list[Node], z: Any, traced: Trace) -> Any:
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
        elif adds_bias(traced, node):
            z = z + traced.weights[node.params[0]].detach().to(z.dtype)
        else:
            z = called_on(node, z)
    return z
