"""Writes a specification out in full, so that what a run was is never a matter of this version's defaults.

The standard library reads TOML and does not write it; what a specification needs of it is little.
"""

import re
from collections.abc import Mapping
from typing import Any

from .spec import Spec, as_tables


def resolved(spec: Spec, task: Any = None) -> str:
    """The whole specification as TOML, every default filled in. Read back, it is the same `Spec`.

    **Arguments:**

    - `task`: as in `as_tables`.
    """
    tables = as_tables(spec, task).items()
    return "\n".join(f"[{name}]\n" + "".join(f"{_key(k)} = {_value(v)}\n" for k, v in t.items()) for name, t in tables)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items())} }}"
    if hasattr(value, "isoformat"):  # dates and times, which TOML has and no option takes
        return value.isoformat()
    raise TypeError(f"a specification holds plain values only, found {value!r}.")


def _string(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    # TOML admits no other control characters as they stand
    return (
        '"' + "".join(escapes.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in text) + '"'
    )
