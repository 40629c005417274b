"""What the stage ends really are: a tight solve by SciPy, cross-checked by another of ours with other code for everything."""

from dataclasses import dataclass

import numpy as np

from contenders import DOP853, error_of, read_curve
from saddlescope.flow import gradient_flow
from saddlescope.series import find_plateaus

#: Of small problems; large ones are solved to LARGE_RTOL, for both solves cost minutes there.
RTOL = 1e-12
LARGE_RTOL = 1e-9
#: Kinks make the last digits of a tolerance expensive, and an absolute tolerance below 1e-12 of the scale stalls there.
KINKED_RTOL = 1e-12
#: The two solves must agree to this; a tenth of it is the tightest error that contenders are compared at.
AGREEMENT = 1e-7
#: Contenders stop this much after the last stage end, relative to it.
MARGIN = 1.05


@dataclass(frozen=True)
class Reference:
    """Levels of the loss and when it falls through them.

    - `levels`: midway between the losses at neighbouring slowest points; the last is midway to the final loss.
    - `ends`: times, by SciPy's DOP853. `error`: the largest relative difference from ours.
    - `until`: when contenders stop.
    """

    levels: np.ndarray
    ends: np.ndarray
    error: float
    until: float


def reference(problem) -> Reference:
    """**Raises:** `RuntimeError` where the two solves disagree: the problem is no yardstick then."""
    facts = problem.network.lenses()[0].facts
    rtol = LARGE_RTOL if not problem.has_hessian() else KINKED_RTOL if facts.kinks else RTOL
    form = problem.forms[-1]
    run = gradient_flow(problem.network, problem.objective(form), until=problem.until, rtol=rtol, keep_states=False)
    heights = np.array([p.loss for p in find_plateaus(run.t, run.loss, run.speed)] + [run.loss[-1]])
    levels = (heights[1:] + heights[:-1]) / 2
    ours = read_curve(run.t, run.loss, run.speed, levels)
    theirs = DOP853().solver(problem, form)(rtol, problem.until, levels).ends
    error = error_of(ours, theirs)
    if not error < AGREEMENT:
        raise RuntimeError(
            f"{problem.title}: two independent tight solves differ by {error:.1e} in a stage end, more than {AGREEMENT:g}."
        )
    return Reference(levels, theirs, error, float(MARGIN * theirs[-1]))
