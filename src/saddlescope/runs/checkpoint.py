"""Going on with an interrupted run: the state of the integrator travels inside the record."""

from pathlib import Path

import numpy as np

from ..specs import as_tables
from .files import load
from .prepare import Problem
from .provenance import spec_of

PREFIX = "checkpoint_"
#: Ends of a gradient flow after which there is something to go on with.
RESUMABLE = ("interrupted", "max_steps", "on_plateau")


def checkpoint_variables(checkpoint: dict[str, np.ndarray]) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """The arrays of a checkpoint as variables of a record, each with dimensions of its own."""
    variables = {}
    for name, value in checkpoint.items():
        value = np.asarray(value)
        if value.dtype == bool:
            value = value.astype(np.int8)
        dims = tuple(f"{PREFIX}{name}_{axis}" for axis in range(value.ndim))
        variables[PREFIX + name] = (dims, value)
    return variables


def read_checkpoint(directory: Path, problem: Problem) -> dict[str, np.ndarray]:
    """The checkpoint that an interrupted run of the same spec left in a directory.

    **Raises:** `ValueError` where the run there was of another spec (more `max_steps` are allowed), or has nothing left to do.
    """
    record = load(directory)
    before, now = spec_of(record), as_tables(problem.spec, problem.task)
    for tables in (before, now):
        tables["flow"].pop("max_steps", None)
    if before != now:
        changed = [f"[{t}] {k}" for t in now for k in {*now[t], *before[t]} if now[t].get(k) != before[t].get(k)]
        raise ValueError(
            f"resume needs the spec that the run in {directory} was started with: {', '.join(sorted(changed))} differ. "
            "Run it without --resume, or in another directory."
        )
    saved = {str(name)[len(PREFIX) :]: value.values for name, value in record.items() if str(name).startswith(PREFIX)}
    if not saved:
        raise ValueError(
            f"The run in {directory} has nothing to go on with: it ended as {record.attrs['ended']!r}. Only "
            "interrupted gradient flows, and those that used up max_steps, can be resumed."
        )
    saved["failed"] = saved["failed"].astype(bool)
    return saved
