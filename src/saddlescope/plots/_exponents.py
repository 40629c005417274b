"""A power law and how well it holds: what is left over against the scale, a line a seed, and the slope that theory gives."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from . import _style

#: An axis spans at least this factor.
LEAST = 3.0


class PowerLaw(NamedTuple):
    """`sizes` [seeds][scales], with the measured exponent, its interval, and the exponent of theory."""

    scales: Sequence[float]
    sizes: Sequence[Sequence[float]]
    measured: float
    interval: tuple[float, float]
    theory: float


def power_laws(panels: Mapping[str, PowerLaw], label: str, *, columns: int = 4) -> Figure:
    """Draws each law on logarithmic axes: a thin line a seed, and a dashed one with the slope of theory through their middle.

    **Arguments:** `panels`: title to law. `label`: of what is drawn upwards.

    **Returns:** a matplotlib `Figure`.

    **Raises:** `ValueError` if there is no panel.
    """
    if not panels:
        raise ValueError("power_laws needs at least one panel: the dictionary it was given is empty.")
    rows, columns = -(-len(panels) // columns), min(columns, len(panels))
    with _style.styled():
        figure = _style.new_figure(max(2.2 * columns, 3.2), 2.3 * rows + 0.1)
        axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
        for ax, (title, law) in zip(axes, panels.items(), strict=False):
            scales = np.asarray(law.scales, float)
            for sizes in law.sizes:
                ax.plot(scales, sizes, color=_style.BLUE, linewidth=0.6, alpha=0.6)
            middle = np.exp(np.mean(np.log(np.asarray(law.sizes, float))))
            line = middle * (scales / np.exp(np.mean(np.log(scales)))) ** law.theory
            ax.plot(scales, line, "--", color=_style.VERMILLION, linewidth=1.2)
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xlabel("initial scale")
            _style.log_ticks(ax.xaxis, scales.min(), scales.max())
            low, high = ax.get_ylim()
            if high < LEAST * low:  # lines that lie flat: room about them, so that the axis has numbers
                low, high = low / LEAST**0.5, high * LEAST**0.5
                ax.set_ylim(low, high)
            _style.log_ticks(ax.yaxis, low, high)
            words = f"slope {law.measured:.4f} [{law.interval[0]:.4f}, {law.interval[1]:.4f}]\ntheory {law.theory:.4f}"
            ax.set_title(f"{_style.plain(title, 40)}\n{words}", fontsize=6.5)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        for ax in axes[::columns]:
            ax.set_ylabel(label)
    return figure
