"""A model may be asked what it computes without its training noticing: every mode, buffer, attribute and random number is as it was afterwards."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel")


def unwrapped(model: Any) -> Any:
    """The model inside torch.compile, DDP and their like: calling those would compile again, or wait for other processes."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif type(model).__name__ in WRAPPERS and hasattr(model, "module"):
            model = model.module
        else:
            return model


@contextlib.contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients, compilation or autocast; afterwards the state is bit for bit what it was.

    Buffers are copies inside, so that what updates them in place updates copies; attributes that modules set are put back; the random states of Python,
    NumPy and PyTorch (CPU, and GPU where it is in use) are put back. **Not** undone: what hooks and modules do outside their own
    attributes, such as appending to a list.
    """
    import torch

    modules = list(model.modules())
    attributes = [dict(m.__dict__) for m in modules]
    buffers = [dict(m._buffers) for m in modules]
    states = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002, the users' own
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    copies: dict[int, Any] = {}
    device = next((p.device.type for p in model.parameters()), "cpu")
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(device, enabled=False))
        if hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            for m in modules:
                for name, buffer in m._buffers.items():
                    if buffer is not None:
                        m._buffers[name] = copies.setdefault(id(buffer), buffer.detach().clone())
                m.__dict__["training"] = False
            yield
        finally:
            for m, before, held in zip(modules, attributes, buffers, strict=True):
                for name in [name for name in m.__dict__ if name not in before]:
                    del m.__dict__[name]
                m.__dict__.update(before)
                for name in [name for name in m._buffers if name not in held]:
                    del m._buffers[name]
                m._buffers.update(held)
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])
            if on_gpu is not None:
                torch.cuda.set_rng_state_all(on_gpu)
