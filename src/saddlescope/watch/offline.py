"""A training that is over, or runs somewhere else: a recording from what it left behind."""

import json
import os
import re
from pathlib import Path

import numpy as np

from .files import SUFFIXES, read_file
from .losses import Losses
from .names import natural
from .recording import Recording
from .seen import Seen
from .shapes import measured, oriented
from .snapshots import Snapshots
from .spectrum import largest_singular_value
from .table import read_table

#: Files beside a checkpoint that hold no weights of the model.
ASIDE = re.compile(r"^(optimizer|optim|scheduler|scaler|rng_state|training_args|trainer_state|adapter_config)", re.I)
#: What a checkpoint that is a folder keeps its weights in.
INSIDE = (
    "model.safetensors",
    "pytorch_model.bin",
    "model.pt",
    "model.pth",
    "checkpoint.pt",
    "weights.npz",
    "params.npz",
)


def read(path: "str | os.PathLike[str]", *, trust_pickle: bool = False) -> Recording:
    """A recording from a recorder's file, a folder of checkpoints, one checkpoint, or a table of steps and losses.

    **Arguments:**

    - `path`: recording.npz, or the folder it is in; a folder of checkpoints (safetensors, npz, PyTorch's), or of such folders (checkpoint-500/model.safetensors); or a
        CSV file (see `table.read_table`). Losses are taken from a trainer_state.json or a CSV file in the folder.
    - `trust_pickle`: whether PyTorch files may run code while they are read. Only for files of your own.

    Checkpoints are put in order by the step that they hold, or the last number of their name. One that is unreadable, only partly there, of other
    shapes, or of a step that was read already is left out, and `facts["skipped"]` says why.

    **Raises:** `OSError` where there is nothing or it cannot be read; `ValueError`, in one line, where nothing in it can be made a recording.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "recording.npz").is_file():
            return Recording.load(path / "recording.npz")
        return _folder(path, trust_pickle)
    if not path.exists():
        raise FileNotFoundError(
            2, "nothing to read here: give a recording, a folder of checkpoints or a CSV file", os.fspath(path)
        )
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        return read_table(path)
    if suffix == ".npz" and _is_recording(path):
        return Recording.load(path)
    if suffix in SUFFIXES:
        return _gathered(path.parent, [path], trust_pickle, None)
    raise ValueError(
        f"{os.fspath(path)!r} needs to be a recording or checkpoint ({', '.join(SUFFIXES)}), a folder of them, or a table (.csv)."
    )


def _is_recording(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return "head.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def _folder(path: Path, trust_pickle: bool) -> Recording:
    found = []
    for entry in sorted(path.iterdir(), key=lambda p: natural(p.name)):
        if entry.is_dir():
            found += [entry / name for name in INSIDE if (entry / name).is_file()][:1]
        elif entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not ASIDE.match(entry.name):
            found.append(entry)
    tables = sorted((p for p in path.iterdir() if p.suffix.lower() == ".csv"), key=lambda p: natural(p.name))
    losses, skipped = None, []
    for table in tables:
        try:
            losses = read_table(table)
            break
        except (OSError, ValueError) as error:
            skipped.append(f"{table.name}: {_said(error)}")
    if not found:
        if losses is not None:
            return losses
        more = f" {skipped[0]}" if skipped else ""
        raise ValueError(
            f"{os.fspath(path)!r} holds no recording, no checkpoint ({', '.join(SUFFIXES)}) and no table to read.{more}"
        )
    return _gathered(path, found, trust_pickle, losses, skipped)


def _gathered(
    folder: Path, found: list[Path], trust_pickle: bool, table: Recording | None, skipped: list[str] | None = None
) -> Recording:
    skipped = skipped or []
    read_: list[tuple[int, str, Seen]] = []
    shapes: dict[str, tuple[int, ...]] | None = None
    first_values: dict[str, np.ndarray] = {}
    moved: dict[str, bool] = {}
    for n, path in enumerate(found):
        name = os.fspath(path.relative_to(folder))
        try:
            saved = read_file(path, trust_pickle=trust_pickle)
        except (OSError, ValueError) as error:
            skipped.append(f"{name}: {_said(error)}")
            continue
        here = {w: a.shape for w, a in saved.weights.items()}
        if shapes is None:
            shapes, first_values = here, saved.weights
            moved = dict.fromkeys(here, False)
        if here != shapes:
            other = next((w for w in {**shapes, **here} if shapes.get(w) != here.get(w)), "")
            skipped.append(
                f"{name}: its weights have other shapes than those before: {other} is {here.get(other)} and was {shapes.get(other)}"
            )
            continue
        step = saved.step if saved.step is not None else _step_of(path, folder, n)
        if any(step == s for s, _, _ in read_):
            skipped.append(f"{name}: step {step} was read from {next(f for s, f, _ in read_ if s == step)} already")
            continue
        for w, a in saved.weights.items():
            moved[w] = moved[w] or not np.array_equal(a, first_values[w], equal_nan=True)
        try:
            with np.errstate(all="ignore"):  # weights may be infinite: what is measured of them is then NaN
                seen = _seen(saved.weights, saved.epsilon, saved.learning_rate)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:  # LAPACK on numbers that are none
            skipped.append(f"{name}: its weights cannot be measured: {_said(error)}")
            continue
        read_.append((step, name, seen))
    if shapes is None or not read_:
        reasons = "; ".join(skipped[:3])
        raise ValueError(f"{os.fspath(folder)!r} holds {len(found)} checkpoints, and none can be read: {reasons}")
    snapshots = Snapshots()
    for step, _, seen in sorted(read_, key=lambda r: r[0]):
        snapshots.add(step, seen)
    gaps = []
    if len(set(np.diff(snapshots.steps))) > 1:
        widest = int(np.argmax(np.diff(snapshots.steps)))
        gaps.append(
            f"nothing was saved between steps {snapshots.steps[widest]} and {snapshots.steps[widest + 1]}, the widest gap"
        )
    loss_step, loss = (table.loss_step, table.loss) if table is not None else _trainer_state(found)
    fields = snapshots.fields(len(shapes))
    if table is not None and table.step.size:
        for name in ("variation", "output", "probe_loss", "learning_rate"):
            fields[name] = _at(table, name, fields["step"], fields[name])
    frozen = np.array([len(read_) > 1 and any(moved.values()) and not moved[w] for w in shapes], bool)
    facts = {
        "source": os.fspath(folder),
        "skipped": skipped,
        "gaps": gaps,
        "depth": sum(len(s) >= 2 for s in shapes.values()),
        "normalised": any("norm" in w.lower() or ".bn" in w.lower() for w in shapes),
    }
    return Recording(
        loss_step=loss_step,
        loss=loss,
        weight_names=tuple(shapes),
        weight_shapes=tuple(shapes.values()),
        frozen=frozen,
        facts=facts,
        **fields,
    )


def _seen(weights: dict[str, np.ndarray], epsilon: float, rate: float) -> Seen:
    norms = np.array([np.linalg.norm(a) for a in weights.values()])
    turned = {w: oriented(w, a) for w, a in weights.items()}
    largest = np.array(
        [largest_singular_value(a.reshape(len(a), -1)) if a.ndim >= 2 else np.nan for a in turned.values()]
    )
    nan = float("nan")
    return Seen(nan, nan, nan, norms, largest, np.full(len(norms), nan), rate, measured(weights, epsilon))


def _step_of(path: Path, folder: Path, place: int) -> int:
    """The last number in the name, of the file or of the folder that it is in; its place in order where there is none."""
    for part in reversed(path.relative_to(folder).parts):
        numbers = re.findall(r"\d+", part.removesuffix(path.suffix))
        if numbers and len(numbers[-1]) < 16:
            return int(numbers[-1])
    return place


def _trainer_state(found: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Losses that a trainer logged beside its newest checkpoint."""
    losses = Losses()
    for path in reversed(found):
        state = path.parent / "trainer_state.json"
        try:
            history = json.loads(state.read_text(encoding="utf-8"))["log_history"]
            for row in history:
                if "loss" in row and "step" in row:
                    losses.add(int(row["step"]), float(row["loss"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        break
    return losses.arrays()


def _at(table: Recording, name: str, steps: np.ndarray, before: np.ndarray) -> np.ndarray:
    """A column of a table at the steps of checkpoints, where it has these steps."""
    known = dict(zip(table.step.tolist(), getattr(table, name).tolist(), strict=True))
    return np.array(
        [b if np.isnan(known.get(s, np.nan)) else known[s] for s, b in zip(steps.tolist(), before, strict=True)]
    )


def _said(error: Exception) -> str:
    return (str(error).strip().split("\n") or [""])[0][:300]
