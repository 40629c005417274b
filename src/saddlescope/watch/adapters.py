"""Which adapter a model needs: that of PyTorch or that of JAX; and how its weights changed between two looks, in words."""

import sys
from typing import Any

from .seen import AbstractModel, CannotLook, Unfit


def adapter(model: Any, probe: Any, targets: Any, optimizer: Any, criterion: Any) -> AbstractModel:
    """The model on its probe.

    **Raises:** `ValueError` where the model cannot compute the probe, or targets, criterion and optimiser do not fit it.
    """
    if hasattr(model, "named_parameters") and hasattr(model, "modules"):
        from .modules.model import WRONG, TorchModel

        made: AbstractModel = TorchModel(model, probe, targets, optimizer, criterion)
        if made.waiting() is None:
            try:
                made.observe(layers=False)
            except (Unfit, CannotLook) as error:
                if isinstance(error, Unfit):
                    raise
            except WRONG as error:
                raise ValueError(
                    f"Watcher needs a probe that the model can compute: it failed with {type(error).__name__}: {first_line(error)}."
                ) from error
        return made
    if callable(model):
        from .trees import TreeModel

        return TreeModel(model, probe, targets, optimizer, criterion)
    raise ValueError(
        f"Watcher needs a torch.nn.Module, or a function apply(params, x): found a {type(model).__name__}. In JAX hand over the weights at "
        "each step: watcher(step, loss, params)."
    )


def wait_for(params: Any) -> None:
    """Until all that was asked of an accelerator is there: of weights in JAX, or of the device of PyTorch."""
    jax, torch = sys.modules.get("jax"), sys.modules.get("torch")
    if params is not None and jax is not None:
        jax.block_until_ready([a for a in jax.tree.leaves(params) if hasattr(a, "block_until_ready")])
    elif torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def changes(model: AbstractModel, step: int, names: tuple, shapes: tuple) -> list[str]:
    """What there is to say of weights that are others than `names` and `shapes` of the look before."""
    said = []
    new = [name for name in model.replaced if name in names]
    if new:
        more = f" and {len(new) - 3} more" if len(new) > 3 else ""
        said.append(
            f"weights were replaced before step {step}: {', '.join(new[:3])}{more} are other tensors than at the look before"
        )
    if names and (model.names, model.shapes) != (names, shapes):
        said.append(
            f"at step {step} the model has other weights or shapes than before: {difference(names, shapes, model.names, model.shapes)}"
        )
    return said


def difference(names: tuple, shapes: tuple, new_names: tuple, new_shapes: tuple) -> str:
    """Which weights are gone, new or of another shape, the first three."""
    before, now = dict(zip(names, shapes, strict=True)), dict(zip(new_names, new_shapes, strict=True))
    found = [f"{n} is gone" for n in before if n not in now] + [f"{n} is new" for n in now if n not in before]
    found += [f"{n} is {list(now[n])} and was {list(before[n])}" for n in now if n in before and now[n] != before[n]]
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "") or "in another order"


def first_line(error: BaseException) -> str:
    """Of an error's message, bounded."""
    return (str(error).strip().split("\n") or [""])[0][:300]
