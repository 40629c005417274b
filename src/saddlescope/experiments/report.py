"""One page for people and one file for programs: every claim beside its number, pictures inside the page."""

import json
from collections.abc import Mapping
from pathlib import Path

from ._base import Outcome
from ._page import page

SCHEMA = "saddlescope.claims/1"


def write(
    outcomes: Mapping[str, tuple[str, Outcome]], out: Path, quick: bool, planned: int | None = None
) -> list[dict]:
    """Writes report.html and claims.json into `out` and returns the claims as they stand in the latter.

    **Arguments:** `outcomes`: experiment name -> (title, outcome). `planned`: how many experiments there will be, where the page is written before they are all done.
    """
    rows = [claim.as_json() for _, outcome in outcomes.values() for claim in outcome.claims]
    document = {"schema": SCHEMA, "quick": quick, "claims": rows}
    _put(out / "claims.json", json.dumps(document, indent=2, allow_nan=False) + "\n")
    _put(out / "report.html", page(outcomes, out, quick, planned))
    return rows


def _put(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
