r"""Hidden layers of a PyTorch model, found in the trace of its functions on the probe: Linear-Linear, Conv-Conv, Conv-Linear.

Going back from every layer that applies weights: if nothing but an activation, pooling, normalisation by unit and changes of shape lie before it,
up to another layer that applies weights, then the earlier layer's outputs are units, its rows are u and the later layer's columns are v.
Residual streams are no obstacle: what a block adds to its stream is S of its own two layers.
"""

from typing import Any

import numpy as np

from ..activations import LINEAR, Activation
from ..shown import Shown
from .calls import (
    CONV_ARGS,
    LINEAR_POOL,
    NORM_ARGS,
    PASS,
    POOL,
    SHAPE,
    Weighing,
    activation_of,
    adds_bias,
    arguments,
    called_on,
    computed_again,
    ends,
    kernel_of,
    numbers,
    through,
)
from .rows import SAMPLES, Arranged, Replay, near
from .trace import Node, Trace

#: A unit's slope counts as none below this part of the largest that the activation has (here 1), for dead units ...
DEAD = 1e-3
#: ... and as saturated below this, on this part of the rows.
FLAT, MOST_ROWS = 0.05, 0.95


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
        if not known and not adds_bias(traced, node):
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
        if part.kind == "Conv" and arguments(traced.nodes[part.node], CONV_ARGS).get("groups", 1) != 1:
            reasons.append("kernels in groups see, or are read by, a part of the channels only")
    activations = [a for n in nodes if (a := activation_of(n)) is not None]
    if len(activations) > 1:
        reasons.append("it has more than one activation")
    activation = activations[0] if activations else LINEAR
    facts = activation.facts
    if facts.linear and any(n.op in POOL - LINEAR_POOL for n in nodes):
        facts = facts._replace(linear=False, degree=1)
    w, b = _weights(traced, first, nodes)
    weight = kernel_of(traced, reader)
    units = len(w)
    scale, shift, folding = _folded(nodes, training)
    reasons += folding
    if scale is not None and shift is not None and len(scale) == units:
        w, b = w * scale.reshape(-1, *[1] * (w.ndim - 1)), (0.0 if b is None else b) * scale + shift
    u = w.reshape(units, -1)
    if b is not None:
        u = np.hstack([u, b[:, None]])
    arrange = Arranged.of(reader, traced, units, weight)
    if isinstance(arrange, str):
        return _unseen(name, kind, arrange, u, weight, facts)
    phi = arrange.phi(reader.data)
    v = arrange.v(weight)
    shown = Shown(name, kind, "", u, v, phi, facts)
    replay = Replay(traced, first, nodes, arrange, w.shape, b is not None)
    if not reasons:
        again = replay.phi(u)
        if again is None or again.shape != phi.shape or not near(again, phi, replay.rounding):
            reasons.append("what lies between its weights and its outputs could not be followed")
        elif not near(shown.sum() + replay.constant(reader), arrange.outputs(traced, reader), replay.rounding):
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


def _unseen(name: str, kind: str, reason: str, u: np.ndarray, weight: np.ndarray, facts: Any) -> Shown:
    """A layer whose units could be named but not looked at."""
    empty = np.full((0, len(u), 1), np.nan)
    v = np.full((len(u), 1, 1), np.nan)
    return Shown(name, kind, reason[0].upper() + reason[1:] + ".", u, v, empty, facts)


def _weights(traced: Trace, first: Weighing, nodes: list[Node]) -> tuple[np.ndarray, np.ndarray | None]:
    """Weights and biases of the units of a layer."""
    biases = [first.bias] if first.bias else []
    biases += [n.params[0] for n in nodes if adds_bias(traced, n)]
    w = kernel_of(traced, first)
    b = sum((numbers(traced.weights[name]) for name in biases), np.zeros(len(w))) if biases else None
    return w, b


def _folded(nodes: list[Node], training: bool) -> tuple[np.ndarray | None, np.ndarray | None, list[str]]:
    """Batch norm as a factor and a shift of each unit, and why that is not the whole truth."""
    at = [i for i, n in enumerate(nodes) if n.op == "batch_norm"]
    if not at:
        return None, None, []
    if len(at) > 1 or any(activation_of(n) is not None or n.op in POOL for n in nodes[: at[0]]):
        return None, None, ["batch norm after an activation or pooling cannot be folded into input weights"]
    args = arguments(nodes[at[0]], NORM_ARGS)
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
    z = computed_again(traced, first, first.data[:SAMPLES] if first.kind == "Conv" else first.data)
    z = through([n for n in nodes[:k] if n.op not in POOL], z, traced)
    axis = -1 if first.kind == "Linear" else 1
    z = z.detach().double().movedim(axis, -1).reshape(-1, z.shape[axis])
    z = z[:: max(1, len(z) // 4096)]
    step = 1e-4
    rise = called_on(nodes[k], z + step) - called_on(nodes[k], z - step)
    slope = torch.abs(rise) / (2 * step)
    alive = slope > DEAD
    flat = (slope < FLAT).double().mean(0) >= MOST_ROWS
    if activation.bounded:
        return 0.0, float(flat.double().mean())
    return float((~alive.any(0)).double().mean()), 0.0
