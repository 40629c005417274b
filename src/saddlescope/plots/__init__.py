"""Pictures of a run: a record goes in, a figure comes out, and nothing is computed on the way except scales and
projections for display. What a picture says is therefore exactly what the record says.

Drawing uses matplotlib's objects and its Agg canvas only: no window, no LaTeX, no `pyplot`, and neither the user's
backend nor the user's `rcParams` is changed.
"""

from ._animate import animate
from ._conjecture import Parted, parted
from ._curve_families import CurveFamily, curve_families
from ._drops import Drops, drops
from ._exponents import PowerLaw, power_laws
from ._figure_1 import figure_1
from ._figure_4 import Curve, Map, curves_and_maps
from ._figure_6 import overlaid
from ._measured_lines import LinePanel, MeasuredLine, measured_lines
from ._run import run_figure
from ._save import save
from ._scoreboard import ScoredEnd, scoreboard
from ._strips import Strip, strips
from ._watch import WatchView, watch_panels

__all__ = [
    "Curve",
    "CurveFamily",
    "Drops",
    "LinePanel",
    "Map",
    "MeasuredLine",
    "Parted",
    "PowerLaw",
    "ScoredEnd",
    "Strip",
    "WatchView",
    "animate",
    "curve_families",
    "curves_and_maps",
    "drops",
    "figure_1",
    "measured_lines",
    "overlaid",
    "parted",
    "power_laws",
    "run_figure",
    "save",
    "scoreboard",
    "strips",
    "watch_panels",
]
