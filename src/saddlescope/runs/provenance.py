"""How a result was made."""

import datetime
import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import xarray as xr

from .prepare import Problem


def provenance(problem: Problem, rtol: float | None, began: datetime.datetime) -> dict[str, Any]:
    """Version, commit, seeds, number type, tolerances, device and time of a run."""
    import jax

    device = jax.devices()[0]
    spec = problem.spec
    return {
        "version": metadata.version("saddlescope"),
        "commit": _commit(),
        "seed": getattr(spec.init, "seed", None),
        "task_seed": getattr(problem.task, "seed", None),
        "dtype": "float64",
        "rtol": rtol,
        "atol": "rtol x root mean square of each weight array at t = 0" if rtol is not None else None,
        "psi": problem.objective.psi_name,
        "rows": int(problem.objective.y.shape[0]),
        "device": f"{device.platform}: {device.device_kind}",
        "time": began.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in ("jax", "jaxlib", "equinox", "numpy", "scipy")},
    }


def spec_of(record: xr.Dataset) -> dict[str, Any]:
    """The resolved spec that a record was made from."""
    return json.loads(record.attrs["spec"])


def _commit() -> str | None:
    """The commit of the source tree that this code runs from, with "+" if it has been changed; None when installed."""
    here = Path(__file__).resolve().parent
    root = next((p for p in here.parents if (p / ".git").exists() and (p / "src" / "saddlescope").is_dir()), None)
    if root is None:
        return None
    try:
        ask = {"cwd": root, "capture_output": True, "text": True, "timeout": 5, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **ask).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], **ask).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")
