"""The command `saddlescope`: a thin door to the other rooms, with exit codes and one-line errors."""

from ._main import main as main
