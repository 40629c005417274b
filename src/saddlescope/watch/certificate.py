r"""On request, what a recording cannot say: whether a state is a minimum of the probe's loss, block by block, and whether one more unit would lower it.

The lowest and highest eigenvalue of the probe-batch Hessian are found by Lanczos iterations (ARPACK) on exact Hessian-vector products in 64 bits, for the whole and for each
weight alone: a negative one proves a direction down. The insertion test asks more: a silent unit (output weights 0) changes neither loss nor, at a point where the
gradient vanishes, curvature at first order in its weights alone, but if $\max_{\lvert u\rvert = 1} \lvert\mathbb E[\delta\,\phi(x; u)]\rvert > 0$, with $\delta$ the slope of the loss at the
next layer's output, then giving it output weights lowers the loss at once: the state is a saddle of a wider network.

Under cross-entropy that can be driven to its infimum by growing norms, no fixed point exists: the height of a plateau is an infimum over the narrower family, approached like
1/t while norms grow like ln t (Soudry et al. 2018). The certificate then says so, and nothing in it is a claim about a point at rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .insertion import Insertions, insertions
from .recording import Recording

#: Iterations of ARPACK, and its relative tolerance.
ITERATIONS, TOLERANCE = 2000, 1e-6
#: A negative eigenvalue counts if it is below this part of the largest: single Lanczos runs resolve 1e-6.
NEGATIVE = 1e-4


@dataclass(frozen=True)
class Curvature:
    """Lowest and highest eigenvalue of a block of the Hessian, and its number of weights; `lowest` is None where the iteration did not converge."""

    lowest: float | None
    highest: float | None
    size: int


@dataclass(frozen=True)
class Certificate:
    """What was found at one state.

    - `loss`, `gradient`: on the probe; `blocks`: name to `Curvature`, "all" first.
    - `insertion`: layer to the slope that a silent unit would feel, over the root mean square slope times activation (`insertion.py`); `not_asked`: layers that were not asked, and why.
    - `verdict`: "saddle" (a negative direction, or a silent unit that lowers the loss), "minimum" (neither, with a small gradient) or "moving".
    - `infimum`: the loss is cross-entropy, whose heights are infima.
    """

    loss: float
    gradient: float
    blocks: dict[str, Curvature]
    insertion: dict[str, float] = field(default_factory=dict)
    infimum: bool = False
    verdict: str = ""
    sentence: str = ""
    not_asked: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


#: Below this, `reach` (gradient times weights over loss) is a state at rest, and `insertion` is nothing.
AT_REST, INSERTS = 0.05, 0.05


def certify_torch(model: Any, probe: Any, targets: Any, loss: Callable[[Any, Any], Any] | None = None) -> Certificate:
    """The certificate of a PyTorch module as it is, on a probe batch. The module is copied, in 64 bits and in evaluation mode; the original is not touched.

    **Arguments:** `loss(outputs, targets)`: default cross-entropy for targets of integers, otherwise 1/2 mean over samples of the squared error.

    **Raises:** `ModuleNotFoundError` without PyTorch; `ValueError` for a loss that is not finite.
    """
    import copy

    import torch

    network = copy.deepcopy(model).double().eval()
    x, y = probe, targets
    x = x.double() if x.is_floating_point() else x
    classes = not y.is_floating_point()
    y = y if classes else y.double()
    measured = loss or (torch.nn.functional.cross_entropy if classes else _half_squares)
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    weights = list(named.values())

    def value() -> Any:
        return measured(network(x), y)

    def product(chosen: list[Any]) -> Callable[[NDArray], NDArray]:
        gradient = torch.autograd.grad(value(), chosen, create_graph=True, allow_unused=True)
        flat = torch.cat(
            [(g if g is not None else torch.zeros_like(p)).reshape(-1) for g, p in zip(gradient, chosen, strict=True)]
        )

        def of(v: NDArray) -> NDArray:
            if not flat.requires_grad:
                return np.zeros(flat.numel())
            found = torch.autograd.grad(
                flat @ torch.as_tensor(v, dtype=flat.dtype), chosen, retain_graph=True, allow_unused=True
            )
            parts = [
                (g if g is not None else torch.zeros_like(p)).reshape(-1) for g, p in zip(found, chosen, strict=True)
            ]
            return torch.cat(parts).detach().numpy()

        return of

    now = value()
    slopes = torch.autograd.grad(now, weights, allow_unused=True)
    gradient = float(sum(float((g**2).sum()) for g in slopes if g is not None)) ** 0.5
    size = float(sum(float((p.detach() ** 2).sum()) for p in weights)) ** 0.5
    blocks = {"all": extremes(product(weights), sum(p.numel() for p in weights))}
    blocks |= {name: extremes(product([p]), p.numel()) for name, p in named.items() if p.ndim >= 2}
    asked = insertions(torch, network, value)
    return _judged(float(now.detach()), gradient, size, blocks, asked, classes and loss is None)


def certify_jax(loss: Callable[[Any], Any], parameters: Any) -> Certificate:
    """The certificate of `parameters`, any pytree of floating arrays, under `loss(parameters)`, a scalar of the probe. Blocks are leaves; no insertion test.

    **Raises:** `ValueError` for a loss that is not finite.
    """
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), parameters)
        flat, unravel = ravel_pytree(wide)

        def of(vector: Any) -> Any:
            return loss(unravel(vector))

        slope = jax.jit(jax.grad(of))
        hvp = jax.jit(lambda v: jax.jvp(jax.grad(of), (flat,), (v,))[1])
        starts, names = 0, {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(wide):
            names[jax.tree_util.keystr(path)] = slice(starts, starts + leaf.size)
            starts += leaf.size

        def product(where: slice) -> Callable[[NDArray], NDArray]:
            def within(v: NDArray) -> NDArray:
                full = np.zeros(flat.size)
                full[where] = v
                return np.asarray(hvp(jnp.asarray(full)))[where]

            return within

        value, gradient = float(of(flat)), np.asarray(slope(flat))
        blocks = {"all": extremes(product(slice(0, flat.size)), flat.size)}
        blocks |= {name: extremes(product(where), where.stop - where.start) for name, where in names.items()}
        return _judged(
            value, float(np.linalg.norm(gradient)), float(jnp.linalg.norm(flat)), blocks, Insertions({}, {}), False
        )


def extremes(product: Callable[[NDArray], NDArray], size: int) -> Curvature:
    """Lowest and highest eigenvalue of a symmetric operator [size, size] given by its products.

    **Holds** to 1e-6 of the largest in magnitude, by Lanczos from one start; for `size` up to 64 to rounding, by a dense solver.
    """
    if size <= 64:
        matrix = np.stack([product(row) for row in np.eye(size)])
        values = np.linalg.eigvalsh(0.5 * (matrix + matrix.T))
        return Curvature(float(values[0]), float(values[-1]), size)
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=lambda v: product(np.asarray(v).reshape(-1)), dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    found: list[float | None] = []
    for end in ("SA", "LA"):
        try:
            values = eigsh(
                operator, k=1, which=end, v0=start, tol=TOLERANCE, maxiter=ITERATIONS, return_eigenvectors=False
            )
            found.append(float(values[0]))
        except ArpackNoConvergence:
            found.append(None)
    return Curvature(found[0], found[1], size)


def norm_growth(recording: Recording, start: int = 0, end: int | None = None) -> float:
    """d ln |W| / d ln step over the last half of the steps from `start` to `end` (all): 0 at a point at rest; where it is not, a height under cross-entropy is an infimum still being approached.

    NaN where fewer than 3 snapshots are there.
    """
    with np.errstate(invalid="ignore"):
        size = np.sqrt(np.nansum(recording.weight_norm**2, axis=1))
    step = recording.step
    last = end if end is not None else int(step[-1]) if step.size else 0
    late = (step > 0) & (size > 0) & (step >= 0.5 * (start + last)) & (step <= last)
    if late.sum() < 3:
        return float("nan")
    return float(np.polyfit(np.log(recording.step[late]), np.log(size[late]), 1)[0])


def _judged(
    loss: float,
    gradient: float,
    size: float,
    blocks: Mapping[str, Curvature],
    asked: Insertions,
    infimum: bool,
) -> Certificate:
    if not np.isfinite(loss):
        raise ValueError(f"A certificate needs a finite loss on the probe: found {loss}.")
    reach = gradient * size / abs(loss) if loss else 0.0
    whole = blocks["all"]
    scale = max(abs(whole.highest or 0.0), abs(whole.lowest or 0.0))
    negative = [name for name, b in blocks.items() if b.lowest is not None and b.lowest < -NEGATIVE * scale]
    inserts = [name for name, slope in asked.slopes.items() if slope > INSERTS]
    if reach > AT_REST:
        verdict, why = (
            "moving",
            f"the gradient is not small: moving by the weights' own size would lower the loss by {reach:.0%} of itself",
        )
    elif negative:
        verdict, why = (
            "saddle",
            f"the Hessian has a negative eigenvalue, {whole.lowest if whole.lowest is not None else float('nan'):.3g} beside {whole.highest or 0:.3g}, in {', '.join(negative[:3])}",
        )
    elif inserts:
        verdict, why = "saddle", f"a silent unit in {inserts[0]} would lower the loss"
    elif whole.lowest is None:
        verdict, why = "unknown", "the lowest eigenvalue did not converge"
    else:
        verdict, why = (
            "minimum",
            "no direction of the Hessian is negative, and "
            + ("no silent unit that was asked lowers the loss" if asked.slopes else "no silent unit was asked"),
        )
    if infimum:
        why += "; under cross-entropy a height is an infimum that growing norms approach"
    return Certificate(loss, gradient, dict(blocks), asked.slopes, infimum, verdict, why, asked.reasons)


def _half_squares(f: Any, y: Any) -> Any:
    return 0.5 * ((f - y) ** 2).reshape(len(f), -1).sum(1).mean()
