"""The record of a run: an `xarray.Dataset` with named dimensions, units in attributes and everything that summary.json says."""

import datetime
import json
import math
from typing import Any

import numpy as np
import xarray as xr

from ..complexity import TAU, effective_width
from ..flow import Trajectory
from ..networks import AbstractNetwork
from ..series import PlateauConstants
from ..specs import as_tables
from ..stages import End, Stage, as_json
from ..theory import stage_as_json
from .checkpoint import RESUMABLE, checkpoint_variables
from .expected import Expected, beside
from .prepare import Problem
from .provenance import provenance

SCHEMA = "saddlescope.run/1"
TIME = "learning rate x steps"
LOSS = "1/2 mean squared error"
SPEED = "|gradient of the loss|"


def make_record(
    problem: Problem,
    trajectory: Trajectory,
    networks: list[AbstractNetwork],
    stages: tuple[Stage, ...],
    end: End,
    ended: str,
    cost: dict[str, float],
    constants: PlateauConstants,
    began: datetime.datetime,
    expected: Expected,
) -> xr.Dataset:
    """Everything that is known of a run, as one dataset that a netCDF file can hold."""
    found = [effective_width(network, problem.objective) for network in networks]
    widths = np.array([f.widths for f in found], dtype=np.int64)
    deep = widths.shape[1] > 1
    variables: dict[str, Any] = {
        "t": ("time", trajectory.t, {"units": TIME}),
        "loss": ("time", trajectory.loss, {"units": LOSS}),
        "speed": ("time", trajectory.speed, {"units": SPEED}),
        "snapshot_t": ("snapshot", trajectory.t[trajectory.state_index], {"units": TIME}),
        "snapshot_loss": ("snapshot", trajectory.loss[trajectory.state_index], {"units": LOSS}),
        "snapshot_index": ("snapshot", trajectory.state_index, {"long_name": "position on the curve"}),
        "effective_width": (
            ("snapshot", "layer") if deep else "snapshot",
            widths if deep else widths[:, 0],
            {"units": "units", "tau": TAU},
        ),
        "effective_width_kind": ("snapshot", np.array([f.kind for f in found], dtype=object)),
    }
    dims = networks[0].dims()
    for name in networks[0].arrays():
        stacked = np.stack([np.asarray(network.arrays()[name]) for network in networks])
        variables[name] = (("snapshot", *dims[name]), stacked, {"units": "weight"})
    numbers = {
        "stage_height": ([s.height for s in stages], LOSS),
        "stage_t_start": ([s.t_start for s in stages], TIME),
        "stage_t_end": ([s.t_end for s in stages], TIME),
        "stage_t_end_error": ([s.t_end_error for s in stages], TIME),
        "stage_level": ([s.level for s in stages], LOSS),
        "stage_persistence": ([s.persistence for s in stages], "decades of speed"),
        "stage_speed": ([s.speed for s in stages], SPEED),
    }
    for name, (values, units) in numbers.items():
        variables[name] = (
            "stage",
            np.array([math.nan if v is None else v for v in values], dtype=np.float64),
            {"units": units},
        )
    variables["stage_snapshot"] = ("stage", np.array([s.snapshot for s in stages], dtype=np.int64))
    stage_widths = np.array([s.effective_width for s in stages], dtype=np.int64).reshape(len(stages), widths.shape[1])
    variables["stage_effective_width"] = (
        ("stage", "layer") if deep else "stage",
        stage_widths if deep else stage_widths[:, 0],
        {"units": "units", "tau": TAU},
    )
    distances = [s.card.residence.distances for s in stages if s.card is not None and s.card.residence is not None]
    if distances:
        stacked = np.full((len(stages), *distances[0].shape), np.nan)
        for k, s in enumerate(stages):
            if s.card is not None and s.card.residence is not None:
                stacked[k] = s.card.residence.distances
        variables["stage_manifold_distance"] = (
            ("stage", "snapshot", "layer") if deep else ("stage", "snapshot"),
            stacked if deep else stacked[:, :, 0],
            {"units": "weight", "long_name": "Euclidean distance to the invariant manifold of each stage's saddle"},
        )
    if ended in RESUMABLE:
        variables |= checkpoint_variables(trajectory.checkpoint)
    about = provenance(problem, trajectory.rtol, began) | {"plateau_constants": _constants(constants), "tau": TAU}
    foreseen = expected.prediction
    predicted, unseen = beside(
        stages,
        end.height,
        None if foreseen is None else foreseen.end.height,
        expected,
        float(trajectory.t[-1]),
    )
    summary = {
        "schema": SCHEMA,
        "ended": ended,
        "final_loss": float(trajectory.loss[-1]),
        "cost": cost,
        "stages": [_stage(s, p) for s, p in zip(stages, predicted, strict=True)],
        "end": {
            "height": end.height,
            "effective_width": end.effective_width,
            "kind": end.kind,
            "index": end.index,
            "nullity": end.nullity,
            "certificate": as_json(end.card),
            "oscillation": None if end.oscillation is None else list(end.oscillation),
            **_of_some(end),
        },
        "predicted_only": unseen,
        "prediction": _prediction(expected),
        "cause": _cause(networks[0], stages, expected),
        "cause_basis": "facts",
        "provenance": about,
    }
    attributes = {
        "title": networks[0].title,
        "schema": SCHEMA,
        "ended": ended,
        "weights": json.dumps(list(dims)),
        "spec": json.dumps(as_tables(problem.spec, problem.task)),
        "summary": json.dumps(_finite(summary), allow_nan=False),
    }
    return xr.Dataset(variables, attrs=attributes)


def summarize(record: xr.Dataset) -> dict[str, Any]:
    """What summary.json says: stages, end, cost and provenance as plain values; unknown is None."""
    return json.loads(record.attrs["summary"])


def _stage(stage: Stage, predicted: dict[str, Any]) -> dict[str, Any]:
    return {
        "height": stage.height,
        "height_source": stage.height_source,
        "t_start": stage.t_start,
        "t_end": stage.t_end,
        "t_end_error": stage.t_end_error,
        "censored": stage.censored,
        "persistence": stage.persistence,
        "effective_width": stage.effective_width,
        "kind": stage.kind,
        "index": stage.index,
        "nullity": stage.nullity,
        "escape": stage.escape,
        "speed": stage.speed,
        "predicted": predicted,
        "certificate": as_json(stage.card),
        **_of_some(stage),
    }


def _of_some(of: Stage | End) -> dict[str, Any]:
    """Keys that only some networks have: heads of rank above 1, and networks of several layers."""
    found = {"inner_rank": of.inner_rank, "kinds": of.kinds}
    return {key: value for key, value in found.items() if value is not None}


def _prediction(expected: Expected) -> dict[str, Any]:
    """What theory said besides its stages."""
    said = expected.prediction
    return {
        "predictor": None if said is None else said.predictor,
        "end": None if said is None else {"height": said.end.height, "effective_width": said.end.effective_width},
        "merged": [] if said is None else [stage_as_json(stage) for stage in said.merged],
        "outside": [] if said is None else list(said.outside),
        "notes": [] if said is None else list(said.notes),
        "failed": expected.failed,
    }


def _cause(network: AbstractNetwork, stages: tuple[Stage, ...], expected: Expected) -> str:
    """What separates the timescales: the theory's word, which knows the spectrum of the data, where it has one.

    Otherwise by the order of the units: 1, directions of the data; 2 or more, units by their initial weights; both where layers differ. "none" where the run passed
    no saddle after the one it started from.
    """
    if sum(1 for s in stages if s.kind != "origin") == 0:
        return "none"
    said = expected.prediction.cause if expected.prediction is not None else "none"
    if said != "none":
        return said
    causes = {"data" if lens.facts.order == 1 else "initialisation" for lens in network.lenses()}
    return causes.pop() if len(causes) == 1 else "both"


def _constants(constants: PlateauConstants) -> dict[str, float]:
    import dataclasses

    return dataclasses.asdict(constants)


def _finite(value: Any) -> Any:
    """JSON knows no NaN: unknown is null."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
