"""Names of weights without what wrappers add to them."""

from collections.abc import Iterable

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
