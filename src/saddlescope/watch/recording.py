"""What was seen of somebody's training: losses, snapshots of a probe batch and of the weights, and facts about the loop, as NumPy arrays.

Everything else of `watch` reads this and nothing else: forecasts, diagnoses and cards do not know whether it was written beside a loop, or
gathered from a folder of checkpoints or a table.
"""

import json
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from .archive import read_arrays, write_whole

SCHEMA = "saddlescope.recording/1"
#: No more losses than this are kept.
MOST_LOSSES = 20_000
#: What is measured of each hidden layer and step; see `measures.py`. A recording may hold more.
MEASURES = (
    *("rank", "rays", "copies", "active", "units"),
    *("imbalance", "manifold_distance", "dead", "saturated"),
)
#: Facts about the training, and what they are where nobody said.
FACTS: dict[str, Any] = {
    "framework": None,
    "optimiser": None,
    "momentum": None,
    "slope": None,
    "cross_entropy": None,
    "activations": [],
    "normalised": False,
    "residual": None,
    "depth": None,
    "batches_per_epoch": None,
    "seconds": None,
    "overhead": None,
    "source": None,
    "gaps": [],
    "skipped": [],
}


@dataclass
class Recording:
    r"""What was seen of somebody's training, as NumPy arrays; NaN where something was not seen.

    **Arguments:**

    - `loss_step` [n], `loss` [n]: the losses handed over, thinned to at most 20 000; steps increase.
    - `step` [k]: of the snapshots, increasing. The first is the state when watching began.
    - `variation` [k]: q, root mean square over the probe batch, and over outputs, of f minus its mean over the batch.
    - `output` [k]: root mean square of f itself over the probe.
    - `probe_loss` [k]: loss on the probe, where targets were given.
    - `weight_names`, `weight_shapes`: wrappers' prefixes (`module.`, `_orig_mod.`) stripped, each tied weight once.
    - `frozen` [weights]: not to be trained, or never seen with a gradient.
    - `weight_norm` [k, weights]: Frobenius norm, of a float64 copy.
    - `weight_largest` [k, weights]: largest singular value, of matrices as [out, everything else]; NaN for vectors.
    - `gradient_norm` [k, weights]: where a gradient was there.
    - `layer_names`, `layer_kind`, `layer_exact` [layers]: hidden layers seen through a lens, first first; what kind; "" where the lens is exact, otherwise
        the sentence that says what it cannot express.
    - `measures`: name to [k, layers]: effective widths by "rank", "rays", "copies", "active"; "units" there are; "imbalance", "manifold_distance", "dead" and
        "saturated" (fractions of units).
    - `learning_rate` [k]: of the optimiser's first group.
    - `facts`: plain values: see `FACTS`. `gaps` says what was not seen and why, `skipped` which files were left out and why.

    **Raises:** `ValueError`, in one line, where shapes disagree or steps do not increase.
    """

    loss_step: Int[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    step: Int[np.ndarray, " k"]
    variation: Float[np.ndarray, " k"]
    output: Float[np.ndarray, " k"]
    probe_loss: Float[np.ndarray, " k"]
    weight_names: tuple[str, ...]
    weight_shapes: tuple[tuple[int, ...], ...]
    frozen: Bool[np.ndarray, " weights"]
    weight_norm: Float[np.ndarray, "k weights"]
    weight_largest: Float[np.ndarray, "k weights"]
    gradient_norm: Float[np.ndarray, "k weights"]
    layer_names: tuple[str, ...]
    layer_kind: tuple[str, ...]
    layer_exact: tuple[str, ...]
    measures: dict[str, Float[np.ndarray, "k layers"]]
    learning_rate: Float[np.ndarray, " k"]
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        self.facts = {name: _copied(value) for name, value in FACTS.items()} | self.facts
        self.loss_step, self.step = (np.asarray(a, np.int64) for a in (self.loss_step, self.step))
        self.frozen = np.asarray(self.frozen, bool)
        self.weight_names = tuple(self.weight_names)
        self.weight_shapes = tuple(tuple(int(n) for n in shape) for shape in self.weight_shapes)
        self.layer_names, self.layer_kind, self.layer_exact = (
            tuple(a) for a in (self.layer_names, self.layer_kind, self.layer_exact)
        )
        k, weights, layers = self.step.size, len(self.weight_names), len(self.layer_names)
        shapes = {
            "loss_step": (self.loss_step.size,),
            "loss": (self.loss_step.size,),
            "step": (k,),
            "frozen": (weights,),
        }
        shapes |= dict.fromkeys(("variation", "output", "probe_loss", "learning_rate"), (k,))
        shapes |= dict.fromkeys(("weight_norm", "weight_largest", "gradient_norm"), (k, weights))
        for name, shape in shapes.items():
            if name not in ("loss_step", "step", "frozen"):
                setattr(self, name, np.asarray(getattr(self, name), np.float64))
            _require(np.shape(getattr(self, name)) == shape, name, shape, np.shape(getattr(self, name)))
        self.measures = {name: np.asarray(value, np.float64) for name, value in self.measures.items()}
        for name, value in self.measures.items():
            _require(value.shape == (k, layers), f"measures[{name!r}]", (k, layers), value.shape)
        for name in MEASURES:
            self.measures.setdefault(name, np.full((k, layers), np.nan))
        counts = {len(self.weight_shapes): weights, len(self.layer_kind): layers, len(self.layer_exact): layers}
        if any(found != wanted for found, wanted in counts.items()):
            raise ValueError("A recording needs a shape for each weight, and a kind and a sentence for each layer.")
        for name in ("loss_step", "step"):
            if np.any(np.diff(getattr(self, name)) <= 0):
                raise ValueError(f"A recording needs steps that increase: {name} does not.")

    @classmethod
    def of(
        cls,
        *,
        loss_step=(),
        loss=None,
        step=(),
        weights: dict[str, tuple[int, ...]] | None = None,
        layers=(),
        **rest: Any,
    ) -> "Recording":
        """A recording of those arrays that there are, for tests and tables; what is left out was not seen, and is NaN.

        `weights` gives names and shapes, `layers` names of hidden layers; every other field goes by its name.
        """
        step, names = np.asarray(step, np.int64), tuple(weights or ())
        k, layers = step.size, tuple(layers)
        missing: dict[str, Any] = {
            "loss": np.full(len(loss_step), np.nan) if loss is None else loss,
            "weight_names": names,
            "weight_shapes": tuple((weights or {}).values()),
            "frozen": np.zeros(len(names), bool),
            "layer_names": layers,
            "layer_kind": ("Linear-Linear",) * len(layers),
            "layer_exact": ("",) * len(layers),
            "measures": {},
        }
        missing |= {name: np.full(k, np.nan) for name in ("variation", "output", "probe_loss", "learning_rate")}
        missing |= {
            name: np.full((k, len(names)), np.nan) for name in ("weight_norm", "weight_largest", "gradient_norm")
        }
        return cls(loss_step=loss_step, step=step, **(missing | rest))

    def until(self, step: int) -> "Recording":
        """What was known at that step. Facts that describe the whole (`seconds`, `overhead`, `gaps`) stay as they are."""
        n, k = (int(np.searchsorted(a, step, "right")) for a in (self.loss_step, self.step))
        cut = {"loss_step": self.loss_step[:n], "loss": self.loss[:n]}
        for name in (*("step", "variation", "output", "probe_loss", "learning_rate"), *_BY_WEIGHT):
            cut[name] = getattr(self, name)[:k]
        measures = {name: value[:k] for name, value in self.measures.items()}
        return replace(self, **cut, measures=measures, facts=_copied(self.facts))

    def save(self, path: "str | os.PathLike[str]") -> None:
        """One .npz file, written whole by rename, without Python objects.

        **Raises:** `OSError` where that is not possible; a file already there is then as it was.
        """
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"measure_{name}": value for name, value in self.measures.items()}
        text = {name: getattr(self, name) for name in _TEXT} | {"facts": plain(self.facts), "schema": SCHEMA}
        head = np.frombuffer(json.dumps(text).encode(), np.uint8)
        # measures of many steps are mostly NaN, which deflate packs well
        write_whole(path, lambda file: np.savez_compressed(file, head=head, **arrays))

    @staticmethod
    def load(path: "str | os.PathLike[str]") -> "Recording":
        """Reads a recording back.

        **Raises:** `OSError` where it is missing; `ValueError`, in one line, where it is not one, damaged, or of another format.
        """
        label = repr(os.fspath(Path(path)))
        arrays = read_arrays(path)
        try:
            text = json.loads(bytes(arrays.pop("head")).decode())
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{label} needs to be a recording of saddlescope, and has no head of one.") from error
        if not isinstance(text, dict) or text.get("schema") != SCHEMA:
            found = text.get("schema") if isinstance(text, dict) else text
            raise ValueError(f"{label} needs the format {SCHEMA}: found {found!r}.")
        missing = [name for name in (*_ARRAYS, *_TEXT, "facts") if name not in arrays and name not in text]
        if missing or not isinstance(text["facts"], dict):
            raise ValueError(f"{label} needs {', '.join(missing) or 'facts by name'}, which it does not hold.")
        measures = {name.removeprefix("measure_"): a for name, a in arrays.items() if name.startswith("measure_")}
        try:
            named = {name: arrays[name] for name in _ARRAYS} | {name: text[name] for name in _TEXT}
            return Recording(**named, measures=measures, facts=text["facts"])
        except (ValueError, TypeError) as error:
            raise ValueError(f"{label} does not hold together: {error}") from error


_BY_WEIGHT = ("weight_norm", "weight_largest", "gradient_norm")
_TEXT = ("weight_names", "weight_shapes", "layer_names", "layer_kind", "layer_exact")
_ARRAYS = tuple(f.name for f in fields(Recording) if f.name not in (*_TEXT, "measures", "facts"))


def _require(right: bool, name: str, wanted: tuple[int, ...], found: tuple[int, ...]) -> None:
    if not right:
        raise ValueError(f"A recording needs {name} of shape {list(wanted)}: found {list(found)}.")


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(v) for name, v in value.items()}
    return list(value) if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """Plain values of JSON: numbers of NumPy as Python's, what is not finite as null."""
    if isinstance(value, dict):
        return {str(name): plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
