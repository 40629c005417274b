"""Numbers, words and tables as plain aligned text, for a terminal and for `grep` alike."""

from collections.abc import Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def number(value: Any, digits: int = 6) -> str:
    """`-` for None."""
    return "-" if value is None else f"{value:.{digits}g}" if isinstance(value, int | float) else str(value)


def width_text(value: Any) -> str:
    """Of one layer, or of each."""
    return ",".join(number(layer) for layer in value) if isinstance(value, list | tuple) else number(value)


def word(value: Any) -> str:
    """`-` for nothing."""
    return "-" if value is None or value == "" else str(value)
