"""Names: of weights without what wrappers add to them, of files in the order that people mean."""

import re
from collections.abc import Iterable
from typing import Any

#: Reserved by the wrappers that insert them: torch.compile, fully sharded and checkpointed modules.
RESERVED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


def normalised(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the same order, without wrappers' prefixes; as they were where two would become one.

    `module.` is dropped only in front, and only where every name has it: a model may have a part of that name.
    """
    names = tuple(names)
    plain = [[part for part in name.split(".") if part not in RESERVED] for name in names]
    while plain and all(len(parts) > 1 and parts[0] == "module" for parts in plain):
        plain = [parts[1:] for parts in plain]
    found = tuple(".".join(parts) for parts in plain)
    return found if len(set(found)) == len(names) else names


def natural(name: str) -> list[Any]:
    """Sorts ckpt_9 before ckpt_10."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)]
