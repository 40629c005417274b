"""In which order a JAX function uses its weights: trees keep them by name, or as somebody put them in."""

from collections.abc import Callable
from typing import Any

#: Operations that hand a weight on, in another type or shape.
HAND_ON = frozenset(("convert_element_type", "transpose", "reshape", "broadcast_in_dim", "squeeze", "copy"))


def order_of_use(apply: Callable[[Any, Any], Any], params: Any, probe: Any) -> list[int]:
    """Places of the arrays of `params`, in the order of its leaves, by their first use; empty where the function cannot be traced."""
    import equinox as eqx
    import jax

    arrays, rest = eqx.partition(params, eqx.is_array)
    count = len(jax.tree.leaves(arrays))
    try:
        traced = jax.make_jaxpr(lambda a: eqx.filter(apply(eqx.combine(a, rest), probe), eqx.is_array))(arrays).jaxpr
    except Exception:  # whatever a function of somebody's raises: then the order is that of the tree
        return []
    used: dict[int, None] = {}
    _walk(traced, {id(v): i for i, v in enumerate(traced.invars)}, used)
    return [*used, *(i for i in range(count) if i not in used)]


def _walk(traced: Any, known: dict[int, int], used: dict[int, None]) -> None:
    """Notes first uses, also inside compiled, mapped and repeated parts, whose last arguments are those of the call."""
    for call in traced.eqns:
        given = [known.get(id(v)) for v in call.invars]
        inner = [p.jaxpr if hasattr(p, "jaxpr") else p for p in _parts(call.params) if hasattr(p, "eqns")]
        weights = [i for i in given if i is not None]
        if inner:
            for part in inner:
                n = min(len(part.invars), len(given))
                pairs = zip(part.invars[len(part.invars) - n :], given[len(given) - n :], strict=True)
                _walk(part, {id(v): i for v, i in pairs if i is not None}, used)
        elif call.primitive.name in HAND_ON and len(weights) == 1:
            known[id(call.outvars[0])] = weights[0]
        else:
            used.update(dict.fromkeys(weights))


def _parts(params: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for value in params.values():
        found += value if isinstance(value, tuple | list) else [value]
    return found
