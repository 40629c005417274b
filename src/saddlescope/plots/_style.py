"""How every picture looks, in one place: colours that colour-blind readers tell apart (Okabe & Ito 2008), letters that
survive being printed small, and labels that carry their units.

The style is applied around building and around drawing, and taken off again: a figure looks the same whatever style the
user's session has, and the user's session never sees ours.
"""

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, INK, GREY = "#CC79A7", "#56B4E9", "#1A1A1A", "#6B6B6B"
OCHRE = "#8A5F00"  # orange for letters: dark enough to read
LAYERS = (GREEN, PURPLE, ORANGE, SKY, BLUE, VERMILLION)
SHADES = ("#E3EDF5", "#F3F0E4")  # plateaus, alternating so that neighbours can be told apart
SIGNED = "RdBu_r"  # for signed weights, white at zero

T_LABEL, LOSS_LABEL, SPEED_LABEL = "t  (learning rate x steps)", "loss", "speed |grad L|"
NORMALISED_LABEL = "loss / loss(0)"

FONT = "DejaVu Sans"  # comes with matplotlib, so it is there without a system font
STYLE: dict[Any, Any] = {
    "font.family": [FONT],
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "pdf.fonttype": 42,  # letters stay letters in the file: searchable, and accepted by journals
}

_drawing = threading.RLock()  # rcParams are one per process: two of our own drawings must not restore each other's


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Our style on matplotlib's defaults inside, the user's settings again after (the backend is never touched)."""
    with _drawing, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


class StyledFigure(Figure):
    """A figure that is drawn in our style even if drawn later, by the user: matplotlib makes tick labels only then."""

    def draw(self, renderer):
        with styled():
            super().draw(renderer)


def new_figure(width: float, height: float, *, dpi: float = 100.0, constrained: bool = True) -> StyledFigure:
    """An empty figure of `width` x `height` inches on an Agg canvas; `constrained`: axes find their places at drawing."""
    layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05, wspace=0.04, hspace=0.02) if constrained else None
    figure = StyledFigure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def blank(ax: Axes) -> None:
    """No ticks, and a thin closed frame: for images and scatters."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.6)
        spine.set_edgecolor("#B8B8B8")


@cache
def _drawable(character: str) -> bool:
    return bool(_font().get_char_index(ord(character)))


@cache
def _font() -> ft2font.FT2Font:
    return ft2font.FT2Font(font_manager.findfont(FONT))


def plain(text: object, longest: int = 100) -> str:
    """Somebody else's text as it stands: no mathematics between dollars, one line, at most `longest` characters, and
    a box for each letter that the font lacks (matplotlib would warn)."""
    line = " ".join(str(text).split())
    if len(line) > longest:
        line = line[: longest - 1] + "…"
    line = "".join(character if _drawable(character) else "□" for character in line)
    return line.replace("$", r"\$")


def count(number: int, noun: str) -> str:
    """A number of things: "1 unit", "2 units"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def number(value: float) -> str:
    """Three digits, written as a reader writes them: 0.00123, 12.3, 1.2e−5."""
    text = f"{value:.3g}"
    if value and abs(value) < 1e-3:
        text = f"{value:.2e}"  # shorter than zeros
    mantissa, _, exponent = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return (f"{mantissa}e{int(exponent)}" if exponent else mantissa).replace("-", "\N{MINUS SIGN}")


def log_ticks(axis: Any, smallest: float, largest: float) -> None:
    """Labels of a logarithmic axis that do not run into one another: decades, thirds of them where there are fewer than two, and a few more where there is less than one."""
    if smallest > 0 and largest < 100 * smallest:
        # written out: matplotlib's locator takes every tenth where it finds fewer than two of those it was told
        subs = (1.0, 2.0, 3.0, 5.0) if largest < 10 * smallest else (1.0, 3.0)
        first, last = int(np.floor(np.log10(smallest))) - 1, int(np.ceil(np.log10(largest))) + 1
        axis.set_major_locator(FixedLocator([sub * 10.0**k for k in range(first, last + 1) for sub in subs]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())
