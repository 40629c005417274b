"""Figures to files that are the same bytes when made again: no dates inside, so that a changed file is a changed
picture."""

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from . import _style


def save(
    figure: Figure, stem: str | os.PathLike[str], formats: tuple[str, ...] = ("png", "pdf"), dpi: int = 200
) -> tuple[Path, ...]:
    """Writes `stem`.png and `stem`.pdf, and returns their paths.

    **Arguments:**

    - `stem`: a path without its ending, in a directory that exists.
    - `formats`: which of the two, in this order.
    - `dpi`: dots per inch of the PNG.

    **Raises:** `OSError` if a file cannot be written.
    """
    options: dict[str, dict[str, Any]] = {
        "png": {"dpi": dpi, "metadata": {"Software": "saddlescope"}},
        "pdf": {"metadata": {"Creator": "saddlescope", "CreationDate": None}},
    }
    paths = tuple(Path(f"{os.fspath(stem)}.{name}") for name in formats)
    with _style.styled():
        for name, path in zip(formats, paths, strict=True):
            figure.savefig(path, format=name, facecolor="white", edgecolor="none", **options[name])
    return paths
