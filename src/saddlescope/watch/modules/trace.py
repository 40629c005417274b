"""What a PyTorch model does on a probe batch, function by function: which result went into what, and which weights took part.

Read off the calls themselves, so that it does not matter whether an activation is a module, a function or a method, and no source is read.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Node:
    """One call: `op` is its name, `inputs` the calls that made its tensor arguments, `params` the names of weights among them."""

    op: str
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: list[int]
    params: list[str]
    output: Any = None
    consumers: list[int] = field(default_factory=list)


@dataclass
class Trace:
    """All calls in order. `weights`: tensors by name. `outputs`: the calls that made what the model returned. `reaches`: calls that depend on the probe."""

    nodes: list[Node]
    weights: dict[str, Any]
    result: Any
    outputs: set[int]
    depends: list[bool]
    producer: dict[int, int]
    names: dict[int, str]

    def made_by(self, tensor: Any) -> int | None:
        return self.producer.get(id(tensor))

    def name_of(self, tensor: Any) -> str | None:
        return self.names.get(id(tensor))


def tensors_in(value: Any) -> list[Any]:
    """The tensors among arguments or results, in order, also inside tuples, lists and dictionaries."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [t for v in value for t in tensors_in(v)]
    if isinstance(value, dict):
        return [t for v in value.values() for t in tensors_in(v)]
    return []


def trace(call: Callable[[], Any], weights: dict[str, Any], probe: list[Any]) -> Trace:
    """Runs `call` and writes down what it did. `weights`: the model's parameters by name, tied ones once; `probe`: the tensors that are its input."""
    from torch.overrides import TorchFunctionMode

    nodes: list[Node] = []
    producer: dict[int, int] = {}
    alive: list[Any] = []  # so that no id is used twice
    names = {id(w): name for name, w in weights.items()}
    given = {id(t) for t in probe}
    depends: list[bool] = []

    class Recorder(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            seen = tensors_in((args, kwargs))
            inputs = [producer[id(t)] for t in seen if id(t) in producer]
            params = [names[id(t)] for t in seen if id(t) in names]
            from_probe = any(id(t) in given for t in seen) or any(depends[i] for i in inputs)
            out = func(*args, **kwargs)
            made = tensors_in(out)
            if made and (inputs or params or from_probe):
                op = getattr(func, "__name__", str(func)).strip("_")
                if op == "get":  # a property: .T, .mT, .data
                    op = "T" if params or inputs else op
                op = op[1:] if op.startswith("i") and op[1:] in _ARITHMETIC else op  # in place
                node = Node(op, func, args, kwargs, inputs, params, out)
                for i in dict.fromkeys(inputs):
                    nodes[i].consumers.append(len(nodes))
                for t in made:
                    if id(t) not in names:
                        producer[id(t)] = len(nodes)
                alive.extend(made)
                nodes.append(node)
                depends.append(from_probe)
            return out

    with Recorder():
        result = call()
    outputs = {producer[id(t)] for t in tensors_in(_plain(result)) if id(t) in producer}
    return Trace(nodes, weights, result, outputs, depends, producer, names)


_ARITHMETIC = ("add", "sub", "mul", "truediv", "pow", "matmul")


def _plain(result: Any) -> Any:
    return dict(result) if hasattr(result, "keys") else result
