"""A prediction as plain values: the keys of a run's stages with theory's numbers, null where theory is silent."""

import math
from dataclasses import fields
from typing import Any

import numpy as np

from ._base import PredictedStage, Prediction

SCHEMA = "saddlescope.prediction/1"


def as_json(prediction: Prediction) -> dict[str, Any]:
    """What `saddlescope predict --json` prints, but for its provenance. No NaN: unknown is null."""
    return _plain(
        {
            "schema": SCHEMA,
            "stages": [stage_as_json(stage) for stage in prediction.stages],
            "end": {name.name: getattr(prediction.end, name.name) for name in fields(prediction.end)},
            "cause": prediction.cause,
            "cause_basis": "facts",
            "outside": list(prediction.outside),
            "merged": [stage_as_json(stage) for stage in prediction.merged],
            "notes": list(prediction.notes),
            "what_if": [
                one._asdict() | {"count": None if one.reason else len(one.t_end)} for one in prediction.what_if
            ],
            "predictor": prediction.predictor,
        }
    )


def stage_as_json(stage: PredictedStage) -> dict[str, Any]:
    """The keys of a stage in summary.json, then those that only theory has."""
    law = "unknown" if stage.escape_rate is None else "exponential"
    return _plain(
        {
            "height": stage.height,
            "height_source": "theory",
            "t_start": stage.t_start,
            "t_end": stage.t_end,
            "t_end_error": stage.t_end_error,
            "censored": stage.t_end is None,
            "persistence": stage.persistence,
            "effective_width": stage.effective_width,
            "kind": stage.kind,
            "index": stage.index,
            "nullity": None,
            "escape": {"law": law, "rate": stage.escape_rate, "degree": None},
            "speed": None,
            "predicted": in_short(stage),
            "certificate": None,
            "status": stage.status,
            "height_error": stage.height_error,
            "source": stage.source,
            "cost": stage.cost._asdict(),
            "recruits": list(stage.recruits),
            "separable": stage.separable,
            "visible_scale": stage.visible_scale,
            "width_of_drop": stage.width_of_drop,
            "reason": stage.reason,
        }
    )


def in_short(stage: PredictedStage) -> dict[str, Any]:
    """What a run says beside its own numbers."""
    return _plain(
        {"height": stage.height, "t_end": stage.t_end, "t_end_error": stage.t_end_error, "status": stage.status}
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
