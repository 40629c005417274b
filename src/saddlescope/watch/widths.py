"""How many units of each hidden layer are in use, as its units allow it to be counted: one number a layer and snapshot, and what was counted."""

import numpy as np
from jaxtyping import Bool, Float

from .recording import Recording


def effective_widths(recording: Recording) -> tuple[str | None, Float[np.ndarray, "k layers"]]:
    """Effective width of every layer by rank where units are linear, otherwise by rays, or the smaller of copies and active units, or rank; and which, those that differ between layers in their order.

    Rays of linear units are no width: units that point elsewhere still add up to one direction, and each of them counts as a ray.
    """
    m, linear = recording.measures, linear_layers(recording)
    widths = np.full(m["rank"].shape, np.nan)
    kinds: list[str] = []
    for j in range(widths.shape[1]):
        kind, widths[:, j] = _of_layer({name: values[:, j] for name, values in m.items()}, bool(linear[j]))
        kinds += [kind] if kind else []
    return ", ".join(dict.fromkeys(kinds)) or None, widths


def linear_layers(recording: Recording) -> Bool[np.ndarray, " layers"]:
    """Which layers have linear units: as their lens said; in recordings that do not hold that, all exact ones of a model without an activation."""
    told = recording.measures.get("linear")
    if told is not None and np.any(np.isfinite(told)):
        return np.array([bool(last_seen(column) == 1) for column in told.T], bool)
    none = recording.facts.get("framework") is not None and not recording.facts.get("activations")
    return np.array([none and not sentence for sentence in recording.layer_exact], bool)


def _of_layer(m: dict[str, Float[np.ndarray, " k"]], linear: bool) -> tuple[str | None, Float[np.ndarray, " k"]]:
    there = {name: bool(np.any(np.isfinite(m[name]))) for name in ("rank", "rays", "copies", "active")}
    if linear and there["rank"]:
        return "rank", m["rank"]
    if there["rays"]:
        return "rays", m["rays"]
    if there["copies"] or there["active"]:
        copies, active = (np.where(np.isfinite(m[name]), m[name], np.inf) for name in ("copies", "active"))
        widths = np.minimum(copies, active)
        kind = "copies" if np.sum(copies < active) > widths.size / 2 else "active"
        return kind, np.where(np.isfinite(widths), widths, np.nan)
    return ("rank" if there["rank"] else None), m["rank"]


def last_seen(values: Float[np.ndarray, " k"]) -> float:
    """The last that is a number; NaN where none is."""
    values = values[np.isfinite(values)]
    return float(values[-1]) if values.size else float("nan")
