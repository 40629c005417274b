"""Snapshots of a training, gathered one by one in bounded memory, and made a recording."""

from dataclasses import dataclass

import numpy as np

from .recording import MEASURES
from .seen import Seen

#: No more snapshots than this: then every second of the later half is dropped.
MOST = 4000


@dataclass
class Snapshots:
    """Snapshots by step."""

    def __post_init__(self):
        self.steps: list[int] = []
        self.seen: list[Seen] = []
        self.layers: dict[str, tuple[str, str]] = {}

    def add(self, step: int, seen: Seen) -> None:
        if self.steps and step <= self.steps[-1]:
            self.go_back(step)
        self.steps.append(step)
        self.seen.append(seen)
        for name, (kind, exact, _) in seen.layers.items():
            before = self.layers.get(name)
            # not exact once is not exact
            self.layers[name] = (kind, exact or (before[1] if before else ""))
        if len(self.steps) > MOST:
            half = MOST // 2
            kept = [*range(half), *range(half, len(self.steps) - 1, 2), len(self.steps) - 1]
            self.steps, self.seen = [self.steps[i] for i in kept], [self.seen[i] for i in kept]

    def go_back(self, step: int) -> None:
        n = int(np.searchsorted(self.steps, step, "left"))
        del self.steps[n:], self.seen[n:]

    def rename(self, before: tuple[str, ...], now: tuple[str, ...]) -> None:
        """Puts what was seen of weights where their names are now; NaN for those that were not there, and what is gone is dropped."""
        place = {name: i for i, name in enumerate(before)}
        chosen = np.array([place.get(name, -1) for name in now], int)
        for s in self.seen:
            for part in ("weight_norm", "weight_largest", "gradient_norm"):
                row = getattr(s, part)
                if row.size == len(before):
                    setattr(s, part, np.append(row, np.nan)[np.where(chosen < 0, len(before), chosen)])

    def fields(self, weights: int) -> dict:
        """The fields of a recording that snapshots fill; NaN where a layer or weight was not seen."""
        k, names = len(self.steps), list(self.layers)

        def by_weight(part: str) -> np.ndarray:
            rows = [getattr(s, part) for s in self.seen]
            return np.array([r if r.size == weights else np.full(weights, np.nan) for r in rows]).reshape(k, weights)

        wanted = dict.fromkeys(MEASURES)
        for s in self.seen:
            for _, _, found in s.layers.values():
                wanted |= dict.fromkeys(found)
        measures = {name: np.full((k, len(names)), np.nan) for name in wanted}
        for i, s in enumerate(self.seen):
            for name, (_, _, found) in s.layers.items():
                for measure, value in found.items():
                    measures[measure][i, names.index(name)] = value
        fields: dict = {part: by_weight(part) for part in ("weight_norm", "weight_largest", "gradient_norm")}
        for part in ("variation", "output", "probe_loss", "learning_rate"):
            fields[part] = np.array([getattr(s, part) for s in self.seen], np.float64)
        return fields | {
            "step": np.array(self.steps, np.int64),
            "measures": measures,
            "layer_names": tuple(names),
            "layer_kind": tuple(kind for kind, _ in self.layers.values()),
            "layer_exact": tuple(exact for _, exact in self.layers.values()),
        }
