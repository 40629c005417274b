"""From a spec to everything a run needs: task, network with its initial weights, and objective."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..init import INITS
from ..networks import AbstractNetwork, build, form
from ..objective import Objective
from ..objective import build as objective_of
from ..specs import Spec
from ..tasks import TASKS, AbstractTask, PopulationMoments


class Problem(NamedTuple):
    """A spec made ready: `network` has its initial weights."""

    spec: Spec
    task: AbstractTask
    network: AbstractNetwork
    objective: Objective


def prepare(spec: Spec) -> Problem:
    """Reads files, draws what is random and checks that everything fits.

    **Raises:** `ValueError` (`SpecError` among them) where the parts do not fit, `DataError` for bad content, `OSError` for files.
    """
    task = spec.read_task(TASKS)
    options = options_of(spec.network)
    architecture = spec.network.architecture
    data = task.data(form(architecture, options))
    if isinstance(data, PopulationMoments):
        shape, outputs = tuple(data.input_shape), data.outputs
    else:
        shape, outputs = data.x.shape[1:], data.y.shape[1]
    with _modules_beside(spec):
        empty = build(architecture, shape, outputs, options)
    network = INITS[spec.init.kind](empty, **options_of(spec.init))
    return Problem(spec, task, network, objective_of(data, network))


@contextlib.contextmanager
def _modules_beside(spec: Spec) -> Iterator[None]:
    """A user's unit is looked for beside the spec first, as files are; beside nothing, in the current directory."""
    folder = str(Path(spec.source.name).absolute().parent) if spec.source is not None else str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def options_of(part: Any) -> dict[str, Any]:
    """The options of a part of a spec as keyword arguments of what it names; its layers, where it has some, as tables."""
    chosen = {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.init}
    return {key: _plain(value) for key, value in chosen.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list) and value and dataclasses.is_dataclass(value[0]):
        return [{"architecture": layer.architecture} | options_of(layer) for layer in value]
    return np.asarray(value).tolist() if isinstance(value, tuple) else value
