"""One snapshot: what an adapter to a framework sees of a model at one moment."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..complexity import TAU
from .measures import measure
from .shown import Shown


class CannotLook(Exception):
    """Why a model is not looked at now, in words: looking would change its training."""


class Unfit(ValueError):
    """What was given to a watcher does not fit together, in words."""


@dataclass
class Seen:
    """A snapshot. Arrays [weights]; `layers` maps names of hidden layers to (kind, exact, measures); `asked`: whether hidden layers were looked for."""

    variation: float
    output: float
    probe_loss: float
    weight_norm: np.ndarray
    weight_largest: np.ndarray
    gradient_norm: np.ndarray
    learning_rate: float
    layers: dict[str, tuple[str, str, dict[str, float]]] = field(default_factory=dict)
    asked: bool = False


class AbstractModel(Protocol):
    """Somebody's model on a probe batch.

    `replaced`: names of weights that were other tensors at the last look than at the one before.

    `facts`: what is known of model and optimiser (see `recording.FACTS`). `names`, `shapes`, `frozen`: of its weights. `observe(params, layers)`: a snapshot,
    with the hidden layers where asked; `params` is what the user handed over, None where the model holds its own. `waiting`: why nothing can
    be seen yet, or None.
    """

    facts: dict
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    frozen: np.ndarray
    replaced: tuple[str, ...]

    def observe(self, params: object, *, layers: bool) -> Seen: ...

    def waiting(self) -> str | None: ...


def spread(outputs: np.ndarray) -> tuple[float, float]:
    """q and the root mean square of f, from outputs [probe, ...] in float64."""
    if outputs.size == 0:
        return np.nan, np.nan
    centred = outputs - outputs.mean(axis=0, keepdims=True)
    return float(np.sqrt(np.mean(centred**2))), float(np.sqrt(np.mean(outputs**2)))


def loss_of(outputs: np.ndarray, targets: np.ndarray | None) -> float:
    """Cross-entropy over the last axis for whole numbers, half the mean square (summed over outputs) for others; NaN without targets."""
    if targets is None:
        return np.nan
    if targets.dtype.kind in "iub" and targets.ndim == outputs.ndim - 1:
        logits = outputs.reshape(-1, outputs.shape[-1])
        top = logits.max(axis=1, keepdims=True)
        total = np.log(np.sum(np.exp(logits - top), axis=1)) + top[:, 0]
        labels = targets.reshape(-1)
        if logits.shape[-1] <= labels.max(initial=0) or targets.shape != outputs.shape[:-1]:
            raise Unfit(
                f"targets that are whole numbers are classes: found {list(targets.shape)} of them up to {labels.max(initial=0)} for outputs of shape "
                f"{list(outputs.shape)}. Give numbers of another kind, or criterion=."
            )
        at = labels >= 0  # -100 and its like mean "not asked"
        return (
            float(np.mean((total - logits[np.arange(len(labels)), np.where(at, labels, 0)])[at]))
            if at.any()
            else np.nan
        )
    if targets.size != outputs.size:
        raise Unfit(
            f"targets need the shape of the outputs, {list(outputs.shape)}, or classes as whole numbers, or criterion=: found shape {list(targets.shape)}."
        )
    return float(0.5 * np.sum((outputs - targets.reshape(outputs.shape)) ** 2) / len(outputs))


def reference_of(targets: np.ndarray | None) -> float:
    """Against what outputs count as small: the root mean square of the targets, summed over outputs; for classes, one unit of the logits."""
    if targets is None:
        return 0.0
    if targets.dtype.kind in "iub":
        return 1.0
    return float(np.sqrt(np.sum(np.asarray(targets, np.float64) ** 2) / max(len(targets), 1)))


def cross_entropy(targets: np.ndarray | None, criterion: object) -> bool | None:
    """Whether the probe's loss is cross-entropy; None where that is not known: of a criterion its name tells."""
    if criterion is not None:
        name = getattr(criterion, "__name__", type(criterion).__name__).lower().replace("_", "")
        return True if "crossentropy" in name else None
    return None if targets is None else targets.dtype.kind in "iub"


def slope_of(outputs: np.ndarray, targets: np.ndarray | None) -> float | None:
    """By how much the loss falls at f = 0 for each unit of q, if all of f lies along its slope; of the losses of `loss_of`. None without targets.

    q is a root mean square over outputs too: a sample's output has the length sqrt(outputs) q.
    """
    if targets is None or not outputs.size:
        return None
    if targets.dtype.kind in "iub":
        classes = outputs.shape[-1]
        return float(np.sqrt(classes - 1))
    wanted = np.asarray(targets, np.float64).reshape(len(targets), -1)
    per_sample = np.sum((wanted - wanted.mean(axis=0)) ** 2, axis=1)
    return float(np.sqrt(outputs[0].size * per_sample.mean()))


def measured(
    shown: list[Shown], outputs: np.ndarray, reference: float, epsilon: float
) -> dict[str, tuple[str, str, dict]]:
    """Every layer's measures by name. Where the outputs vary by no more than tau of `reference`, no layer needs a unit."""
    varies = float(np.sqrt(np.sum((outputs - outputs.mean(axis=0, keepdims=True)) ** 2) / max(len(outputs), 1)))
    origin = reference > 0 and varies <= TAU * reference
    found = {}
    for layer in shown:
        name, n = layer.name, 2
        while name in found:
            name, n = f"{layer.name} ({n})", n + 1
        values = measure(layer, reference=reference if layer.last else 0.0, epsilon=epsilon, origin=origin)
        found[name] = (layer.kind, layer.exact, values)
    return found
