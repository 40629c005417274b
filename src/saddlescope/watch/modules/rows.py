"""Which rows of a layer are looked at, how its data are units and features on them, and phi of other input weights there."""

from typing import Any

import numpy as np

from ..shown import MOST_OUTPUTS
from .calls import CONV, CONV_ARGS, Weighing, adds_bias, arguments, computed_again, numbers, through
from .trace import Node, Trace

#: phi is looked at on so many rows at most ...
ROWS = 512
#: ... of so many samples, for kernels ...
SAMPLES = 32
#: ... and fewer where the products for one question about it would be more than this many.
PRODUCTS = 1e7
#: S computed from the lens and S read off the model may differ by so many roundings, relative to the size of its terms.
ROUNDINGS = 1e3


class Arranged:
    """How the data that a reading layer takes in are rows of units and features, and which rows are looked at."""

    def __init__(self, units: int, kind: str, shape: tuple[int, ...], options: dict[str, Any], taps: tuple[int, ...]):
        self.units, self.kind, self.shape, self.options, self.taps = units, kind, shape, options, taps
        self.chosen = np.arange(0)

    @classmethod
    def of(cls, reader: Weighing, traced: Trace, units: int, weight: np.ndarray) -> "Arranged | str":
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
            options = arguments(traced.nodes[reader.node], CONV_ARGS)
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
            return numbers(computed_again(traced, reader, data))
        out = computed_again(traced, reader, reader.data[self.samples()])
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


class Replay:
    """phi of other input weights, on the chosen rows: the same calls, with other weights, in float64."""

    def __init__(
        self, traced: Trace, first: Weighing, nodes: list[Node], arrange: Arranged, shape: tuple[int, ...], bias: bool
    ):
        self.traced, self.first, self.arrange, self.shape, self.bias = traced, first, arrange, shape, bias
        # batch norm and biases are inside u
        self.nodes = [n for n in nodes if n.op != "batch_norm" and not adds_bias(traced, n)]
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
            z = through(self.nodes, functional.linear(data, w, b), self.traced)
            return numbers(z).reshape(len(z), self.shape[0], -1)[:, : len(u)]
        node = self.traced.nodes[self.first.node]
        options = {k: a for k, a in arguments(node, CONV_ARGS).items() if k not in ("input", "weight", "bias")}
        z = getattr(functional, node.op)(self.data, w.reshape(self.shape), b, **options)
        z = through(self.nodes, z, self.traced)
        if self.arrange.kind == "Linear":
            z = z.reshape(z.shape[0], -1)
            if z.shape[1] != self.arrange.shape[-1]:
                return None
        return self.arrange.phi(z, cut=True)[:, : len(u)]

    def constant(self, reader: Weighing) -> Any:
        return 0.0 if reader.bias is None else numbers(self.traced.weights[reader.bias])


def near(a: np.ndarray, b: np.ndarray, rounding: float) -> bool:
    size = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
    return bool(np.all(np.abs(a - b) <= rounding * max(size, 1e-300)))


def _epsilon(tensor: Any) -> float:
    import torch

    return torch.finfo(tensor.dtype).eps
