"""A recording's report: every stall's card, the forecast and how it came to be, as text, as plain values and as a page."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .card import Card
from .diagnose import diagnose
from .forecast import Forecast, forecast
from .recording import Recording, plain
from .stalls import FEWEST, Smooth, doubt, find_stalls, smooth
from .widths import effective_widths

SCHEMA = "saddlescope.watch/1"
#: Forecasts made again at earlier steps, each from what was known then.
HISTORY = 24


@dataclass(frozen=True)
class Report:
    """`str` of it is the card. `cards`: a diagnosis for each stall; `now`: the forecast at the last snapshot; `history`: at earlier ones; `problem`: why there are no cards."""

    recording: Recording
    cards: tuple[Card, ...]
    now: Forecast
    history: tuple[Forecast, ...]
    series: Smooth | None
    problem: str | None = None

    def __str__(self) -> str:
        r = self.recording
        name = r.facts.get("source") or "training"
        steps = int(r.loss_step[-1]) if r.loss_step.size else int(r.step[-1]) if r.step.size else 0
        lines = [f"{name}: {steps} steps, {r.loss.size} losses, {r.step.size} snapshots"]
        if self.cards and self.series is not None and self.series.of_probe:
            lines[0] += "; heights are the loss on the probe"
        if self.problem:
            lines.append(self.problem)
        elif not self.cards:
            lines.append("no stall: the loss never stood still")
        for card in self.cards:
            lines += _card_lines(card)
        lines.append(f"forecast: {self.now}")
        lines += [f"not seen: {gap}" for gap in (*r.facts.get("gaps", []), *r.facts.get("skipped", []))]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain values, no NaN: what stands in summary.json."""
        r = self.recording
        kind, _ = effective_widths(r)
        return {
            "schema": SCHEMA,
            "steps": int(r.loss_step[-1]) if r.loss_step.size else None,
            "losses": int(r.loss.size),
            "snapshots": int(r.step.size),
            "problem": self.problem,
            "stalls": [card.as_json() for card in self.cards],
            "forecast": self.now.as_json(),
            "forecasts": [f.as_json() for f in self.history],
            "layers": list(r.layer_names),
            "width_kind": kind,
            "noise": None if self.series is None else float(np.median(self.series.noise)),
            "facts": plain(r.facts),
        }


def nothing_seen(recording: Recording) -> str:
    """Why nothing at all can be said of a recording, in words: no snapshot, and too few losses that are numbers. Empty where something can."""
    finite = int(np.isfinite(recording.loss).sum())
    if recording.step.size or finite >= FEWEST:
        return ""
    return f"it needs {FEWEST} losses that are finite numbers, or snapshots: found {finite} in {recording.loss.size} losses, and no snapshot"


def report(recording: Recording, out: "str | os.PathLike[str] | None" = None) -> Report:
    """Diagnoses and forecasts; with `out`, writes report.html (self-contained) and summary.json into that folder.

    **Raises:** `OSError` where the folder cannot be written.
    """
    problem, cards, series = None, (), None
    try:
        series, cards = smooth(recording), diagnose(recording)
    except ValueError as error:  # too little was seen: the report says so
        problem = str(error)
    found = Report(recording, cards, forecast(recording), _history(recording), series, problem)
    if out is not None:
        from .page import page

        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        _put(folder / "summary.json", json.dumps(found.as_json(), indent=2, allow_nan=False) + "\n")
        _put(folder / "report.html", page(found))
    return found


def _history(recording: Recording) -> tuple[Forecast, ...]:
    """Forecasts at steps evenly spread over the snapshots up to the end of the first stall (or of the run)."""
    if recording.step.size < 4:
        return ()
    last = recording.step.size - 1
    try:
        first = find_stalls(recording)[:1]
    except ValueError:
        first = ()
    if first and not first[0].ongoing:
        last = min(last, int(np.searchsorted(recording.step, first[0].end * 1.3)))
    chosen = np.unique(np.linspace(2, max(last, 2), HISTORY).astype(int))
    return tuple(forecast(recording, int(recording.step[k])) for k in chosen)


def _card_lines(card: Card) -> list[str]:
    s = card.stall
    lines = [
        f"{'slow fall' if card.falls else 'stall'} at {card.where}{doubt(s)}: {card.kind}",
        f"  why: {card.sentence}",
    ]
    if card.kind == "saddle":
        lines.append(f"  where: {card.units}")
    lines.append(f"  what to do: {card.advice}")
    return lines


def _put(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
