"""Loss above and singular values of the first layer below, on one time axis: which of them grows at which drop."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from . import _style

#: Fewer kept states than this are shown as points: the lines between them are no measurement.
FEW = 30
LINES = (("first", _style.BLUE, "-"), ("second", _style.VERMILLION, "--"), ("third", _style.GREEN, ":"))


class Drops(NamedTuple):
    """A curve, and at `kept_t` the largest singular values [times, up to 3]."""

    t: np.ndarray
    loss: np.ndarray
    kept_t: np.ndarray
    singular: np.ndarray


def drops(panels: Mapping[str, Drops], columns: int = 3) -> Figure:
    """Draws each run: its loss, and the singular values of U below.

    **Returns:** a matplotlib `Figure`.

    **Raises:** `ValueError` if there is no panel.
    """
    if not panels:
        raise ValueError("drops needs at least one panel: the dictionary it was given is empty.")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    with _style.styled():
        figure = _style.new_figure(max(2.5 * columns, 3.2), 3.1 * rows + 0.2)
        axes = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[1.0, 1.0] * rows)
        for ax in axes.ravel():
            ax.set_visible(False)
        for number, (title, one) in enumerate(panels.items()):
            row, column = divmod(number, columns)
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            above.plot(one.t, one.loss, color=_style.BLUE, linewidth=1.4)
            above.set_title(_style.plain(title, 40))
            above.set_ylim(0.0, None)
            for k, (label, colour, dashes) in enumerate(LINES[: one.singular.shape[1]]):
                marks = {"marker": "o", "markersize": 3.0} if len(one.kept_t) < FEW else {}
                below.plot(one.kept_t, one.singular[:, k], dashes, color=colour, linewidth=1.3, label=label, **marks)
            for ax in (above, below):
                ax.set_visible(True)
                ax.set_xlim(float(one.t[0]), float(one.t[-1]))
            above.tick_params(labelbottom=False)
            below.set_xlabel(_style.T_LABEL)
            if column == 0:
                above.set_ylabel(_style.LOSS_LABEL)
                below.set_ylabel("singular values of U")
            if number == 0:
                below.legend(loc="upper left", handlelength=2.0)
    return figure
