"""A model may be asked what it computes without its training noticing: every mode, buffer, attribute and random number is as it was afterwards."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from .held import Held

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
def untouched(model: Any, *others: Any) -> Iterator[None]:
    """Evaluation mode without gradients, compilation or autocast; afterwards the state is bit for bit what it was.

    What the model holds is put back (see `Held`: parameters, gradients, buffers, attributes, containers, generators, helper objects), what `others` hold too, and
    the random states of Python, NumPy and PyTorch (CPU, and GPU where it is in use). **Not** undone: changes of global variables and of attributes of
    classes, of files, and inside objects that only other code can reach.

    **Raises:** `CannotLook`, before anything is done, where something that the model holds cannot be put back.
    """
    import torch

    states = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002, the users' own
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    device = next((p.device.type for p in model.parameters()), "cpu")
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(device, enabled=False))
        if hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        held = Held(model, list(model.parameters()), list(model.buffers()), *others)
        try:
            for m in model.modules():
                m.__dict__["training"] = False
            yield
        finally:
            held.put_back()
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])
            if on_gpu is not None:
                torch.cuda.set_rng_state_all(on_gpu)
