r"""The insertion test: whether a silent unit, one whose output weights are 0, would lower the loss as soon as it had some.

A unit of a hidden layer passes features $\phi(x; u)$ [rows, features] on to the next layer, which weighs them by v. At v = 0 the loss does not know of it, and its slope is
$\partial L / \partial v = \sum_{rows} \phi\, \delta^\top$, $\delta$ [rows, outputs] the slope of the loss at what the next layer puts out. The number given is the largest

$$\frac{\lVert \phi^\top \delta \rVert}{\lVert \phi \rVert\, \lVert \delta \rVert} \le 1$$

over u that was found: rows are samples (and positions), a kernel of a convolution has a feature for each of the next kernel's places, one before a matrix a feature for each of its positions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

#: Directions tried for a silent unit, of which the best are refined by gradient ascent.
DIRECTIONS, REFINED, ASCENT = 256, 8, 60
#: Modules without weights that work on each channel alone; and activations are those of torch.nn.modules.activation.
CHANNELWISE = (
    *("AvgPool2d", "MaxPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "LPPool2d", "ZeroPad2d", "Upsample"),
    *("Identity", "Dropout", "Dropout2d", "Flatten"),
)
#: Activations that mix channels.
MIXING = ("Softmax", "Softmin", "LogSoftmax", "Softmax2d", "GLU", "MultiheadAttention", "PReLU")
#: Recomputed features of the units that are there have to be what the model computed, to this part.
SAME = 1e-9


class Insertions(NamedTuple):
    """By the name of the first weight's module: the largest slope found; or why it was not asked."""

    slopes: dict[str, float]
    reasons: dict[str, str]


class Place(NamedTuple):
    """Two layers of weights and what lies between, one after another."""

    first: Any
    between: list[Any]
    second: Any


def insertions(torch: Any, network: Any, value: Any) -> Insertions:
    """Of every Linear or Conv2d of a network in 64 bits and evaluation mode. `value()` is the loss of the probe.

    Asked are the layers of a Sequential, with activations, pooling and flattening between; units in what is not one (a forward pass of its own, heads, recurrent cells) are not found, and the reason says so.
    """
    nn = torch.nn
    places: dict[str, Place] = {}
    reasons: dict[str, str] = {}
    inside: set[int] = set()
    for prefix, module in network.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            reasons[prefix] = "heads: keys, queries and values of a silent one would have to be searched together"
            inside |= {id(part) for part in module.modules()}
        if isinstance(module, nn.Sequential):
            places |= _in_a_row(nn, prefix, list(module.named_children()), reasons)
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and id(module) not in inside and name not in places:
            reasons.setdefault(name, "what follows is not a row of modules (a Sequential): its units are not known")
    slopes: dict[str, float] = {}
    for name, place in places.items():
        asked = felt_by(torch, place, value)
        if isinstance(asked, str):
            reasons[name] = asked
        else:
            slopes[name] = _largest(torch, asked, place.first.weight)
    return Insertions(slopes, reasons)


def _in_a_row(nn: Any, prefix: str, children: list[tuple[str, Any]], reasons: dict[str, str]) -> dict[str, Place]:
    """Layers of a Sequential that a second one follows, with nothing but channelwise modules between."""
    found = {}
    weighed = [k for k, (_, module) in enumerate(children) if isinstance(module, nn.Linear | nn.Conv2d)]
    for k, after in zip(weighed, [*weighed[1:], None], strict=True):
        name, first = children[k]
        name = f"{prefix}.{name}" if prefix else name
        if after is None:
            if k == len(children) - 1 or all(_channelwise(nn, m) for _, m in children[k + 1 :]):
                reasons[name] = "no layer of weights follows: its outputs are no hidden units"
            continue
        between, second = [module for _, module in children[k + 1 : after]], children[after][1]
        mixing = next((type(m).__name__ for m in between if not _channelwise(nn, m)), None)
        if mixing is not None:
            reasons[name] = f"{mixing} follows, which mixes units or has weights of its own"
        elif any(getattr(m, "groups", 1) != 1 for m in (first, second)):
            reasons[name] = "a grouped convolution: a unit is not read by all of the next layer"
        elif isinstance(second, nn.Conv2d) and (isinstance(second.padding, str) or second.padding_mode != "zeros"):
            reasons[name] = "the next convolution's padding is given in words, or is none of zeros"
        else:
            found[name] = Place(first, between, second)
    return found


def _channelwise(nn: Any, module: Any) -> bool:
    kind = type(module).__name__
    activation = type(module).__module__ == "torch.nn.modules.activation" and kind not in MIXING
    return (activation or kind in CHANNELWISE) and not list(module.parameters())


def felt_by(torch: Any, place: Place, value: Any) -> Callable[[Any], Any] | str:
    """What a silent unit of input weights u [n, weights], without a bias, feels, [n] between 0 and 1; or why that cannot be computed."""
    functional, nn = torch.nn.functional, torch.nn
    first, second = place.first, place.second
    seen: dict[str, Any] = {}
    hooks = [
        first.register_forward_hook(lambda _m, inputs, _o: seen.__setitem__("x", inputs[0].detach())),
        second.register_forward_hook(
            lambda _m, inputs, output: seen.update(read=inputs[0].detach(), out=output, calls=seen.get("calls", 0) + 1)
        ),
    ]
    try:
        now = value()
    finally:
        for hook in hooks:
            hook.remove()
    if seen.get("calls") != 1 or not seen["out"].requires_grad:
        return "it is called several times, or not at all"
    (slope,) = torch.autograd.grad(now, seen["out"], allow_unused=True)
    if slope is None:
        return "the loss does not depend on it"
    x = seen["x"]
    convolved = isinstance(first, nn.Conv2d)
    units = first.out_channels if convolved else first.out_features

    def passed(u: Any, bias: Any) -> Any:
        """What units of input weights u [n, ...] pass on, as the second layer reads it."""
        if convolved:
            h = first._conv_forward(x, u.reshape(-1, *first.weight.shape[1:]), bias)
        else:
            h = functional.linear(x, u, bias)
        for module in place.between:
            h = module(h)
        return h

    def features(u: Any, bias: Any = None) -> Any:
        """phi [n, rows, features]."""
        read, n = passed(u, bias), len(u)
        if isinstance(second, nn.Conv2d):
            parts = functional.unfold(read, second.kernel_size, second.dilation, second.padding, second.stride)
            return (
                parts.reshape(len(read), n, -1, parts.shape[-1]).permute(1, 0, 3, 2).reshape(n, -1, parts.shape[1] // n)
            )
        if convolved:  # flattened channel by channel
            return read.reshape(len(read), n, -1).transpose(0, 1)
        return read.reshape(-1, n).T[..., None]

    delta = slope.detach()
    rows = delta.flatten(2).transpose(1, 2).reshape(-1, delta.shape[1]) if isinstance(second, nn.Conv2d) else delta
    rows = rows.reshape(-1, rows.shape[-1])
    with torch.no_grad():
        own = passed(first.weight.reshape(units, -1) if convolved else first.weight, first.bias)
        if own.shape != seen["read"].shape or (own - seen["read"]).norm() > SAME * seen["read"].norm():
            return "what its units pass on could not be computed again"
        one = features(first.weight[:1].reshape(1, -1))
        if one.shape[1] != len(rows) or (convolved and not isinstance(second, nn.Conv2d) and own.ndim != 2):
            return "the next layer reads its units otherwise than sample by sample"

    def felt(u: Any) -> Any:
        """The number above, of directions u [n, weights]."""
        phi = features(u / u.norm(dim=1, keepdim=True))
        size = rows.norm() * phi.flatten(1).norm(dim=1)
        return (phi.transpose(1, 2) @ rows).flatten(1).norm(dim=1) / torch.clamp(size, min=1e-300)

    return felt


def _largest(torch: Any, felt: Callable[[Any], Any], weight: Any) -> float:
    """The largest of many random directions, the best of them refined by gradient ascent."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(DIRECTIONS, weight[0].numel(), generator=generator, dtype=weight.dtype)
    with torch.no_grad():
        tried = torch.cat([felt(part) for part in directions.split(REFINED)])
        best = directions[torch.argsort(tried, descending=True)[:REFINED]]
    u = best.clone().requires_grad_(True)
    pace = 0.3 * float(u.detach().norm(dim=1).mean())
    largest = float(tried.max())
    for k in range(ASCENT):
        size = felt(u)
        largest = max(largest, float(size.detach().max()))
        (g,) = torch.autograd.grad(size.sum(), u)
        with torch.no_grad():
            u += pace / (1 + k / 10) * g / torch.clamp(g.norm(dim=1, keepdim=True), min=1e-300)
    return largest
