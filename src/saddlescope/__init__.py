"""An instrument for saddle-to-saddle training dynamics: simulate them, see which saddle a run sits on, count its units.

Everything is imported when it is first used, so that `import saddlescope` costs nothing and starts no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .results import RESULTS, ComputationError
    from .runs import cause, load, predict, run, save, summarize
    from .specs import Spec, SpecError, read_spec
    from .watch import Watcher

__all__ = [
    "RESULTS",
    "ComputationError",
    "Spec",
    "SpecError",
    "Watcher",
    "__version__",
    "cause",
    "load",
    "predict",
    "read_spec",
    "run",
    "save",
    "summarize",
]

# name -> the room that it comes from
_NAMES = {
    "RESULTS": "results",
    "ComputationError": "results",
    "Spec": "specs",
    "SpecError": "specs",
    "Watcher": "watch",
    "read_spec": "specs",
    "cause": "runs",
    "load": "runs",
    "predict": "runs",
    "run": "runs",
    "save": "runs",
    "summarize": "runs",
}

# in reading order
_ROOMS = (
    "results",
    "specs",
    "integrate",
    "series",
    "units",
    "networks",
    "tasks",
    "objective",
    "init",
    "flow",
    "embeddings",
    "manifolds",
    "complexity",
    "fixed_points",
    "stages",
    "theory",
    "runs",
    "plots",
    "watch",
    "experiments",
)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
    elif name in _ROOMS:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
