r"""Figure 2: what makes plateaus long, in a linear network and in linear attention: width, spectrum, where the weights start.

**Setting.** Three modes with $s_n \propto n^{-\kappa}$, $\sum s_n = 1$: singular values of a linear teacher with white inputs (3-H-3), eigenvalues of the inputs' covariance in in-context
regression (heads with separate key and query of rank 1, 31 context tokens, cubic features), both with their exact population loss. A plateau's *duration* is the time between two *ends*; an end is the time at which the loss falls
through the middle between the exact losses of two neighbouring saddles. *Theory's line* is `saddlescope predict` from the same data and initial weights, without simulation.

- **A**, width (8 to 128, $\kappa = 1$). 256 seeds a width of the linear network, 32 of attention (two widths and fewer when quick); slopes of the logarithm of duration over that of width, one a seed, their mean with its 95%
    interval (Student). Those of the linear network are held against its closed form, to 15 or 20% of it.
- **B**, $\kappa$ (0 to 1.5), 16 units.
- **C**, a large part (norm 2 in each layer) on a manifold: of rank one in the linear network, of one head in attention; small normal weights beside it; with the sign of the first mode on both sides (linear), or of its target (attention).
- **D**, scale of normal initial weights, 16 units.

Scales are 1e-6 (linear) and 1e-3 (attention; 1e-2 in A) where one weight's standard deviation is meant (`convention = "weight"`); with `"layer"` the scale is divided by the square root of the number of weights in
each layer.

**Found.** *Width* has the effect that the paper's sentence says only in part, and in neither convention in whole. Theory: a linear network's plateau k ends at $t_k = [\ln(2 s_k/(\lambda_k |c_k|^2)) + \ln(\sqrt2 - 1)]/(2 s_k)$
with $|c_k|^2 \approx (H - k + 1)\epsilon^2$, for a later mode cannot grow along the directions among the units that earlier ones have taken: width takes about $\ln H/(2 s_k)$ off, whatever the scale, which is little beside a long plateau and much
beside a short one. With a fixed standard deviation of each weight the linear network's plateaus shorten by 3 to 4% when the width doubles at 1e-6 (slopes of -0.045, -0.051, -0.056, theory's to 4%), but by 15% at 1e-2 (-0.24), more than those of attention
(-0.14). Divided by the square root of the layer's size, the linear network hardly feels width ($H\epsilon^2$ is constant), while attention's plateaus grow
*longer*: the gain of the luckiest head among more is less than the loss of size of each. So five claims that follow the sentence are expected to fail: they are findings, and outcomes of claims are never edited.

One more fails when all seeds are run: one of 640 runs of attention ends further than 2% from theory's line (3.6%; the median is 8e-6).

*Equal modes* ($\kappa = 0$) are claimed of scales of 1e-4 and 1e-3 (attention). From 1e-3 and 1e-2 the exponent of the third plateau was -0.92, -1.00 to -0.85: in 3 of 16 seeds two heads take their turn in so short a time that at 1e-2 it is mostly the drop itself, and the mean over seeds
told neither one over the scale nor anything else.

A smaller $\kappa$ shortens the later plateaus, but lengthens the first, for the sum of the $s_n$ is fixed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from .. import plots
from . import _figure_2_claims as claims_of
from . import _figure_2_width as width_of
from . import _rows
from ._base import Claim, Outcome, Progress, expecting
from ._figure_2_sweeps import FORETOLD, FULL, NETWORKS, QUICK, Sweep, measure
from ._three_modes import ATTENTION, LINEAR, Setting, saddle_losses

NAME = "figure-2"
TITLE = "Figure 2: what makes plateaus long: width, spectrum, where the weights start"

#: (panel, claim) that fail with all seeds, besides those that say so themselves.
FAILS = {("theory: attention", "error")}


def reproduce(out: Path, quick: bool, progress: Progress) -> Outcome:
    """Runs the four panels for both networks, fits the slopes, checks each claim and draws curves and durations."""
    out.mkdir(parents=True, exist_ok=True)
    plan = QUICK if quick else FULL
    sweeps = measure(plan, progress)
    claims = judge(sweeps, plan.width_plateaus)
    claims = claims if quick else expecting(claims, FAILS)
    pictures = [
        *plots.save(plots.curve_families(_families(sweeps)), out / NAME),
        *plots.save(plots.measured_lines(_lines(sweeps)), out / f"{NAME}-durations"),
    ]
    directory = out / NAME
    directory.mkdir(exist_ok=True)
    _dataset(sweeps).to_netcdf(directory / "durations.nc", engine="h5netcdf")
    seeds = f"{plan.width_seeds[LINEAR]} and {plan.width_seeds[ATTENTION]} for each width of the two networks"
    setting = f"{plan.seeds} seeds, {seeds}, {plan.start_seeds} in C{' (quick)' if quick else ''}.\n\n{__doc__}"
    return Outcome(claims, pictures, _table(sweeps), setting, files=[directory / "durations.nc"])


def judge(sweeps: Sequence[Sweep], width_plateaus: int = 3) -> list[Claim]:
    """Every claim of the figure; `width_plateaus` as in `Plan`."""
    found = {(s.panel, s.network, s.convention): s for s in sweeps}
    return [
        *width_of.width(NAME, found, width_plateaus),
        *claims_of.kappa(NAME, found),
        *claims_of.manifold(NAME, found),
        *claims_of.scale(NAME, found),
        *claims_of.theory(NAME, sweeps),
    ]


def _families(sweeps: Sequence[Sweep]) -> dict[str, list[plots.CurveFamily]]:
    titles = {"A": "A  width", "B": "B  kappa", "C": "C  large part on a manifold", "D": "D  initial scale"}
    rows: dict[str, list[plots.CurveFamily]] = {network: [] for network in NETWORKS}
    for sweep in sweeps:
        if sweep.panel not in titles or sweep.convention != "weight":
            continue
        curves = [(value, run.t, run.loss) for value, run in zip(sweep.values, sweep.runs[0], strict=True)]
        log = sweep.network == ATTENTION
        heights = [] if sweep.panel == "B" else saddle_losses(sweep.network, 1.0)[:-1].tolist()
        rows[sweep.network].append(plots.CurveFamily(titles[sweep.panel], curves, heights, log))
    return rows


def _lines(sweeps: Sequence[Sweep]) -> list[list[plots.LinePanel]]:
    words = {"A": "width", "B": "kappa", "D": "initial scale"}
    panels = {(network, panel): [] for network in NETWORKS for panel in words}
    for sweep in sweeps:
        if sweep.panel not in words:
            continue
        # the seeds of which theory is asked; and the laws are of plateaus that are there
        durations, predicted = sweep.durations[:FORETOLD], sweep.predicted[:FORETOLD]
        shown = np.array([[run.seen for run in row] for row in sweep.runs[:FORETOLD]])
        for k in range(durations.shape[2]):
            panels[sweep.network, sweep.panel].append(
                plots.MeasuredLine(
                    f"plateau {k + 1}",
                    sweep.values,
                    np.where(shown[:, :, k], durations[:, :, k], np.nan),
                    np.where(shown[:, :, k], predicted[:, :, k], np.nan),
                    k,
                    sweep.convention == "layer",
                )
            )
    return [
        [
            plots.LinePanel(f"{network}: {words[panel]}", words[panel], panel != "B", panels[network, panel])
            for panel in words
        ]
        for network in NETWORKS
    ]


def _table(sweeps: Sequence[Sweep]) -> str:
    head = (
        "panel",
        "network",
        "convention",
        "value",
        "plateaus: mean",
        *(f"duration {k}" for k in (1, 2, 3)),
        "theory 1",
        "theory 2",
        "theory 3",
    )
    rows = [head]
    for sweep in sweeps:
        durations, predicted = sweep.durations, sweep.predicted
        for j, value in enumerate(sweep.values):
            middle = [f"{np.median(durations[:, j, k]):.5g}" for k in range(3)]
            known = [predicted[:, j, k] for k in range(3)]
            line = ["-" if np.all(np.isnan(p)) else f"{np.nanmedian(p):.5g}" for p in known]
            count = f"{np.mean(sweep.counts[:, j]):.2f}"
            rows.append((sweep.panel, sweep.network, sweep.convention, f"{value:g}", count, *middle, *line))
    return f"Medians over seeds; theory's over those that it foretells.\n\n{_rows.aligned(rows)}"


def _dataset(sweeps: Sequence[Sweep]) -> xr.Dataset:
    """All durations and ends of theory, a row a run."""
    runs_of = [(sweep, run) for sweep in sweeps for row in sweep.runs for run in row]
    columns = {
        "panel": np.array([sweep.panel for sweep, _ in runs_of], dtype=object),
        **{
            name: np.array(
                [getattr(run.setting, name) for _, run in runs_of],
                dtype=object if name in ("network", "convention") else None,
            )
            for name in Setting._fields
        },
        "plateaus": np.array([run.plateaus for _, run in runs_of]),
    }
    variables = {name: ("run", values) for name, values in columns.items()}
    units = {"units": "learning rate x steps"}
    variables["end"] = (("run", "plateau"), np.array([run.ends for _, run in runs_of]), units)
    variables["predicted_end"] = (("run", "plateau"), np.array([run.predicted for _, run in runs_of]), units)
    return xr.Dataset(variables, attrs={"title": TITLE})
