"""On what it was measured: processor, cores, versions; no paths and no names of machines."""

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("saddlescope", "jax", "jaxlib", "numpy", "scipy", "diffrax", "torch", "torchdiffeq")


def about() -> dict:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
