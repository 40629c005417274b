"""What the pictures take from a record, with whatever it lacks left out: a run that diverged, was cut short, has no
stage or a single snapshot still has a picture.
"""

import json
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

# what an effective width of each kind counts: after the number, except rank and a width that nothing reduces
COUNTED = {"rays": "ray", "copies": "distinct unit", "active": "unit"}


@dataclass(frozen=True)
class Stage:
    """One plateau as drawn. Times in (learning rate) x (steps); None is unknown; `snapshot` is at the slowest point.

    `gone` is where a curve without a known `t_end` has plainly left the plateau: a tenth below its height. `predicted_end`: theory's `t_end`.
    """

    height: float | None
    t_start: float
    t_end: float | None
    t_end_error: float | None
    effective_width: object
    kind: str | None
    snapshot: int | None
    gone: float | None = None
    predicted_end: float | None = None

    @property
    def label(self) -> str:
        return complexity_label(self.effective_width, self.kind)

    @property
    def name(self) -> str:
        if self.t_end is not None or not self.label:
            return self.label
        return f"{self.label}, not left" if self.gone is None else f"{self.label}, end not known"

    @property
    def drawn_until(self) -> float | None:
        """Where the band ends; None for the end of the axis."""
        return self.gone if self.t_end is None else self.t_end


@dataclass(frozen=True)
class Moment:
    """A snapshot worth a panel: the start, a plateau, the end."""

    snapshot: int
    name: str
    t: float


def attribute(record: xr.Dataset, name: str) -> dict | list:
    """A JSON attribute; empty where the record has none, or none that can be read."""
    try:
        value = json.loads(record.attrs.get(name) or "{}")
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict | list) else {}


def summary(record: xr.Dataset) -> dict:
    found = attribute(record, "summary")
    return found if isinstance(found, dict) else {}


def title(record: xr.Dataset) -> str:
    return str(record.attrs.get("title") or "")


def curve(
    record: xr.Dataset,
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """t, loss and speed; what is not finite, or beyond 1e6 times the first loss, is NaN and leaves a gap."""
    t, loss, speed = (np.asarray(record[name].values, float) for name in ("t", "loss", "speed"))
    finite = np.abs(loss[np.isfinite(loss)])
    first = finite[0] if finite.size and finite[0] > 0 else max(finite.max(initial=0.0), 1.0)
    with np.errstate(invalid="ignore"):
        loss = np.where(np.abs(loss) <= 1e6 * first, loss, np.nan)
        speed = np.where((speed > 0) & np.isfinite(speed), speed, np.nan)
    return t, loss, speed


def width_text(width: object) -> str:
    """An effective width: an integer, or one for each hidden layer of a deep network."""
    if isinstance(width, list | tuple | np.ndarray):
        return ", ".join(width_text(one) for one in width)
    return str(int(width)) if isinstance(width, int | float) and width >= 0 else "?"


def complexity_label(width: object, kind: object) -> str:
    """Effective width and kind in two words: "origin", "rank 1", "2 rays", "1 unit", "width 50"; deep: "rank 1, 1"."""
    return climb_label([(width, kind)])


def climb_label(steps: list[tuple[object, object]]) -> str:
    """Effective widths and kinds in a row: "rank 1 → 2", "1 → 2 rays"; "1 ray → width 3" if kinds differ."""
    known = [(width, kind) for width, kind in steps if width is not None or kind is not None]
    if len({kind for _, kind in known}) > 1:
        return " → ".join(complexity_label(*step) for step in known)
    if not known or known[0][1] == "origin":
        return "origin" if known else ""
    kind = known[0][1]
    widths = " → ".join(width_text(width) for width, _ in known)
    if kind not in COUNTED:
        return f"rank {widths}" if kind == "rank" else f"width {widths}"
    return f"{widths} {COUNTED[str(kind)]}{'' if known[-1][0] == 1 else 's'}"


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def stages(record: xr.Dataset) -> tuple[Stage, ...]:
    """The plateaus of the summary, in order."""
    snapshots = np.asarray(record["stage_snapshot"].values, float) if "stage_snapshot" in record else np.array([])
    count = record.sizes.get("snapshot", 0)
    found = []
    t, loss, _ = curve(record)
    for i, stage in enumerate(summary(record).get("stages") or ()):
        at = snapshots[i] if i < len(snapshots) else np.nan
        start = _known(stage.get("t_start"))
        found.append(
            Stage(
                height=_known(stage.get("height")),
                t_start=0.0 if start is None else start,
                t_end=_known(stage.get("t_end")),
                t_end_error=_known(stage.get("t_end_error")),
                effective_width=stage.get("effective_width"),
                kind=stage.get("kind"),
                snapshot=int(at) if np.isfinite(at) and 0 <= at < count else None,
                gone=_gone(t, loss, _known(stage.get("height"))),
                predicted_end=_known((stage.get("predicted") or {}).get("t_end")),
            )
        )
    return tuple(found)


def _gone(t: np.ndarray, loss: np.ndarray, height: float | None) -> float | None:
    if height is None or not loss.size or not loss[-1] < 0.9 * height:
        return None
    return float(t[np.argmax(loss < 0.9 * height)])


def end(record: xr.Dataset) -> tuple[object, object]:
    """Effective width and kind of the final state."""
    found = summary(record).get("end") or {}
    return found.get("effective_width"), found.get("kind")


def moments(record: xr.Dataset) -> tuple[Moment, ...]:
    """Start, plateaus, end, each snapshot once: a start that is the first plateau, or an end that is the last, says
    both."""
    times = np.asarray(record["snapshot_t"].values, float) if "snapshot_t" in record else np.array([])
    if not times.size:
        return ()
    last = times.size - 1
    names = {0: "start"}
    for stage in stages(record):
        if stage.snapshot is not None:
            first = "start" if stage.snapshot == 0 else "plateau"
            names[stage.snapshot] = ": ".join(filter(None, (first, stage.label)))
    if last:
        # a run that stopped on a plateau ends there, whatever the summary says of its end
        label = names[last].removeprefix("plateau").lstrip(": ") if last in names else complexity_label(*end(record))
        names[last] = ": ".join(filter(None, ("end", label)))
    return tuple(Moment(i, names[i], float(times[i])) for i in sorted(names))


def first_layer(record: xr.Dataset) -> tuple[str, ...]:
    """Names of the weights that see the input: one, or key and query of attention."""
    names = attribute(record, "weights")
    names = [str(name) for name in names if name in record and "snapshot" in record[name].dims] if names else []
    if not names:
        return ()
    first = names[0]
    if first.split(".")[-1] == "key":
        return first, *(name for name in names if name == first[: -len("key")] + "query")
    return (first,)


def rows(record: xr.Dataset, name: str, snapshot: int) -> Float[np.ndarray, "rows inputs"]:
    """A weight block at a snapshot, one row a unit (a row of each rank for keys and queries; a merged form is
    flattened). What is not finite, or so large that its square is not, is NaN."""
    array = np.asarray(record[name].isel(snapshot=snapshot).values, float)
    array = np.where(np.abs(array) < 1e100, array, np.nan)
    if name.split(".")[-1] in ("key", "query"):
        return array.reshape(-1, array.shape[-1])
    return array.reshape(array.shape[0], -1) if array.ndim else array.reshape(1, 1)


def is_digits(record: xr.Dataset) -> bool:
    """Whether the inputs are pictures, so that weights may be drawn as pictures: named so by the task."""
    spec = attribute(record, "spec")
    task = spec.get("task") if isinstance(spec, dict) else None
    return isinstance(task, dict) and "digits" in str(task.get("kind"))
