"""Facts about the activations that people's networks are made of, in the terms in which `units` states them."""

from typing import NamedTuple

from ..units import Facts


class Activation(NamedTuple):
    """Facts of phi(x; u) = sigma(u . x), and whether sigma is bounded, so that units can saturate."""

    facts: Facts
    bounded: bool


def _facts(degree: int | None, order: int, parity: str, *, linear: bool = False, kinks: bool = False) -> Facts:
    return Facts(degree, linear, order > 0, order, parity, kinks)  # pyright: ignore[reportArgumentType]


LINEAR = Activation(_facts(1, 1, "odd", linear=True), False)

#: By the name of the function that computes it. A test holds each to its formula.
ACTIVATIONS = {
    "relu": Activation(_facts(1, 1, "none", kinks=True), False),
    "leaky_relu": Activation(_facts(1, 1, "none", kinks=True), False),
    "relu6": Activation(_facts(None, 1, "none", kinks=True), True),
    "hardtanh": Activation(_facts(None, 1, "odd", kinks=True), True),
    "tanh": Activation(_facts(None, 1, "odd"), True),
    "softsign": Activation(_facts(None, 1, "odd"), True),
    "sin": Activation(_facts(None, 1, "odd"), False),
    "sigmoid": Activation(_facts(None, 0, "none"), True),
    "softplus": Activation(_facts(None, 0, "none"), False),
    "gelu": Activation(_facts(None, 1, "none"), False),
    "silu": Activation(_facts(None, 1, "none"), False),
    "mish": Activation(_facts(None, 1, "none"), False),
    "hardswish": Activation(_facts(None, 1, "none", kinks=True), False),
    "elu": Activation(_facts(None, 1, "none"), False),
    "selu": Activation(_facts(None, 1, "none", kinks=True), False),
    "celu": Activation(_facts(None, 1, "none"), False),
    "square": Activation(_facts(2, 2, "even"), False),
    "cube": Activation(_facts(3, 3, "odd"), False),
}

#: Attention heads as units with u = (key, query, value). At small u softmax attends evenly, and a head is linear in its value; without softmax it is a
#: product of all three. Turning u turns keys, queries and values: scores stay, the head changes sign.
SOFTMAX_HEAD = _facts(None, 1, "odd")
LINEAR_HEAD = _facts(3, 3, "odd")
