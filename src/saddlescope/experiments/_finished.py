"""Experiments that are done, kept beside the report, so that an interrupted reproduction goes on where it was and nothing stale is ever shown.

One file an experiment. It counts only if it was made by the very files of this package, with the same libraries, at the same length, and if every picture that it names is still
the one that was drawn.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from ._base import Claim, Outcome

PACKAGE = Path(__file__).parents[1]
FOLDER = "finished"
#: Libraries whose versions may change a number or a picture.
LIBRARIES = ("jax", "jaxlib", "equinox", "numpy", "scipy", "matplotlib", "scikit-learn", "mlxtend")


@cache
def source() -> str:
    """A hash of all files of the package that decide a number, and of the versions of what they use."""
    total = hashlib.sha256()
    for path in sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".json")):
        total.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for name in LIBRARIES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "none"
        total.update(f"{name} {version}\n".encode())
    return total.hexdigest()


def key(name: str, quick: bool, images: Path | None = None) -> str:
    """`images`: a file of the user's own that the experiment reads."""
    own = [images.name, _hash(images)] if images is not None else []
    return hashlib.sha256(json.dumps([name, quick, source(), *own]).encode()).hexdigest()


def load(name: str, out: Path, quick: bool, images: Path | None = None) -> Outcome | None:
    """The outcome of an experiment that is done and still true; None otherwise, whatever the reason."""
    try:
        stored = json.loads((out / FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        if stored["key"] != key(name, quick, images):
            return None
        if any(_hash(out / place) != digest for place, digest in stored["sums"].items()):
            return None
        claims = [Claim(**_tuples(claim)) for claim in stored["claims"]]
        pictures, files = ([out / place for place in stored[kind]] for kind in ("pictures", "files"))
        return Outcome(claims, pictures, stored["table"], stored["setting"], stored["summary"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(name: str, outcome: Outcome, out: Path, quick: bool, images: Path | None = None) -> None:
    """Keeps an outcome; the file is whole or not there."""
    places = {kind: [_place(path, out) for path in getattr(outcome, kind)] for kind in ("pictures", "files")}
    stored = {
        "key": key(name, quick, images),
        "claims": [dataclasses.asdict(claim) for claim in outcome.claims],
        "sums": {place: _hash(out / place) for place in (*places["pictures"], *places["files"])},
        "table": outcome.table,
        "setting": outcome.setting,
        "summary": outcome.summary,
        **places,
    }
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.part"
    temporary.write_text(json.dumps(stored, indent=1), encoding="utf-8")
    temporary.replace(folder / f"{name}.json")


def _tuples(claim: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in claim.items()}


def _place(path: Path, out: Path) -> str:
    return Path(os.path.relpath(path, out)).as_posix()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
