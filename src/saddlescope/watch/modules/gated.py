r"""Gated layers of a PyTorch model, $\sigma(g \cdot x)\,(w \cdot x)\, v$, as in SwiGLU and GEGLU: a unit's input weights are gate and value together."""

import numpy as np

from ...units import Facts
from ..activations import LINEAR, Activation
from ..shown import Shown
from .calls import PASS, Weighing, activation_of, applied_weights, ends, numbers
from .rows import ROWS
from .trace import Trace


def gated(traced: Trace, applied: dict[int, Weighing]) -> dict[int, Shown]:
    """A lens on every layer whose units are products of two, by the place of the call that reads it."""
    found = {}
    for reader in applied.values():
        i = reader.source
        while i >= 0 and traced.nodes[i].op in PASS:
            i = max((j for j in traced.nodes[i].inputs if traced.depends[j]), default=-1)
        if reader.kind != "Linear" or i < 0 or traced.nodes[i].op not in ("mul", "rmul"):
            continue
        factors = [_branch(traced, applied, j) for j in dict.fromkeys(traced.nodes[i].inputs) if traced.depends[j]]
        sides = [side for side in factors if side is not None]
        if len(sides) == len(factors) == 2:
            sides.sort(key=lambda side: side[1] is LINEAR)  # the gate first
            (gate, activation, shared), (value, other, shared_too) = sides
            units = reader.data.shape[-1]
            if other is LINEAR and all(
                traced.weights[p.weight].shape[int(p.transposed)] == units for p in (gate, value)
            ):
                reads = {len(set(traced.nodes[k].consumers)) for k in (i, *shared, *shared_too)}
                found[reader.node] = _show(traced, gate, value, activation, reader, alone=reads == {1})
    return found


def _branch(traced: Trace, applied: dict[int, Weighing], i: int) -> tuple[Weighing, Activation, list[int]] | None:
    """The dense layer that a factor comes from, its activation, and the calls on the way."""
    activation, way = LINEAR, []
    while i not in applied:
        node = traced.nodes[i]
        known = activation_of(node)
        before = {j for j in node.inputs if traced.depends[j]}
        if (
            (known is None and node.op not in PASS)
            or (known is not None and activation is not LINEAR)
            or len(before) != 1
        ):
            return None
        activation = known or activation
        way.append(i)
        (i,) = before
    return (applied[i], activation, [i, *way]) if applied[i].kind == "Linear" else None


def _facts(activation: Activation) -> Facts:
    one = activation.facts
    turned = {"odd": "even", "even": "odd", "none": "none"}[one.parity]  # the other factor is odd
    degree = None if one.degree is None else one.degree + 1
    return Facts(degree, False, True, one.order + 1, turned, one.kinks)  # pyright: ignore[reportArgumentType]


def _show(
    traced: Trace, gate: Weighing, value: Weighing, activation: Activation, reader: Weighing, *, alone: bool
) -> Shown:
    parts = [
        w if b is None else np.hstack([w, b[:, None]]) for w, b in (applied_weights(traced, p) for p in (gate, value))
    ]
    read, _ = applied_weights(traced, reader)
    data = reader.data.reshape(-1, reader.data.shape[-1])
    chosen = np.unique(np.linspace(0, len(data) - 1, min(ROWS, len(data))).astype(int))
    name = value.weight.removesuffix(".weight")
    shown = Shown(
        name,
        "Linear-Linear, gated",
        "",
        np.hstack(parts),
        read.T[:, None, :],
        numbers(data[chosen])[:, :, None],
        _facts(activation),
    )
    shown.last = ends(traced, reader.node)
    if not alone:
        shown.exact = (
            "Its units are also read elsewhere, so that the layer after it does not hold all of their output weights."
        )
    # value and output weights enter as a product: the flow keeps the difference of their squares
    shown.sides = (float(np.linalg.norm(parts[1])), float(np.linalg.norm(shown.v)), 1.0)
    return shown
