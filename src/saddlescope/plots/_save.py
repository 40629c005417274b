"""Figures to files that are the same bytes when made again: no dates inside, so that a changed file is a changed
picture."""

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from . import _style


def save(figure: Figure, stem: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Writes `stem`.png (200 dots per inch) and `stem`.pdf, and returns their paths.

    **Arguments:** `stem`, a path without its ending, in a directory that exists.

    **Raises:** `OSError` if a file cannot be written.
    """
    png, pdf = Path(f"{os.fspath(stem)}.png"), Path(f"{os.fspath(stem)}.pdf")
    look: dict[str, Any] = {"facecolor": "white", "edgecolor": "none"}
    with _style.styled():
        figure.savefig(png, format="png", dpi=200, metadata={"Software": "saddlescope"}, **look)
        figure.savefig(pdf, format="pdf", metadata={"Creator": "saddlescope", "CreationDate": None}, **look)
    return png, pdf
