"""Panels of a figure: one spec a panel, run over seeds without certificates, the first seed kept as a record."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .. import runs
from ..series import crossing_time
from ._base import Progress

#: A flow that stops as soon as the loss is known to be at its optimum (or at rest), without a second run for the errors of its times.
SETTLED: dict[str, Any] = {"method": "gradient_flow", "until": "settled", "estimate_error": False}

Spec = Mapping[str, Any]


class Ran(NamedTuple):
    """What a panel's runs left: the summary of every seed, the record of the first, and for every seed the time at which a quarter of its first loss is gone."""

    summaries: list[dict[str, Any]]
    record: xr.Dataset
    waits: list[float | None]

    def of_stage(self, k: int, key: str) -> list[Any]:
        """One value a seed; None where a run has no such stage."""
        return [s["stages"][k][key] if k < len(s["stages"]) else None for s in self.summaries]

    def heights(self, k: int) -> list[float | None]:
        """Heights of stage `k`, or of the end where k is -1, as parts of the first loss."""
        found = [s["end"]["height"] for s in self.summaries] if k < 0 else self.of_stage(k, "height")
        return [None if h is None or f == 0 else h / f for h, f in zip(found, self.firsts, strict=True)]

    @property
    def firsts(self) -> list[float]:
        """The loss of f = 0, which every run starts near to; the first loss itself where the run has no plateau."""
        return [s["stages"][0]["height"] if s["stages"] else float(self.record["loss"][0]) for s in self.summaries]


def run_all(panels: Mapping[str, Spec], seeds: int, out: Path | None, label: str, progress: Progress) -> dict[str, Ran]:
    """Every panel over seeds 0, 1, ...; records of the first seeds go to `out`/panel."""
    found = {}
    total, done = max(len(panels) * seeds, 1), 0
    for name, spec in panels.items():
        summaries, waits, first = [], [], None
        for seed in range(seeds):
            progress(0.9 * done / total, f"{label}: {name}, seed {seed}")
            record = runs.run({**spec, "init": {**spec["init"], "seed": seed}}, certificates=False)
            summaries.append(runs.summarize(record))
            t, loss, speed = (np.asarray(record[name]) for name in ("t", "loss", "speed"))
            waits.append(crossing_time(t, loss, speed, 0.75 * float(loss[0])))
            first = record if first is None else first
            done += 1
        assert first is not None
        if out is not None:
            runs.save(first, folder(out, name))
        found[name] = Ran(summaries, first, waits)
    return found


def folder(out: Path, name: str) -> Path:
    """Where the record of a panel is."""
    return out / "".join(c if c.isalnum() else "-" for c in name.lower())


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows of text, the head first, in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
