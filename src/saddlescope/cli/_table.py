"""Summaries and claims as plain aligned text, for a terminal and for `grep` alike."""

from collections.abc import Mapping, Sequence
from typing import Any


def stages_table(summary: Mapping[str, Any]) -> str:
    """The stages of a run and its end, one a row, and what each is in words; `-` for what is not known. `summary` is that of summary.json."""
    head = ["stage", "height", "t_start", "t_end", "+-", "width", "kind", "index", "escape"]
    rows = [
        [
            str(number),
            _number(stage.get("height")),
            _number(stage.get("t_start")),
            "censored" if stage.get("censored") else _number(stage.get("t_end")),
            _number(stage.get("t_end_error"), digits=2),
            _width(stage.get("effective_width")),
            _word(stage.get("kind")),
            _number(stage.get("index")),
            _word((stage.get("escape") or {}).get("law")),
        ]
        for number, stage in enumerate(summary["stages"], start=1)
    ]
    end = summary.get("end") or {}
    last = [_number(end.get("height")), "", "", "", _width(end.get("effective_width")), _word(end.get("kind"))]
    rows.append(["end", *last, _number(end.get("index")), ""])
    count = len(summary["stages"])
    cause = f"; cause: {summary['cause']}" if count and summary.get("cause") else ""
    ended = f"ended: {_word(summary.get('ended'))}, loss {_number(summary.get('final_loss'))}"
    named = [*((str(n), s) for n, s in enumerate(summary["stages"], start=1)), ("end", end)]
    words = [f"{name}: {_sentence(stage)}" for name, stage in named if "certificate" in stage]
    lines = [_aligned([head, *rows]), *words, f"{count} stage{'' if count == 1 else 's'}{cause}; {ended}"]
    return "\n".join(lines)


def _sentence(stage: Mapping[str, Any]) -> str:
    card = stage["certificate"]
    return card["sentence"] if card else "no fixed point was found near: height and width are those of the run itself."


def claims_table(claims: Sequence[Mapping[str, Any]]) -> str:
    """The claims with their outcomes, one a row; the sentence last, as it is long."""
    head = ["outcome", "expected", "experiment", "panel", "claim", "value", "bounds", "sentence"]
    rows = [
        [
            _word(claim.get("outcome")),
            _word(claim.get("expected")),
            _word(claim.get("experiment")),
            _word(claim.get("panel")),
            _word(claim.get("name")),
            _number(claim.get("value")),
            _interval(claim.get("bounds")),
            _word(claim.get("sentence")),
        ]
        for claim in claims
    ]
    return _aligned([head, *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _number(value: Any, digits: int = 6) -> str:
    return "-" if value is None else f"{value:.{digits}g}" if isinstance(value, int | float) else str(value)


def _interval(value: Any) -> str:
    return "-" if value is None else f"[{', '.join(_number(bound) for bound in value)}]"


def _width(value: Any) -> str:
    return ",".join(_number(layer) for layer in value) if isinstance(value, list | tuple) else _number(value)


def _word(value: Any) -> str:
    return "-" if value is None or value == "" else str(value)
