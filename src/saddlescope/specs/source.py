"""Where a key stands in a specification's text, because a message without a line number sends its reader searching.

`tomllib` gives values without positions. They are found again only when an error has to be told, by parsing the
beginnings of the text: a key's line is the last one that mentions it and before which the text is complete but
does not hold it yet. That is exact for every way of writing a key (tables, dotted keys, inline tables, values over
several lines), because the parser itself answers.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """The text that a specification was read from, and the name by which its author knows it.

    **Arguments:**

    - `name`: the path as the user gave it.
    - `text`: all of it.
    """

    name: str
    text: str

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line, counted from 1, of the key at `path`, for example `("flow", "rtol")`, or `("network", "layers", 0, "units")` in the first of several tables; None if it is not there."""
        if not path or not _holds(self.text, path):
            return None
        lines = self.text.splitlines(keepends=True)
        mentions = [n for n, text in enumerate(lines) if isinstance(path[-1], int) or path[-1] in text]
        for n in reversed(mentions):
            if _holds("".join(lines[:n]), path) is False:
                return n + 1
        return None

    def place(self, path: Sequence[str | int]) -> str:
        """`"NAME, line N: "`, or as much of it as is known, to begin a message with."""
        line = self.line(path)
        return f"{self.name}: " if line is None else f"{self.name}, line {line}: "


def _holds(text: str, path: Sequence[str | int]) -> bool | None:
    """Whether the text holds a key at `path`; None where it is not complete enough to say."""
    try:
        value = tomllib.loads(text)
    except ValueError:
        return None
    for key in path:
        within = (
            isinstance(value, list) and key < len(value)
            if isinstance(key, int)
            else isinstance(value, dict) and key in value
        )
        if not within:
            return False
        value = value[key]
    return True
