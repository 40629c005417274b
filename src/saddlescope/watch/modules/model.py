"""A PyTorch module on a probe batch."""

from typing import Any

import numpy as np

from ..names import normalised
from ..seen import Seen, Unfit, cross_entropy, loss_of, measured, reference_of, slope_of, spread
from . import calls, gated, heads, lenses
from .state import untouched, unwrapped
from .trace import tensors_in, trace

#: Hidden layers are looked at on so many samples of the probe at most: their activations are all kept for that moment.
LENS_SAMPLES = 128
#: The probe goes through the model in batches of so many samples.
BATCH = 256
OPTIMISERS = ("SGD", "Adam", "AdamW")
NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
WRONG = (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError)


class TorchModel:
    """See `AbstractModel`. The probe is a tensor or array, a tuple of arguments or a dictionary of them, the first axis of each the samples.

    **Raises:** `ValueError` where the model cannot compute the probe.
    """

    def __init__(self, model: Any, probe: Any, targets: Any = None, optimizer: Any = None, criterion: Any = None):
        import torch

        self.model, self.optimizer, self.criterion = unwrapped(model), optimizer, criterion
        self.weights: dict[str, Any] = {}
        self.names: tuple[str, ...] = ()
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self.frozen = np.zeros(0, bool)
        self.facts: dict[str, Any] = {"framework": "torch", "source": type(self.model).__name__}
        self.targets = None if targets is None else np.asarray(torch.as_tensor(targets).detach().cpu().numpy())
        self.probe = probe
        self.on_device: Any = None
        self.reference = reference_of(self.targets)
        self.facts["cross_entropy"] = cross_entropy(self.targets, self.criterion)
        self.replaced: tuple[str, ...] = ()
        if optimizer is not None and not _groups(optimizer):
            raise Unfit(
                f"optimizer needs param_groups with a learning rate (lr) each: found none in a {type(optimizer).__name__}."
            )
        self._read_weights()

    def waiting(self) -> str | None:
        import torch

        lazy = [name for name, p in self.model.named_parameters() if torch.nn.parameter.is_lazy(p)]
        if lazy:
            return f"{lazy[0]} has no shape before the model's first call, and calling it here would use its random numbers"
        sharded = [n for n, p in self.model.named_parameters() if "_flat_param" in n or hasattr(p, "_local_tensor")]
        if sharded:
            return f"{sharded[0]} is one shard of a weight: each process sees a part, so only losses are recorded"
        if not self.names:
            self._read_weights()
        return None

    def _read_weights(self) -> None:
        import torch

        named = {n: p for n, p in self.model.named_parameters() if not torch.nn.parameter.is_lazy(p)}
        self.weights = dict(zip(normalised(named), named.values(), strict=True))
        lazy = len(named) < len(list(self.model.named_parameters()))
        self.names = () if lazy else tuple(self.weights)
        self.shapes = tuple(tuple(p.shape) for p in self.weights.values()) if self.names else ()
        self.frozen = np.array([not p.requires_grad for p in self.weights.values()] if self.names else [], bool)

    def observe(self, params: Any = None, *, layers: bool) -> Seen:
        import torch

        before = {name: id(p) for name, p in self.weights.items()}
        now = {id(p) for p in self.model.parameters()}
        self.replaced = ()
        if set(before.values()) != now:
            self._read_weights()
            self.replaced = tuple(n for n, p in self.weights.items() if before.get(n, id(p)) != id(p))
        values = list(self.weights.values())
        training = bool(self.model.training)
        with untouched(self.model, self.criterion):
            first, batches = self._batches(values)
            outputs: list[Any] = []
            shown = []
            if layers:
                traced = trace(lambda: self._call(first), self.weights, tensors_in(first))
                applied = calls.weighings(traced)
                by_place = lenses.layers(traced, applied, training=training) | gated.gated(traced, applied)
                by_place |= heads.heads(traced, applied)
                shown = [by_place[i] for i in sorted(by_place)]
                self._facts_from(traced, applied)
                del traced
            for batch in batches:
                outputs.append(_output(self._call(batch)).detach())
            f = np.concatenate([o.double().cpu().numpy() for o in outputs])
            loss = self._criterion_loss(outputs) if self.criterion else loss_of(f, self.targets)
            self.facts["slope"] = None if self.criterion else slope_of(f, self.targets)
            norms = np.array([_norm(p) for p in values])
            gradients = np.array([np.nan if p.grad is None else _norm(p.grad) for p in values])
            largest = np.array([_largest(p) for p in values]) if layers else np.full(len(values), np.nan)
        self.frozen = np.array([not p.requires_grad for p in values], bool)
        rate = self._read_optimizer()
        epsilon = max((torch.finfo(p.dtype).eps for p in values if p.is_floating_point()), default=0.0)
        found = measured(shown, f, self.reference, epsilon) if layers else {}
        return Seen(*spread(f), loss, norms, largest, gradients, rate, found)

    def _batches(self, values: list[Any]) -> tuple[Any, list[Any]]:
        """The samples for the lenses, and the whole probe in batches, where the model is and of its type."""
        import torch

        like = next((p for p in values if p.is_floating_point()), None)

        def moved(a: Any) -> Any:
            if isinstance(a, np.ndarray):
                a = torch.from_numpy(a)
            if isinstance(a, torch.Tensor) and like is not None:
                a = a.detach().to(like.device, like.dtype if a.is_floating_point() else None)
            return a

        known = tensors_in(self.on_device)
        if not known or (
            like is not None
            and any(t.device != like.device or (t.is_floating_point() and t.dtype != like.dtype) for t in known)
        ):
            self.on_device = _mapped(self.probe, moved)
        tensors = tensors_in(self.on_device)
        if not tensors:
            raise ValueError(
                f"probe needs a tensor or an array, or a tuple or dictionary of them: found {type(self.probe).__name__}."
            )
        count = len(tensors[0])
        same = all(len(t) == count for t in tensors if t.ndim)
        if self.targets is not None and not self.criterion and same and len(np.atleast_1d(self.targets)) != count:
            raise Unfit(
                f"targets need one for each of the {count} samples of the probe: found {len(np.atleast_1d(self.targets))}."
            )

        def cut(start: int, stop: int) -> Any:
            return _mapped(self.on_device, lambda a: a[start:stop].clone() if _is_tensor(a) and a.ndim and same else a)

        size = BATCH if same else count
        return cut(0, LENS_SAMPLES), [cut(k, k + size) for k in range(0, count, size)]

    def _call(self, batch: Any) -> Any:
        if isinstance(batch, dict):
            return self.model(**batch)
        return self.model(*batch) if isinstance(batch, tuple | list) else self.model(batch)

    def _criterion_loss(self, outputs: list[Any]) -> float:
        """In float64, or, where the criterion holds tensors of its own that do not go with that, in the model's precision and place."""
        import torch

        if self.targets is None:
            raise Unfit("criterion(outputs, targets) needs targets of the probe: found none.")
        f, targets = torch.cat(outputs), torch.from_numpy(self.targets)
        error: Exception | None = None
        for double in (True, False):
            given = f.double().cpu() if double else f
            wanted = targets if double or not targets.is_floating_point() else targets.to(f.dtype)
            try:
                return float(self.criterion(given, wanted.to(given.device)))
            except Exception as raised:
                error = error or raised
        raise Unfit(
            f"criterion(outputs, targets) failed, on outputs of shape {list(f.shape)} and targets of shape {list(targets.shape)}, with {type(error).__name__}: "
            f"{(str(error).strip().splitlines() or [''])[0][:200]}."
        ) from error

    def _facts_from(self, traced: Any, applied: dict[int, Any]) -> None:
        ops = [n.op for i, n in enumerate(traced.nodes) if traced.depends[i]]
        activations = [
            n.op.rstrip("_") for i, n in enumerate(traced.nodes) if traced.depends[i] and calls.activation_of(n)
        ]
        softmax = (
            ["softmax"]
            if {"softmax", "scaled_dot_product_attention", "multi_head_attention_forward"} & set(ops)
            else []
        )
        kinds = {type(m).__name__ for m in self.model.modules()}
        self.facts["activations"] = sorted({*activations, *softmax})
        self.facts["normalised"] = bool(set(NORMS) & set(ops)) or any("Norm" in kind for kind in kinds)
        self.facts["residual"] = any(_adds_streams(traced, i) for i in range(len(traced.nodes)))
        self.facts["depth"] = _depth(traced, applied)

    def _read_optimizer(self) -> float:
        if self.optimizer is None:
            return float("nan")
        # trainers wrap optimisers: what steps is inside
        name = type(getattr(self.optimizer, "optimizer", self.optimizer)).__name__
        self.facts["optimiser"] = name if name in OPTIMISERS else None
        self.facts["optimiser_class"] = name
        groups = _groups(self.optimizer)
        if not groups:
            return float("nan")
        momentum = groups[0].get("momentum")
        self.facts["momentum"] = None if momentum is None else float(momentum)
        rates = sorted({float(group["lr"]) for group in groups})
        self.facts["learning_rates"] = rates
        return float(groups[0]["lr"])


def _groups(optimizer: Any) -> list[Any]:
    """The groups of parameters that have a learning rate."""
    groups = getattr(optimizer, "param_groups", None)
    return [g for g in groups if "lr" in g] if isinstance(groups, list | tuple) else []


def _is_tensor(a: Any) -> bool:
    import torch

    return isinstance(a, torch.Tensor)


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_mapped(v, change) for v in value)
    if hasattr(value, "keys"):
        return {name: _mapped(value[name], change) for name in value}
    return change(value)


def _output(result: Any) -> Any:
    """The tensor that counts as f: the result, its `logits`, or the first tensor in it."""
    if hasattr(result, "logits"):
        return result.logits
    if hasattr(result, "keys") and "logits" in result:
        return result["logits"]
    found = tensors_in(dict(result) if hasattr(result, "keys") else result)
    if not found:
        raise ValueError(
            f"A model needs to return a tensor for the probe, or some with a tensor first: found {type(result).__name__}."
        )
    return found[0]


def _norm(p: Any) -> float:
    import torch

    p = p.detach()
    p = p.to_dense() if p.is_sparse else p
    p = torch.view_as_real(p.resolve_conj()) if p.is_complex() else p
    return float(torch.linalg.vector_norm(p, dtype=torch.float64))


def _largest(p: Any) -> float:
    from ..spectrum import largest_singular_value

    if p.ndim < 2 or not p.is_floating_point():
        return float("nan")
    return largest_singular_value(p.detach().double().cpu().numpy().reshape(len(p), -1))


def _adds_streams(traced: Any, i: int) -> bool:
    """Whether a call adds two things that both depend on the probe, or concatenates them: a residual or dense connection."""
    node = traced.nodes[i]
    if node.op not in ("add", "radd", "cat", "concat", "concatenate") or not traced.depends[i]:
        return False
    probe_too = [j for j in dict.fromkeys(node.inputs) if traced.depends[j]]
    return len(probe_too) > 1


def _depth(traced: Any, applied: dict[int, Any]) -> int:
    """The most weight layers that lie one after another on a way from the probe to an output."""
    count = [0] * len(traced.nodes)
    for i, node in enumerate(traced.nodes):
        before = max((count[j] for j in node.inputs), default=0)
        own = 2 if node.op == "multi_head_attention_forward" else int(i in applied)
        count[i] = before + own
    return max((count[i] for i in traced.outputs), default=0)
