r"""Attention heads of a PyTorch model as units: $\phi$ is what a head makes of the tokens, $v$ its block of the output projection.

With u = (key, query, value) a head is a unit like any other: silent at u = 0, so that dropping heads and merging equal ones are embeddings of
narrower attention, and both sets are invariant. Found where the model calls `scaled_dot_product_attention`,
`nn.MultiheadAttention`, or multiplies scores and values itself.
"""

from typing import Any

import numpy as np

from ...complexity import TAU
from ..activations import LINEAR_HEAD, SOFTMAX_HEAD
from ..shown import Shown
from .calls import PASS, SHAPE, Weighing, ends, numbers
from .trace import Node, Trace

TURN = {
    "transpose",
    "permute",
    "swapaxes",
    "swapdims",
    "movedim",
    "T",
    "chunk",
    "split",
    "unbind",
    "getitem",
    "tensor_split",
}
SCALE = {"mul", "rmul", "truediv", "div", "masked_fill", "where"}
#: Rows (a sample's token) that heads are looked at on.
ROWS = 256


def heads(traced: Trace, applied: dict[int, Weighing]) -> dict[int, Shown]:
    """A lens on the heads of every attention layer, by the place of the call that attends."""
    found: dict[int, Shown | None] = {}
    for i, node in enumerate(traced.nodes):
        if not traced.depends[i]:
            continue
        if node.op == "multi_head_attention_forward":
            found[i] = _of_module(traced, node)
        elif node.op == "scaled_dot_product_attention":
            given = dict(zip(("query", "key", "value"), node.args, strict=False)) | node.kwargs
            query, key, value = given["query"], given["key"], given["value"]
            found[i] = _of_product(traced, applied, i, query, key, value, softmax=True)
        elif node.op == "matmul" and len(node.args) == 2 and (scores := _scores(traced, node.args[0])) is not None:
            query, key, softmax = scores
            found[i] = _of_product(traced, applied, i, query, key, node.args[1], softmax=softmax)
    return {i: shown for i, shown in found.items() if shown is not None}


def _scores(traced: Trace, tensor: Any) -> tuple[Any, Any, bool] | None:
    """The query and the key whose product a tensor of scores is, and whether softmax was taken."""
    softmax, made = False, traced.made_by(tensor)
    while made is not None:
        node = traced.nodes[made]
        if node.op == "softmax":
            softmax = True
        elif node.op == "matmul" and len(node.args) == 2 and tensor.ndim >= 3 and not node.params:
            return (node.args[0], node.args[1], softmax) if _both(traced, node) else None
        elif node.op not in PASS | SCALE | {"add", "radd", "sub", "tril"}:
            return None
        made = next((j for j in node.inputs if traced.depends[j]), None)
    return None


def _both(traced: Trace, node: Node) -> bool:
    return all((j := traced.made_by(a)) is not None and traced.depends[j] for a in node.args)


def _of_product(
    traced: Trace, applied: dict[int, Weighing], i: int, query: Any, key: Any, value: Any, *, softmax: bool
) -> Shown | None:
    output = traced.nodes[i].output
    reader = _reader(traced, applied, i)
    if reader is None or output.ndim not in (3, 4):
        return None
    z = output.detach().double()
    z = z[:, None] if z.ndim == 3 else z  # [samples, heads, tokens, width]
    samples, count, tokens, width = z.shape
    read = numbers(traced.weights[reader.weight])
    read = read.T if reader.transposed else read
    name = reader.weight.removesuffix(".weight")
    if tuple(reader.data.shape) != (samples, tokens, count * width):
        return None
    data = reader.data.detach().double().reshape(samples * tokens, count, width)
    straight = z.permute(0, 2, 1, 3).reshape(samples * tokens, count, width)
    if not bool((data == straight).all()):
        return _generic(name, "its heads are mixed before they are read", count, width, read, data)
    parts = [_blocks(traced, applied, t, count, width) for t in (key, query, value)]
    if key.ndim >= 3 and parts[0] is None:  # k may come transposed
        parts[0] = _blocks(traced, applied, key.transpose(-1, -2), count, width, key)
    if any(part is None for part in parts):
        reason = "its keys, queries or values are changed between the weights and the product, or shared between heads"
        return _generic(name, reason, count, width, read, data)
    shown = _shown(name, parts, read, numbers(data), softmax)
    shown.last = ends(traced, reader.node)
    return shown


def _reader(traced: Trace, applied: dict[int, Weighing], i: int) -> Weighing | None:
    """The layer that alone reads the result of a call, up to shape."""
    while True:
        after = set(traced.nodes[i].consumers)
        if len(after) != 1:
            return None
        (i,) = after
        if i in applied:
            return applied[i]
        if traced.nodes[i].op not in PASS | SHAPE | TURN:
            return None


def _blocks(
    traced: Trace, applied: dict[int, Weighing], tensor: Any, count: int, width: int, made_from: Any = None
) -> np.ndarray | None:
    """The weights [heads, width, inputs (+ 1)] that make `tensor` [samples, (heads,) tokens, width], found by comparing numbers; None where none do."""
    made = traced.made_by(tensor if made_from is None else made_from)
    while made is not None and made not in applied:
        node = traced.nodes[made]
        scalar = node.op in SCALE and len([j for j in node.inputs if traced.depends[j]]) == 1
        if node.op not in PASS | SHAPE | TURN and not scalar:
            return None
        made = next((j for j in node.inputs if traced.depends[j]), None)
    if made is None or applied[made].kind != "Linear":
        return None
    part = applied[made]
    w = numbers(traced.weights[part.weight])
    w = w.T if part.transposed else w
    if part.bias is not None:
        w = np.hstack([w, numbers(traced.weights[part.bias])[:, None]])
    out = traced.nodes[made].output.detach().double()
    wanted = tensor.detach().double()
    wanted = wanted[:, None] if wanted.ndim == 3 else wanted
    if out.ndim != 3 or wanted.shape[1] != count or wanted.shape[-1] != width:
        return None
    for k in range(out.shape[-1] // (count * width)):
        rows = slice(k * count * width, (k + 1) * count * width)
        cut = out[..., rows].reshape(*out.shape[:2], count, width).permute(0, 2, 1, 3)
        if cut.shape == wanted.shape and _proportional(cut, wanted):
            return w[rows].reshape(count, width, -1)
    return None


def _proportional(a: Any, b: Any) -> bool:
    """Whether b is a times one number: scores may be scaled on the way."""
    square = float((a * a).sum())
    if square == 0.0:
        return bool((b == 0).all())
    factor = float((a * b).sum()) / square
    return factor != 0.0 and float(((b - factor * a) ** 2).sum()) <= 1e-8 * factor**2 * square


def _of_module(traced: Trace, node: Node) -> Shown | None:
    """nn.MultiheadAttention, whose parts are all arguments of one call."""
    import torch

    names = (
        *(
            "query",
            "key",
            "value",
            "embed_dim_to_check",
            "num_heads",
            "in_proj_weight",
            "in_proj_bias",
            "bias_k",
            "bias_v",
        ),
        *(
            "add_zero_attn",
            "dropout_p",
            "out_proj_weight",
            "out_proj_bias",
            "training",
            "key_padding_mask",
            "need_weights",
        ),
        *("attn_mask", "use_separate_proj_weight"),
    )
    args = dict(zip(names, node.args, strict=False)) | node.kwargs
    read, count = numbers(args["out_proj_weight"]), int(args["num_heads"])
    found = traced.name_of(args["out_proj_weight"]) or "attention"
    name = found.removesuffix(".out_proj.weight").removesuffix(".weight")
    odd = ("bias_k", "bias_v")
    if args.get("use_separate_proj_weight") or args.get("add_zero_attn") or any(args.get(a) is not None for a in odd):
        return None
    query, key, value = (args[a].detach().double() for a in ("query", "key", "value"))
    if query.ndim == 2:
        query, key, value = (a[:, None] for a in (query, key, value))
    weight, bias = args["in_proj_weight"].detach().double(), args.get("in_proj_bias")
    biases = [None] * 3 if bias is None else list(bias.detach().double().chunk(3))
    tokens, samples, size = query.shape
    width = size // count
    projected, parts = [], []
    for data, w, b in zip((query, key, value), weight.chunk(3), biases, strict=True):
        out = torch.nn.functional.linear(data, w, b)
        projected.append(out.reshape(len(data), samples, count, width).permute(1, 2, 0, 3))
        rows = numbers(w) if b is None else np.hstack([numbers(w), numbers(b)[:, None]])
        parts.append(rows.reshape(count, width, -1))
    masks = [_added(args.get("attn_mask")), _added(args.get("key_padding_mask"))]
    if masks[0] is not None and masks[0].ndim == 3:
        masks[0] = masks[0].reshape(samples, count, *masks[0].shape[1:])
    if masks[1] is not None:
        masks[1] = masks[1].reshape(samples, 1, 1, -1)
    mask = sum((m for m in masks[1:] if m is not None), masks[0]) if masks[0] is not None else masks[1]
    z = torch.nn.functional.scaled_dot_product_attention(*projected, attn_mask=mask)
    data = numbers(z.permute(0, 2, 1, 3).reshape(samples * tokens, count, width))
    query_part, key_part, value_part = parts
    shown = _shown(name, [key_part, query_part, value_part], read, data, softmax=True)
    out = node.output[0] if isinstance(node.output, tuple) else node.output
    out = out.reshape(tokens, samples, -1).permute(1, 0, 2).reshape(samples * tokens, -1)
    bias = args.get("out_proj_bias")
    whole = np.tensordot(data, _read_by(read, count, width), axes=((1, 2), (0, 1)))
    whole = whole + (0.0 if bias is None else numbers(bias))
    error = np.max(np.abs(whole - numbers(out)), initial=0.0)
    if error > 1e3 * torch.finfo(args["out_proj_weight"].dtype).eps * max(np.max(np.abs(whole), initial=0.0), 1e-300):
        return _generic(
            name,
            "what it computes is not what its weights say",
            count,
            width,
            read,
            z.permute(0, 2, 1, 3).reshape(-1, count, width),
        )
    return shown


def _added(mask: Any) -> Any:
    """A mask as what is added to scores; True in one means that a token is not attended to."""
    import torch

    if mask is None:
        return None
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, dtype=torch.float64, device=mask.device).masked_fill(mask, -torch.inf)
    return mask.double()


def _read_by(read: np.ndarray, count: int, width: int) -> np.ndarray:
    """The output projection [outputs, heads x width] as v [heads, width, outputs]."""
    return np.moveaxis(read.reshape(len(read), count, width), 0, 2)


def _chosen(data: np.ndarray) -> np.ndarray:
    return data[np.unique(np.linspace(0, len(data) - 1, min(ROWS, len(data))).astype(int))]


def _shown(name: str, parts: list[Any], read: np.ndarray, data: np.ndarray, softmax: bool) -> Shown:
    key, query, value = parts
    count, width = value.shape[:2]
    v = _read_by(read, count, width)
    u = np.hstack([a.reshape(count, -1) for a in (key, query, value)])
    facts = SOFTMAX_HEAD if softmax else LINEAR_HEAD
    shown = Shown(name, "heads", "", u, v, _chosen(data), facts)
    # a score is bilinear in key and query: the flow keeps |key|^2 - |query|^2
    shown.sides = (float(np.linalg.norm(key)), float(np.linalg.norm(query)), 1.0)
    key_query = [
        _rank(a[:, : min(a.shape[1], b.shape[1])].T @ b[:, : min(a.shape[1], b.shape[1])])
        for a, b in zip(key, query, strict=True)
    ]
    value_output = [_rank(a.T @ b) for a, b in zip(value, v, strict=True)]
    shown.extra = {"key_query_rank": float(np.mean(key_query)), "value_output_rank": float(np.mean(value_output))}
    return shown


def _rank(matrix: np.ndarray) -> int:
    values = np.linalg.svd(matrix, compute_uv=False)
    return int(np.sum(values > TAU * values[0])) if values.size and values[0] > 0 else 0


def _generic(name: str, reason: str, count: int, width: int, read: np.ndarray, data: Any) -> Shown:
    """Heads whose outputs are seen and whose input weights are not: u is nothing."""
    u = np.zeros((count, 1))
    reason = reason[0].upper() + reason[1:] + "."
    return Shown(name, "heads", reason, u, _read_by(read, count, width), _chosen(numbers(data)), SOFTMAX_HEAD)
